"""Laws of conditions on moments: hour and weekday stay what they are to the other columns, as in a plain sample that is
filtered, and no code of which a moment in the range can come is left out."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dp_models import registry
from dp_models.base import FloatArray
from dp_models.encoding.binning import Columns
from dp_models.encoding.codes import Codec
from dp_models.mechanisms.noise import SystemNoise
from dp_models.stored import evidence, sampling
from dp_models.stored.registry import StoredModel
from dp_models.stored.sampling import derive
from synthgate.budget import PrivacyBudget
from synthgate.derivation import Condition, Derivation, allowed
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind
from synthgate.errors import FailedPrecondition
from tests.dp_models.private_tables import sizes_of
from tests.dp_models.stored_models import Rejected

FIRST, LAST = datetime(2020, 1, 1), datetime(2022, 1, 1)
VISITS = Domain(
    columns=(
        Column(name="seen", kind=Kind.DATETIME, low=FIRST, high=LAST),
        Column(name="early", kind=Kind.BOOLEAN),
        Column(name="size", kind=Kind.INTEGER, low=0, high=9),
    ),
    target="early",
)
DAY, WEEK = "2021-03-03..2021-03-03T23:59:59", "2021-03-01..2021-03-07T23:59:59"
MORNING = "2021-03-01T09:00:00..2021-03-01T12:00:00"


@cache
def visits(engine: str) -> StoredModel:
    """A model of 20,000 visits on Mondays to Fridays, on the hour: half at 9 h, which is what ``early`` says, half at 8
    to 17 h but 9."""
    rng, n = np.random.default_rng(7), 20_000
    early = rng.random(n) < 0.5
    hours = np.where(early, 9, rng.choice([h for h in range(8, 18) if h != 9], n))
    monday = datetime(2020, 1, 6)
    days = rng.integers(0, 103, n) * 7 + rng.integers(0, 5, n)
    seen = [monday + timedelta(days=int(d), hours=int(h)) for d, h in zip(days, hours, strict=True)]
    cells = {"seen": pa.array(seen, pa.timestamp("us")), "early": early, "size": rng.integers(0, 10, n)}
    synthesizer = registry.synthesizer(engine)
    plan = synthesizer.plan(VISITS, sizes_of(n), PrivacyBudget.spend(3.0, 1e-6))
    rows = pa.table(cells | {UNIT_COLUMN: np.arange(n)})
    return synthesizer.fit(rows, VISITS, plan, noise=SystemNoise())  # type: ignore[return-value]


def drawn(model: Any, value: str, *, rows: int = 4_000, seed: int = 1) -> pa.Table:
    what = Derivation(source="r", conditions=(Condition(column="seen", value=value),))
    return derive(model, VISITS, what, rows=rows, generator=np.random.default_rng(seed))[0]


def within(table: pa.Table, value: str) -> pa.Table:
    low, high = (pa.scalar(datetime.fromisoformat(end), pa.timestamp("us")) for end in value.split(".."))
    return table.filter(pc.and_(pc.greater_equal(table["seen"], low), pc.less_equal(table["seen"], high)))


def shares(table: pa.Table) -> FloatArray:
    """The table's share of each (weekday, hour, early)."""
    counts = np.zeros((7, 24, 2))
    np.add.at(counts, (pc.day_of_week(table["seen"]), pc.hour(table["seen"]), pc.cast(table["early"], pa.int64())), 1)
    return counts / table.num_rows


WAYS = {
    "tree": lambda: visits("tree"),
    "aim": lambda: visits("aim"),
    "tree by rejection": lambda: Rejected(visits("tree")),
}


@pytest.mark.parametrize("value", [DAY, WEEK, MORNING])
@pytest.mark.parametrize("by", WAYS.values(), ids=WAYS)
def test_hour_and_weekday_stay_with_the_other_columns(by: Any, value: str) -> None:
    """Cells drawn again without their hour had 0.45 of a day at night, and early visits at 9 h in one case of four."""
    table = drawn(by(), value)
    assert table.num_rows == within(table, value).num_rows == 4_000
    found = shares(table)
    assert found[5:].sum() < 0.03
    assert found[:, :8].sum() + found[:, 18:].sum() < 0.03
    assert found[:, 9, 1].sum() / found[:, :, 1].sum() > 0.95
    assert found[:, 9, 1].sum() / found[:, 9].sum() > 0.95
    if value == DAY:
        assert found[2].sum() == pytest.approx(1)  # a Wednesday


