"""What `tree` promises beyond the contract: bounded scores, a bound on noisy cells, and relations that survive."""

import numpy as np
import pyarrow as pa
import pytest

from dp_models.base import IntArray
from dp_models.encoding.codes import Codec
from dp_models.encoding.table import private_schema
from dp_models.engines.independent import Independent
from dp_models.engines.star import Star
from dp_models.engines.tree import MAX_CELLS, Tree, predict, score
from dp_models.mechanisms.noise import SystemNoise
from dp_models.tables.counting import count
from synthgate.budget import PrivacyBudget
from synthgate.domain import Column, Domain, Kind
from synthgate.errors import FailedPrecondition
from tests.dp_models.private_tables import DOMAIN, people, sizes_of
from tests.fakes import ZeroNoise

BUDGET = PrivacyBudget.spend(1.0, 1e-6)


class CountedCells(ZeroNoise):
    """Remembers how many cells were counted."""

    cells = 0

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        self.cells += counts.size
        return super().discrete_gaussian(counts, sigma=sigma, sensitivity=sensitivity)


def _domain(columns: int, categories: int, *, target: bool = True) -> Domain:
    names = tuple(map(str, range(categories)))
    return Domain(
        columns=tuple(Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=names) for i in range(columns)),
        target="c0" if target else None,
    )


def _rows(domain: Domain, columns: list[np.ndarray]) -> pa.Table:
    cells = [pa.array(c.astype(str)) for c in columns]
    return pa.Table.from_arrays([*cells, pa.array(np.arange(len(columns[0])))], schema=private_schema(domain))


@pytest.mark.parametrize(("columns", "categories"), [(14, 90), (60, 40), (3, 900)])
def test_noisy_cells_are_bounded(columns: int, categories: int) -> None:
    domain, rng = _domain(columns, categories), np.random.default_rng(0)
    plan = Tree().plan(domain, sizes_of(1_000_000), PrivacyBudget.spend(50.0, 1e-6))
    noise = CountedCells()
    Tree().fit(_rows(domain, [rng.integers(0, categories, 2_000) for _ in range(columns)]), domain, plan, noise=noise)
    assert noise.cells <= MAX_CELLS
    assert noise.event == plan.event


def test_a_domain_with_too_many_codes_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="too many"):
        Tree().plan(_domain(110, 1_000), sizes_of(1_000), BUDGET)


@pytest.mark.parametrize("k", [1, 3])
def test_a_unit_moves_every_score_by_at_most_its_rows(k: int) -> None:
    """Exactly, not up to rounding: predicted counts lie on a grid that double precision adds without error."""
    rng = np.random.default_rng(0)
    codec = Codec(DOMAIN)
    fine = codec.encode(people(600, rows_per_unit=k))
    target = rng.dirichlet([5, 5, 0.1]) * 600
    star = [rng.dirichlet([1] * size, 3).T * target for size in codec.sizes[:-1]]
    for a in range(len(star) - 1):
        expected = predict(star[a], star[a + 1])
        whole = score(count(fine[[a, a + 1, -1]], expected.shape), expected)
        for unit in range(0, 200, 7):
            kept = np.delete(fine, np.arange(unit * k, unit * k + k), axis=1)
            assert abs(whole - score(count(kept[[a, a + 1, -1]], expected.shape), expected)) <= k


def test_a_chain_is_found_and_kept() -> None:
    """x0 -> x1 -> x2 -> x3, each a noisy copy of the one before; only that tree explains the table."""
    domain, rng = _domain(4, 3, target=False), np.random.default_rng(0)
    columns = [rng.integers(0, 3, 5_000)]
    for _ in range(3):
        columns.append(np.where(rng.random(5_000) < 0.8, columns[-1], rng.integers(0, 3, 5_000)))
    rows, plan = _rows(domain, columns), Tree().plan(domain, sizes_of(5_000), BUDGET)
    model = Tree().fit(rows, domain, plan, noise=SystemNoise())
    assert {frozenset((s.column, s.parent)) for s in model.steps if s.parent is not None} == {
        frozenset(edge) for edge in ((0, 1), (1, 2), (2, 3))
    }
    sample = Codec(domain).encode(model.sample(5_000, generator=rng))
    for a, b in ((0, 1), (0, 3)):
        distance = np.abs(count([sample[a], sample[b]], (4, 4)) - count([columns[a], columns[b]], (4, 4))).sum() / 1e4
        assert distance < 0.04


def test_relations_survive_where_independent_columns_lose_them() -> None:
    distances = {}
    codec, rows = Codec(DOMAIN), people(4_000)
    true = codec.encode(rows)
    for engine in (Independent(), Tree()):
        plan = engine.plan(DOMAIN, sizes_of(4_000), BUDGET)
        model = engine.fit(rows, DOMAIN, plan, noise=SystemNoise())
        drawn = codec.encode(model.sample(4_000, generator=np.random.default_rng(0)))
        shape = (codec.sizes[0], codec.sizes[5])
        distances[engine.name] = np.abs(count(drawn[[0, 5]], shape) - count(true[[0, 5]], shape)).sum() / 8_000
    assert distances["independent"] > 0.2
    assert distances["tree"] < 0.06


def test_a_star_keeps_what_goes_through_the_target_alone() -> None:
    """x1 follows the target, x3 follows x2: a star sees the first relation, a tree both."""
    domain, rng = _domain(4, 3), np.random.default_rng(0)
    t, free = rng.integers(0, 3, 5_000), rng.integers(0, 3, 5_000)
    noisy = [np.where(rng.random(5_000) < 0.8, c, rng.integers(0, 3, 5_000)) for c in (t, free)]
    columns = [t, noisy[0], free, noisy[1]]
    seen = {}
    for engine in (Star(), Tree()):
        plan = engine.plan(domain, sizes_of(5_000), BUDGET)
        model = engine.fit(_rows(domain, columns), domain, plan, noise=SystemNoise())
        drawn = Codec(domain).encode(model.sample(5_000, generator=rng))
        seen[engine.name] = [
            np.abs(count([drawn[a], drawn[b]], (4, 4)) - count([columns[a], columns[b]], (4, 4))).sum() / 1e4
            for a, b in ((0, 1), (2, 3))
        ]
    assert seen["star"][0] < 0.04 and seen["star"][1] > 0.3
    assert max(seen["tree"]) < 0.04


def test_edges_give_up_on_the_target_before_their_columns() -> None:
    plans = [Tree().plan(DOMAIN, sizes_of(4_000), PrivacyBudget.spend(e, 1e-6)).parameters for e in (0.2, 5.0)]
    assert plans[0]["target_edge_levels"] == 1 < plans[0]["levels"]
    assert plans[1]["target_edge_levels"] == plans[1]["target_levels"] == 2
