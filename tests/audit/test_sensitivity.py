"""What one unit moves on awkward tables, measured: every table of counts by at most ``max_rows`` in length, every score
by at most as much, and nothing beside them.

The games of `tests.audit.test_tables` convict on tables that show most. Here the cells are those that encodings trip
over: nulls, infinities, numbers and moments beyond the bounds, shared single values, categories that nobody declared;
bins are looked at as closely as they ever are, and a unit has three rows.
"""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from dp_models.base import Noise, Plan, Synthesizer
from dp_models.encoding.table import private_schema
from dp_models.engines import tree
from dp_models.engines.aim import Aim
from dp_models.engines.independent import Independent
from dp_models.engines.mst import Mst
from dp_models.engines.star import Star
from dp_models.engines.tree import Tree
from dp_models.graphical.model import GraphModel
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import OTHER, Column, Domain, Kind
from tests.audit.bugs import ExactShares, TrueSize, by_true_size
from tests.audit.games import Centre, Draw, Foreign, Recorded

K, UNITS = 3, 600
COLUMNS = (
    Column(name="rate", kind=Kind.FLOAT, low=0.0, high=100.0, nullable=True),
    Column(name="code", kind=Kind.INTEGER, low=-3, high=9_999, nullable=True),
    Column(name="seen", kind=Kind.DATETIME, low=datetime(1900, 1, 1), high=datetime(2030, 1, 1), nullable=True),
    Column(name="group", kind=Kind.CATEGORICAL, categories=("a", "b", "c")),
    Column(name="ill", kind=Kind.BOOLEAN, nullable=True),
)
SIZES = PublicSizes(rows=UNITS * K * 5 // 4, units=UNITS * 5 // 4, max_rows=K)


def _awkward(domain: Domain) -> pa.Table:
    rng, n = np.random.default_rng(4), UNITS * K
    half = rng.random(n) < 0.5
    rate = np.where(half, rng.choice([12.3456, 77.1, -9.0, 1e9, np.nan, np.inf], n), rng.uniform(-10, 110, n))
    code = np.where(half, rng.choice([4_711, 9_999, -3, 2**62], n), rng.integers(-100, 20_000, n))
    seen = rng.integers(-3 * 10**15, 2 * 10**15, n)
    group = rng.choice(np.array(["a", "b", "c", OTHER], dtype=object), n)
    cells = (rate, code, seen, rng.random(n) < 0.3)
    numbers = [pa.array(c, mask=rng.random(n) < 0.1) for c in cells]
    arrays = [*numbers[:2], numbers[2].cast(pa.timestamp("us")), pa.array(group, pa.string()), numbers[3]]
    return pa.Table.from_arrays([*arrays, pa.array(np.arange(n) // K)], schema=private_schema(domain))


def _moved(engine: Synthesizer, target: str | None, *, units: int) -> float:
    """How far the draws of a fit move at most, in units of what is claimed of them, when one of some units is left out
    and all outputs are the same; infinity where anything else changes."""
    domain = Domain(columns=COLUMNS, target=target)
    plan = engine.plan(domain, SIZES, PrivacyBudget.spend(30.0, 1e-6))
    assert plan.parameters["depth"] == 4
    rows, noise, found = _awkward(domain), Recorded(), 0.0
    model = engine.fit(rows, domain, plan, noise=noise)
    for unit in np.random.default_rng(5).choice(UNITS, units, replace=False):
        left = pa.concat_tables([rows.slice(0, unit * K), rows.slice(unit * K + K)])
        there = noise.dictated()
        try:
            other = engine.fit(left, domain, plan, noise=there)
        except Foreign:
            return np.inf
        same = (m.sample(500, generator=np.random.default_rng(6)) for m in (model, other))
        if there.left or not next(same).equals(next(same)):
            return np.inf
        found = max(found, *(_distance(d, c) / d.sensitivity for d, c in zip(noise.draws, there.centres, strict=True)))
    return found


def _distance(draw: Draw, centre: Centre) -> float:
    gap = np.abs(draw.centre - centre).astype(np.float64)
    return float(np.sqrt((gap**2).sum()) if isinstance(draw.output, np.ndarray) else gap.max())


@pytest.mark.parametrize("target", ["ill", *(pytest.param(t, marks=pytest.mark.slow) for t in ("rate", "seen", None))])
@pytest.mark.parametrize(
    "engine", [Independent(), Star(), Tree(), Mst(steps=1), Aim(steps=1, faint=0.0)], ids=lambda engine: engine.name
)
def test_a_unit_moves_no_more_than_is_claimed(engine: Synthesizer, target: str | None) -> None:
    assert _moved(engine, target, units=3) <= 1.0


class TrueSizeAim(Aim):
    """Planted: choices by predictions for the true number of rows."""

    def fit(self, rows: pa.Table, domain: Domain, plan: Plan, *, noise: Noise) -> GraphModel:
        return self.run(TrueSize(rows, domain, plan, noise), plan)


@pytest.mark.parametrize(
    "engine",
    [TrueSizeAim(steps=1, faint=0.0), ExactShares()],
    ids=["scores by the true size", "exact shares beside the noise"],
)
def test_planted_mistakes_move_more(engine: Synthesizer) -> None:
    assert _moved(engine, "ill", units=3) > 1.0


def test_scores_of_a_tree_by_the_true_size_move_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "score", by_true_size)
    assert 1.0 < _moved(Tree(), "ill", units=12) < np.inf
