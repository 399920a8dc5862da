"""What `mst` promises beyond the contract: what it costs, bounded scores, a bounded junction tree, relations that
survive."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from dp_accounting.pld import privacy_loss_distribution as plds

from dp_models.encoding.binning import Binning
from dp_models.encoding.codes import Codec
from dp_models.encoding.table import private_schema
from dp_models.engines.mst import MAX_CELLS, Mst
from dp_models.graphical.star import score
from dp_models.mechanisms.accounting import epsilon, epsilon_by_rdp
from dp_models.mechanisms.events import compose
from dp_models.mechanisms.noise import SystemNoise
from dp_models.tables.counting import count
from synthgate.budget import PrivacyBudget
from synthgate.domain import Column, Domain, Kind
from synthgate.errors import FailedPrecondition
from synthgate.events import DiscreteGaussian, Exponential
from tests.dp_models.private_tables import DOMAIN, people, sizes_of
from tests.fakes import ZeroNoise

BUDGET = PrivacyBudget.spend(1.0, 1e-6)


def domain_of(columns: int, categories: int, *, target: bool = True) -> Domain:
    """Columns c0, c1, ... of the same categories 0, 1, ...; c0 is the target."""
    names = tuple(map(str, range(categories)))
    return Domain(
        columns=tuple(Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=names) for i in range(columns)),
        target="c0" if target else None,
    )


def rows_of(domain: Domain, columns: list[np.ndarray]) -> pa.Table:
    cells = [pa.array(c.astype(str)) for c in columns]
    return pa.Table.from_arrays([*cells, pa.array(np.arange(len(columns[0])))], schema=private_schema(domain))


def test_the_plan_names_every_table_and_choice() -> None:
    """Six columns with a target, one of them a moment with two calendar parts: the one-way tables, a star of seven, and
    six edges, each chosen and measured."""
    plan = Mst().plan(DOMAIN, sizes_of(4_000), BUDGET)
    p = plan.parameters
    assert plan.event == compose(
        [DiscreteGaussian(p["sigma_columns"], 1)] * Binning(DOMAIN, p["depth"]).tables
        + [DiscreteGaussian(p["sigma_star"], 1)] * 7
        + [Exponential(p["epsilon_select"])] * 6
        + [DiscreteGaussian(p["sigma_edges"], 1)] * 6
    )


@pytest.mark.parametrize(
    ("columns", "star", "choice", "tables", "delta", "by_pld", "by_rdp"),
    [
        (40.0, 35.0, 0.08, 30.0, 1e-6, 0.5692, 0.5994),
        (12.0, 10.0, 0.25, 9.0, 1e-6, 2.0586, 2.1643),
        (4.0, 3.5, 0.8, 3.0, 1e-5, 6.4349, 6.8231),
    ],
)
def test_golden_epsilons(
    columns: float, star: float, choice: float, tables: float, delta: float, by_pld: float, by_rdp: float
) -> None:
    """The schedule of six columns, a table each, at given noise, by both accountants; dp_accounting's own discrete
    Gaussians are part of it, and cost less."""
    schedule, times = Mst()._schedule(domain_of(6, 2), 6), 4
    noise = {"sigma_columns": columns, "sigma_star": star, "epsilon_select": choice, "sigma_edges": tables}
    event = schedule.event(noise, 1)
    assert epsilon(event, delta) == pytest.approx(by_pld, abs=1e-4)
    assert epsilon_by_rdp(event, delta) == pytest.approx(by_rdp, abs=1e-4)
    gaussian = plds.from_discrete_gaussian_mechanism
    part = gaussian(columns).self_compose(6).compose(gaussian(star).self_compose(5))
    assert part.compose(gaussian(tables).self_compose(times)).get_epsilon_for_delta(delta) < by_pld


@pytest.mark.parametrize("k", [1, 3])
def test_a_unit_moves_every_score_by_at_most_its_rows(k: int) -> None:
    """Exactly, not up to rounding: predicted counts lie on a grid that double precision adds without error."""
    rng, codec = np.random.default_rng(0), Codec(DOMAIN)
    fine = codec.encode(people(600, rows_per_unit=k))
    for a, b in combinations(range(len(fine)), 2):
        shape = codec.sizes[a], codec.sizes[b]
        expected = rng.dirichlet([0.3] * shape[0] * shape[1]).reshape(shape) * 600
        whole = score(count([fine[a], fine[b]], shape), expected)
        for unit in range(0, 200, 17):
            kept = np.delete(fine, np.arange(unit * k, unit * k + k), axis=1)
            assert abs(whole - score(count([kept[a], kept[b]], shape), expected)) <= k


@pytest.mark.parametrize(("columns", "categories"), [(14, 90), (40, 30), (3, 300)])
def test_the_junction_tree_is_bounded(columns: int, categories: int) -> None:
    domain, rng = domain_of(columns, categories), np.random.default_rng(0)
    plan = Mst().plan(domain, sizes_of(1_000_000), PrivacyBudget.spend(50.0, 1e-6))
    noise = ZeroNoise()
    rows = rows_of(domain, [rng.integers(0, categories, 2_000) for _ in range(columns)])
    model = Mst().fit(rows, domain, plan, noise=noise)
    assert sum(step.probabilities.size for step in model.steps) <= MAX_CELLS
    assert noise.event == plan.event


def test_a_domain_with_too_many_codes_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="too many"):
        Mst().plan(domain_of(110, 1_000), sizes_of(1_000), BUDGET)


def test_a_chain_is_found_and_kept() -> None:
    """x0 -> x1 -> x2 -> x3, each a noisy copy of the one before; only that tree explains the table."""
    domain, rng = domain_of(4, 3, target=False), np.random.default_rng(0)
    columns = [rng.integers(0, 3, 5_000)]
    for _ in range(3):
        columns.append(np.where(rng.random(5_000) < 0.8, columns[-1], rng.integers(0, 3, 5_000)))
    plan = Mst().plan(domain, sizes_of(5_000), BUDGET)
    model = Mst().fit(rows_of(domain, columns), domain, plan, noise=SystemNoise())
    assert {frozenset((s.column, *s.given)) for s in model.steps if s.given} == {
        frozenset(edge) for edge in ((0, 1), (1, 2), (2, 3))
    }
    sample = Codec(domain).encode(model.sample(5_000, generator=rng))
    for a, b in ((0, 1), (0, 3)):
        distance = np.abs(count([sample[a], sample[b]], (4, 4)) - count([columns[a], columns[b]], (4, 4))).sum() / 1e4
        assert distance < 0.04


def test_pairs_with_the_target_are_measured() -> None:
    """Two columns that follow the target and one that follows the first: every pair with the target is kept."""
    domain, rng = domain_of(4, 3), np.random.default_rng(0)
    t = rng.integers(0, 3, 8_000)
    a, b = (np.where(rng.random(8_000) < 0.6, t, rng.integers(0, 3, 8_000)) for _ in range(2))
    columns = [t, a, b, np.where(rng.random(8_000) < 0.6, a, rng.integers(0, 3, 8_000))]
    plan = Mst().plan(domain, sizes_of(8_000), BUDGET)
    model = Mst().fit(rows_of(domain, columns), domain, plan, noise=SystemNoise())
    sample = Codec(domain).encode(model.sample(8_000, generator=rng))
    for pair in ((0, 1), (0, 2), (0, 3), (1, 3)):
        shape = (4, 4)
        distance = np.abs(count(sample[list(pair)], shape) - count([columns[i] for i in pair], shape)).sum() / 1.6e4
        assert distance < 0.04, pair
