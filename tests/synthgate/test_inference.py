"""Combining replicates: the published rules in numbers that one can check by hand, and what is no estimate."""

import hashlib
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_verify import ATTESTATION, DERIVED, KEY, sealed

from synthgate.attestation import Attestation, Derived
from synthgate.dataset import PublicSizes
from synthgate.derivation import Derivation
from synthgate.errors import InvalidArgument
from synthgate.inference import Estimate, combine, rows_ratio


def test_the_rules_by_hand() -> None:
    """q = 1, 2, 3, 6: mean 3, b = 14/3; vbar = 0.5: T = 5/4 * 14/3 - 0.5, df = 3 (1 - 0.5 / (35/6))^2."""
    found = combine([Estimate(q, 0.5) for q in (1.0, 2.0, 3.0, 6.0)], rows_ratio=1.25)
    assert (found.value, found.replicates, found.floored) == (3.0, 4, False)
    assert (found.between, found.within) == pytest.approx((14 / 3, 0.5))
    assert found.variance == pytest.approx(35 / 6 - 0.5)
    assert found.degrees == pytest.approx(3 * (1 - 3 / 35) ** 2)


def test_the_variance_is_never_below_what_the_rows_leave_open() -> None:
    """Replicates that hardly differ: b = 0.0002, vbar = 1, 1.25 replicate rows a trained one."""
    found = combine([Estimate(0.0, 1.0), Estimate(0.02, 1.0)], rows_ratio=1.25)
    assert found.floored
    assert (found.variance, found.degrees) == pytest.approx((1.25 + 0.0001, 1.0))
    assert combine([Estimate(0.0, 1.0), Estimate(0.02, 1.0)], rows_ratio=2.0).variance == pytest.approx(2.0001)


QUANTILES = [(1.0, 0.90, 6.3138), (2.0, 0.95, 4.3027), (9.0, 0.90, 1.8331), (9.0, 0.99, 3.2498), (120.0, 0.95, 1.9799)]


@pytest.mark.parametrize(("degrees", "level", "quantile"), QUANTILES)
def test_intervals_use_students_t(degrees: float, level: float, quantile: float) -> None:
    """The printed tables; ``degrees`` come from floored replicates, where they are m - 1."""
    m = int(degrees) + 1
    found = combine([Estimate(5.0, 1.0)] * m, rows_ratio=1.0)
    assert found.degrees == degrees
    low, high = found.interval(level)
    assert high - 5.0 == pytest.approx(5.0 - low) == pytest.approx(quantile, abs=6e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "at least two"),
        ([Estimate(1.0, 1.0)], "at least two"),
        ([Estimate(1.0, 1.0), Estimate(math.nan, 1.0)], "finite"),
        ([Estimate(1.0, 1.0), Estimate(1.0, math.inf)], "finite"),
        ([Estimate(1.0, 1.0), Estimate(1.0, -0.1)], "zero or more"),
    ],
)
def test_what_is_no_estimate_is_refused(given: list[Estimate], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        combine(given, rows_ratio=1.25)


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0, math.nan])
def test_a_level_is_a_share(level: float) -> None:
    with pytest.raises(InvalidArgument, match="between 0 and 1"):
        combine([Estimate(1.0, 1.0)] * 2, rows_ratio=1.25).interval(level)


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.inf, math.nan])
def test_a_ratio_is_positive(ratio: float) -> None:
    with pytest.raises(InvalidArgument, match="rows_ratio"):
        combine([Estimate(1.0, 1.0)] * 2, rows_ratio=ratio)


def _replicates(sizes: PublicSizes, rows: int, data: bytes = b"") -> Attestation:
    asked = Derivation(source="r-1", rows=rows, replicates=2)
    return replace(
        ATTESTATION,
        sha256=hashlib.sha256(data).hexdigest(),
        statement=replace(ATTESTATION.statement, sizes=sizes),
        origin=Derived(derivation=asked, attestation="e" * 64, sampling="from noisy tables"),
        approvals=(),
    )


@pytest.mark.parametrize("public", [200, 500, 900, 1_000, 5_000])
def test_the_ratio_is_that_of_the_table_and_of_what_was_asked(public: int) -> None:
    """A release has at least 1,000 rows: of 200 public rows 160 are trained on, and a replicate has 6.25 times them."""
    sizes = PublicSizes(rows=public, units=public)
    assert rows_ratio(_replicates(sizes, sizes.sample_rows)) == sizes.sample_rows / (0.8 * public)
    assert rows_ratio(_replicates(sizes, 40)) == 50 / public
    if public < 1_000:
        assert rows_ratio(_replicates(sizes, sizes.sample_rows)) > 1.25


@pytest.mark.parametrize("of", [ATTESTATION, replace(DERIVED, approvals=())])
def test_what_has_no_replicates_has_no_ratio(of: Attestation) -> None:
    with pytest.raises(InvalidArgument, match="no attestation of replicates"):
        rows_ratio(of)


def test_nobody_combines_without_the_ratio() -> None:
    """A default was 1.25 for tables whose replicates have 6.25 times the rows: intervals five times too bold."""
    with pytest.raises(TypeError, match="rows_ratio"):
        combine([Estimate(1.0, 1.0)] * 2)  # type: ignore[call-arg]


def test_the_guide_combines_what_a_replicates_file_holds(tmp_path: Path) -> None:
    guide = Path(__file__).parents[2] / "docs" / "replicates.md"
    (block,) = re.findall(r"^```python\n(.*?)^```$", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    rows = {"_replicate": [1] * 4 + [2] * 4, "age": [1, 2, 3, 4, 3, 4, 5, 6]}
    pq.write_table(pa.table(rows), tmp_path / "replicates.parquet")
    data = (tmp_path / "replicates.parquet").read_bytes()
    attested = _replicates(PublicSizes(rows=10, units=10), 4, data)
    (tmp_path / "attestation.json").write_bytes(sealed(attested.to_statement_bytes()))
    (tmp_path / "gateway.pub").write_bytes(KEY)
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
