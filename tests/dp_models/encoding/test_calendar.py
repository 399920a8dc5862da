"""Calendar parts: weeks and days survive the noise, moments stay within their cells and bounds, nulls have no part."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from dp_models.encoding.calendar import HOUR, WEEKDAY, parts_of
from dp_models.encoding.codes import Codec
from dp_models.engines.aim import Aim
from dp_models.engines.tree import Tree
from dp_models.mechanisms.noise import SystemNoise
from synthgate.budget import PrivacyBudget
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind
from tests.dp_models.private_tables import sizes_of

YEAR = Column(name="seen", kind=Kind.DATETIME, low=datetime(2023, 1, 1), high=datetime(2023, 12, 31), nullable=True)


def _between(low: str, high: str) -> Domain:
    bounds = datetime.fromisoformat(low), datetime.fromisoformat(high)
    return Domain(columns=(Column(name="m", kind=Kind.DATETIME, low=bounds[0], high=bounds[1]),))


@pytest.mark.parametrize(
    ("low", "high", "parts"),
    [
        ("2024-01-01T08:00", "2024-01-01T20:00", []),
        ("2024-01-01", "2024-01-05", ["hour"]),
        ("2024-01-01", "2024-03-01", ["weekday", "hour"]),
        ("1900-01-01", "2100-01-01", ["weekday", "hour"]),
    ],
)
def test_bounds_decide_which_parts_there_are(low: str, high: str, parts: list[str]) -> None:
    assert [part.column.name for part in parts_of(_between(low, high))] == parts


def test_parts_of_moments_before_and_after_1970() -> None:
    moments = [datetime(1969, 12, 28, 23), datetime(1970, 1, 1), datetime(2024, 2, 29, 5, 59)]  # Sunday, Thursday x 2
    parts = parts_of(_between("1900-01-01", "2100-01-01"))
    stored = pa.array(moments, pa.timestamp("us")).cast(pa.int64()).to_numpy()
    assert [part.of(stored).tolist() for part in parts] == [[6, 3, 3], [23, 0, 5]]


def test_codes_of_parts_follow_the_declared_columns_and_a_null_has_none() -> None:
    domain = Domain(columns=(YEAR, Column(name="sex", kind=Kind.CATEGORICAL, categories=("F", "M"))), target="sex")
    codec = Codec(domain, cells=512)
    cells = pa.array([datetime(2023, 5, 7, 13), None], pa.timestamp("us"))  # a Sunday
    codes = codec.encode(pa.table({"seen": cells, "sex": ["F", "M"]}))
    assert [c.column for c in codec.columns[2:]] == [WEEKDAY, HOUR]
    assert codes[2:].tolist() == [[6, 7], [13, 24]]
    assert codec.encode(pa.table({"seen": cells, "sex": ["F", "M"]})).shape == (4, 2)


@pytest.mark.parametrize("low, high", [("2023-03-05", "2023-04-02"), ("1990-06-15T10:00", "2023-02-01T09:00")])
def test_every_cell_and_part_decodes_within_the_bounds_and_to_its_part(low: str, high: str) -> None:
    domain = _between(low, high)
    codec, rng = Codec(domain, cells=256), np.random.default_rng(0)
    drawn = np.stack([rng.integers(0, column.values, 20_000) for column in codec.columns])
    cells = codec.decode(drawn, generator=rng).column("m")
    moments = cells.cast(pa.int64()).to_numpy()
    first, last = (datetime.fromisoformat(bound) for bound in (low, high))
    assert min(cells.to_pylist()) >= first and max(cells.to_pylist()) <= last
    week = timedelta(days=7)
    inside = np.array([first + week <= moment <= last - week for moment in cells.to_pylist()])
    for part, wanted in zip(codec.parts, drawn[1:], strict=True):
        assert (part.of(moments) == wanted)[inside].all()


def _clinic(n: int) -> tuple[Domain, pa.Table]:
    """Visits on Mondays to Fridays between 8 and 17 h, the urgent ones on any day at night."""
    rng = np.random.default_rng(1)
    urgent = rng.random(n) < 0.3
    days = rng.integers(0, 52, n) * 7 + np.where(urgent, rng.integers(0, 7, n), rng.integers(0, 5, n))
    hours = np.where(urgent, rng.integers(0, 6, n), rng.integers(8, 18, n))
    monday = datetime(2023, 1, 2)
    seen = [monday + timedelta(days=int(d), hours=int(h)) for d, h in zip(days, hours, strict=True)]
    domain = Domain(columns=(YEAR, Column(name="urgent", kind=Kind.BOOLEAN)), target="urgent")
    rows = {"seen": pa.array(seen, pa.timestamp("us")), "urgent": pa.array(urgent), UNIT_COLUMN: np.arange(n)}
    return domain, pa.table(rows)


@pytest.mark.parametrize("engine", [Tree(), Aim()], ids=["tree", "aim"])
def test_opening_hours_survive_an_engine(engine: Tree | Aim) -> None:
    domain, rows = _clinic(20_000)
    plan = engine.plan(domain, sizes_of(rows.num_rows), PrivacyBudget.spend(1.0, 1e-6))
    noise = SystemNoise()
    drawn = engine.fit(rows, domain, plan, noise=noise).sample(20_000, generator=np.random.default_rng(2))
    assert noise.event == plan.event
    pairs = [(s, u) for s, u in zip(*(drawn.column(c).to_pylist() for c in ("seen", "urgent")), strict=True) if s]
    planned, night = ([s for s, u in pairs if u is urgent] for urgent in (False, True))
    assert np.mean([s.weekday() < 5 and 8 <= s.hour < 18 for s in planned]) > 0.9
    assert np.mean([s.hour < 6 for s in night]) > 0.9
    assert np.mean([s.minute == 0 for s, _ in pairs]) > 0.99  # moments keep the hours that they are rounded to