@pytest.mark.parametrize("value", ["2021-03-01..2021-03-31T23:59:59", "..2020-01-21T12:00:00", "2021-12-20T15:30:00.."])
@pytest.mark.parametrize("engine", ["tree", "independent"])
def test_the_sample_is_a_plain_one_filtered(engine: str, value: str) -> None:
    """Of 1,000,000 plain rows about 30,000 lie in the range: chance alone puts the two 0.02 apart at most."""
    low, _, high = value.partition("..")
    ends = f"{low or FIRST.isoformat()}..{high or LAST.isoformat()}"
    plain = within(visits(engine).sample(1_000_000, generator=np.random.default_rng(3)), ends)
    assert np.abs(shares(plain) - shares(drawn(visits(engine), value, rows=40_000))).sum() / 2 < 0.04


def test_the_same_seed_draws_the_same_rows() -> None:
    assert drawn(visits("tree"), DAY).equals(drawn(visits("tree"), DAY))
    assert not drawn(visits("tree"), DAY).equals(drawn(visits("tree"), DAY, seed=2))


def test_the_answer_says_what_was_rejected() -> None:
    conditions = {"seen": DAY, "size": "2..5"}
    for (column, value), ends in zip(
        conditions.items(), ("closed form, moments by rejection", "in closed form"), strict=True
    ):
        what = Derivation(source="r", conditions=(Condition(column=column, value=value),))
        assert derive(visits("tree"), VISITS, what, rows=5, generator=np.random.default_rng(0))[1].endswith(ends)


def test_a_range_of_which_hardly_anything_comes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_DRAWS", 10_000)
    with pytest.raises(FailedPrecondition, match=r"the conditions on seen, and 10 were asked for; .* something wider$"):
        drawn(visits("tree"), "2021-03-03T09:31:07..2021-03-03T09:31:08", rows=10)


RANGES = [
    ("2021-03-03", "2021-03-03T23:59:59"),
    ("2021-03-03T22:00", "2021-03-04T03:00"),
    ("2021-03-03T10:15", "2021-03-03T10:45"),
    ("2021-03-03", "2021-03-03T01:00"),
    ("LOW", "2020-01-02T09:00"),
    ("2021-12-30T20:00", "HIGH"),
]
BOUNDS = [("2020-01-01", "2022-01-01"), ("2020-01-01T07:30", "2021-12-31T20:30"), ("1930-01-01", "2022-01-01")]
ROUNDED = [None, np.array([0.3, 0.4, 0.3, 0.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])]


@pytest.mark.parametrize("granularity", ROUNDED, ids=["unrounded", "days, hours and minutes", "hours"])
@pytest.mark.parametrize(("low", "high"), BOUNDS, ids=["days", "parts of days", "months"])
def test_evidence_leaves_out_no_code_that_a_moment_in_the_range_comes_of(
    low: str, high: str, granularity: FloatArray | None
) -> None:
    """And for a day in days it leaves some: seven cells and one weekday."""
    column = Column(name="seen", kind=Kind.DATETIME, low=datetime.fromisoformat(low), high=datetime.fromisoformat(high))
    codec = Codec(Domain(columns=(column,)), cells=1_024)
    columns = Columns(codec, tuple(np.ones(c.size) for c in codec.columns), (granularity, None, None))
    rng = np.random.default_rng(5)
    codes = [rng.integers(0, c.values, 400_000) for c in codec.columns]
    table = columns.decode(codes, generator=rng)
    for first, last in RANGES:
        value = f"{'' if first == 'LOW' else first}..{'' if last == 'HIGH' else last}"
        condition = allowed(Condition(column="seen", value=value), codec.domain)
        holds = evidence.holds(columns, table, [condition])
        assert holds is not None
        wanted = evidence.likelihoods(columns, [condition])
        inside = holds.to_numpy(zero_copy_only=False)
        for likelihood, row in zip(wanted, codes, strict=True):
            assert likelihood[row[inside]].all(), value
        if (first, low) == ("2021-03-03", "2020-01-01") and last.endswith("59"):
            assert [w.sum() for w in wanted] == [7, 1, 24]
