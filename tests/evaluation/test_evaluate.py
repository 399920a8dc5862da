"""`evaluate` on files: determinism, awkward content, the registry."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_tables import MIXED, write

from evaluation.base import Comparison, Findings, Metric
from evaluation.registry import BUILT_IN, Registry, default
from evaluation.run import evaluate, keyed
from synthgate.domain import OTHER
from synthgate.policy import FIXED_SCORES
from synthgate.report import Better, Report, Score

SEED = bytes(range(32))
Cells = dict[str, list[Any]]


def _rows(size: int, draw: random.Random, *, nulls: float = 0.1) -> Cells:
    def maybe(value: Any) -> Any:
        return None if draw.random() < nulls else value

    return {
        "colour": [maybe(draw.choice(["red", 'o\'brien "blue"', "green", OTHER])) for _ in range(size)],
        "age": [maybe(draw.randint(0, 99)) for _ in range(size)],
        "income": [maybe(draw.uniform(-10, 90)) for _ in range(size)],
        "member": [maybe(draw.random() < 0.5) for _ in range(size)],
        "since": [maybe(datetime(2000, 1, 1) + timedelta(days=draw.randint(0, 7000))) for _ in range(size)],
        "^odd.*$": [maybe(draw.choice("xy")) for _ in range(size)],
    }


def _constant(size: int) -> Cells:
    return {"colour": ["red"] * size, "age": [7] * size, "income": [1.5] * size, "member": [True] * size,
            "since": [datetime(2001, 2, 3)] * size, "^odd.*$": ["x"] * size}  # fmt: skip


def _null(size: int) -> Cells:
    return {name: [None] * size for name in _constant(0)}


def _run(folder: Path, train: Cells, holdout: Cells, sample: Cells, *, seed: bytes = SEED) -> Report:
    folder.mkdir(exist_ok=True)
    size = {name: len(cells["age"]) for name, cells in (("train", train), ("holdout", holdout))}
    return evaluate(
        MIXED,
        write(folder / "train.parquet", MIXED, train, units=list(range(size["train"]))),
        write(folder / "holdout.parquet", MIXED, holdout, units=list(range(size["holdout"]))),
        write(folder / "sample.parquet", MIXED, {k: [None if v == OTHER else v for v in c] for k, c in sample.items()}),
        seed=seed,
        progress=lambda _: None,
    )


EXPECTED = [
    "risk.singling_out.univariate", "risk.singling_out.multivariate", "risk.linkability", "risk.inference.income",
    "risk.inference.member", "risk.copies", "risk.near_copies", "risk.membership.domias", "risk.membership.domias_tpr",
    "risk.membership.domias_outliers", "risk.membership.nearest", "risk.membership.nearest_tpr",
    "risk.membership.nearest_outliers", "utility.tv1", "utility.tv2", "utility.tv3", "utility.tv4",
    "utility.tv2_excess", "utility.association", "utility.tstr", "utility.tstr_gap", "utility.tstr_linear",
    "utility.tstr_linear_gap", "utility.tstr_gap_worst", "utility.kmarginal", "utility.equals_percent",
    "utility.ranges", "utility.propensity_auc", "utility.pmse_ratio", "utility.tv1_worst",
    "utility.coverage_categories", "utility.coverage_tails", "utility.violations", "fairness.shares",
    "fairness.representation", "fairness.tstr_gap", "fairness.demographic_parity", "fairness.equal_opportunity",
]  # fmt: skip


def _random(size: int, seed: int = 1) -> Cells:
    return _rows(size, random.Random(seed))


AWKWARD: dict[str, Callable[[], tuple[Cells, Cells, Cells]]] = {
    "constant everywhere": lambda: (_constant(200), _constant(50), _constant(100)),
    "null everywhere": lambda: (_null(200), _null(50), _null(100)),
    "constant sample": lambda: (_random(200), _random(50, 2), _constant(100)),
    "null sample": lambda: (_random(200), _random(50, 2), _null(100)),
    "null private": lambda: (_null(200), _null(50), _random(100)),
    "one training row": lambda: (_random(1), _random(50, 2), _random(100, 3)),
    "one row each": lambda: (_random(1), _random(1, 2), _random(1, 3)),
    "no row at all": lambda: (_random(0), _random(0), _random(0)),
    "empty sample": lambda: (_random(100), _random(100), _random(0)),
    "holdout of 0": lambda: (_random(200), _random(0), _random(100, 3)),
    "holdout of 1": lambda: (_random(200), _random(1, 2), _random(100, 3)),
    "holdout of 3": lambda: (_random(200), _random(3, 2), _random(100, 3)),
    "train smaller than holdout": lambda: (_random(40), _random(200, 2), _random(100, 3)),
    "sample of one row": lambda: (_random(100), _random(50, 2), _random(1, 3)),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_content_gives_every_score_and_no_exception(name: str, tmp_path: Path) -> None:
    train, holdout, sample = AWKWARD[name]()
    report = _run(tmp_path, train, holdout, sample)
    assert [s.name for s in report.scores] == EXPECTED
    assert all(s.usable or not s.conclusive for s in report.scores)
    assert json.dumps(report.to_dict(), allow_nan=False)
    if min(len(train["age"]), len(holdout["age"])) < 30:
        assert not any(s.conclusive for s in report.scores if s.name.startswith("risk."))


def test_every_name_is_one_that_a_policy_knows() -> None:
    assert {n for n in EXPECTED if not n.startswith("risk.inference.")} == FIXED_SCORES


def test_same_files_and_seed_give_the_same_report_and_another_seed_other_draws(tmp_path: Path) -> None:
    tables = _random(400), _random(100, 2), _random(300, 3)
    runs = [_run(tmp_path / f"{i}", *tables, seed=s).to_dict() for i, s in enumerate((SEED, SEED, SEED[::-1]))]
    for run in runs:
        del run["seconds"]
    np.random.seed(5)
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_units_with_several_rows_count_once(tmp_path: Path) -> None:
    cells = _random(120)
    single = write(tmp_path / "single.parquet", MIXED, cells, units=list(range(120)))
    doubled = {name: [v for value in values for v in (value, value)] for name, values in cells.items()}
    twice = write(tmp_path / "twice.parquet", MIXED, doubled, units=[i // 2 for i in range(240)])
    sample = write(tmp_path / "sample.parquet", MIXED, _rows(50, random.Random(9), nulls=1.0))
    quiet: Callable[[str], None] = lambda _: None  # noqa: E731
    first, second = (evaluate(MIXED, p, p, sample, seed=SEED, progress=quiet).to_dict() for p in (single, twice))
    for single_row, two_rows in zip(first["scores"], second["scores"], strict=True):
        assert single_row["note"].split(";")[0].startswith("about 120 attacks") == ("attacks" in single_row["note"])
        if "attacks" in single_row["note"]:
            assert two_rows["note"].startswith("about 120 attacks")
        if single_row["name"].startswith(("utility.tv", "utility.association", "risk.copies")):
            assert single_row["value"] == pytest.approx(two_rows["value"])


def test_progress_names_every_metric_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", MIXED, _constant(3))
    told: list[str] = []
    evaluate(MIXED, path, path, path, seed=SEED, progress=told.append)
    assert told == ["reading", *(m.name for m in default())]
    assert len(told) == 1 + len(BUILT_IN)


def test_a_short_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        evaluate(MIXED, tmp_path, tmp_path, tmp_path, seed=b"short", progress=lambda _: None)


class _Constant:
    """A metric as a plug-in would write it: a name and one method."""

    def __init__(self, name: str, scores: tuple[str, ...]) -> None:
        self.name = name
        self._scores = scores

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        value = float(len(comparison.sample))
        return Findings(
            scores=tuple(Score(name=n, value=value, low=value, high=value, better=Better.HIGHER) for n in self._scores)
        )


def test_a_metric_of_ones_own_is_one_class_and_one_registration(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", MIXED, _constant(3))
    registry = Registry([_Constant("b", ("b.rows",)), _Constant("a", ("a.rows",))])
    report = evaluate(MIXED, path, path, path, seed=SEED, progress=lambda _: None, registry=registry)
    assert [(s.name, s.value) for s in report.scores] == [("b.rows", 3.0), ("a.rows", 3.0)]


def test_a_name_is_registered_once() -> None:
    registry = Registry([_Constant("a", ())])
    with pytest.raises(ValueError, match="registered already"):
        registry.register(_Constant("a", ()))
    with pytest.raises(ValueError, match="name"):
        registry.register(_Constant("", ()))


def test_two_scores_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", MIXED, _constant(3))
    registry = Registry([_Constant("a", ("x",)), _Constant("b", ("x",))])
    with pytest.raises(ValueError, match="same name"):
        evaluate(MIXED, path, path, path, seed=SEED, progress=lambda _: None, registry=registry)


def _metrics() -> Iterator[Metric]:
    yield from default()


@pytest.mark.parametrize("metric", _metrics(), ids=lambda m: m.name)
def test_every_metric_prefixes_its_scores_and_has_a_generator_of_its_own(metric: Metric) -> None:
    assert metric.name.split(".")[0] in {"risk", "utility", "fairness"}
    draws = {keyed(SEED, m.name).integers(2**62) for m in default()}
    assert len(draws) == len(BUILT_IN)
