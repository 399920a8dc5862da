"""What `aim` promises beyond the contract: a schedule that no row changes, what it costs, a bounded junction tree, and
relations that no tree holds."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from dp_accounting.pld import privacy_loss_distribution as plds

from dp_models.encoding.binning import Binning
from dp_models.encoding.codes import Codec
from dp_models.engines.aim import MAX_CELLS, MAX_COLUMNS, Aim
from dp_models.engines.mst import Mst
from dp_models.engines.star import Star
from dp_models.mechanisms.accounting import epsilon, epsilon_by_rdp
from dp_models.mechanisms.events import compose
from dp_models.mechanisms.noise import SystemNoise
from dp_models.tables.counting import count
from synthgate.budget import PrivacyBudget
from synthgate.errors import FailedPrecondition
from synthgate.events import DiscreteGaussian, Exponential
from tests.dp_models.engines.test_mst import domain_of, rows_of
from tests.dp_models.private_tables import DOMAIN, all_null, constant, people, sizes_of
from tests.fakes import ZeroNoise

BUDGET = PrivacyBudget.spend(1.0, 1e-6)


def test_the_plan_names_every_round() -> None:
    """Six columns with a target, one of them a moment with two calendar parts: the one-way tables, a star of seven, and
    round(1.5 * 6) rounds of choice and table."""
    plan = Aim().plan(DOMAIN, sizes_of(4_000), BUDGET)
    p = plan.parameters
    assert p["rounds"] == 9
    assert plan.event == compose(
        [DiscreteGaussian(p["sigma_columns"], 1)] * Binning(DOMAIN, p["depth"]).tables
        + [DiscreteGaussian(p["sigma_star"], 1)] * 7
        + [Exponential(p["epsilon_select"]), DiscreteGaussian(p["sigma_rounds"], 1)] * 9
    )


@pytest.mark.parametrize("rows", [people(0), people(400), constant(300), all_null(300)])
def test_no_row_changes_the_schedule(rows: pa.Table) -> None:
    engine = Aim(faint=0.0)
    plan = engine.plan(DOMAIN, sizes_of(300), BUDGET)
    noise = SystemNoise()
    engine.fit(rows, DOMAIN, plan, noise=noise)
    assert plan.parameters["rounds"] == 9 and noise.event == plan.event


@pytest.mark.parametrize("target", [DOMAIN.target, None], ids=["target", "none"])
def test_rounds_that_noise_would_drown_are_left_to_the_star(target: str | None) -> None:
    """The border by hand; without a target there is no star to spend on."""
    domain, found = replace(DOMAIN, target=target), set()
    for asked in (0.1, 0.3, 1.0, 3.0):
        budget = PrivacyBudget.spend(asked, 1e-6)
        rounds = Aim(faint=0.0).plan(domain, sizes_of(2_000), budget).parameters
        plan = Aim().plan(domain, sizes_of(2_000), budget)
        faint = target is not None and sizes_of(2_000).train_rows / rounds["sigma_rounds"] < 100
        assert plan.engine == "aim" and ("drown its rounds" in plan.because) is faint
        if faint:
            star, noise = Star().plan(domain, sizes_of(2_000), budget), SystemNoise()
            assert (plan.event, plan.parameters) == (star.event, star.parameters)
            Aim().fit(people(2_000), domain, plan, noise=noise)
            assert noise.event == plan.event
        else:
            assert plan.parameters == rounds
        found.add(faint)
    assert found == ({True, False} if target else {False})


@pytest.mark.parametrize(
    ("columns", "star", "choice", "tables", "delta", "by_pld", "by_rdp"),
    [
        (40.0, 35.0, 0.08, 30.0, 1e-6, 0.6598, 0.6867),
        (12.0, 10.0, 0.25, 9.0, 1e-6, 2.3761, 2.4713),
        (4.0, 3.5, 0.8, 3.0, 1e-5, 7.5772, 7.9075),
    ],
)
def test_golden_epsilons(
    columns: float, star: float, choice: float, tables: float, delta: float, by_pld: float, by_rdp: float
) -> None:
    """The schedule of six columns, a table each, at given noise, by both accountants; dp_accounting's own discrete
    Gaussians are part of it, and cost less."""
    schedule, times = Aim()._schedule(domain_of(6, 2), 6), 6
    noise = {"sigma_columns": columns, "sigma_star": star, "epsilon_select": choice, "sigma_rounds": tables}
    event = schedule.event(noise, 1)
    assert epsilon(event, delta) == pytest.approx(by_pld, abs=1e-4)
    assert epsilon_by_rdp(event, delta) == pytest.approx(by_rdp, abs=1e-4)
    gaussian = plds.from_discrete_gaussian_mechanism
    part = gaussian(columns).self_compose(6).compose(gaussian(star).self_compose(5))
    assert part.compose(gaussian(tables).self_compose(times)).get_epsilon_for_delta(delta) < by_pld


@pytest.mark.parametrize(("columns", "categories", "target"), [(14, 90, True), (20, 6, True), (8, 40, False)])
def test_the_junction_tree_is_bounded(columns: int, categories: int, target: bool) -> None:
    domain, rng = domain_of(columns, categories, target=target), np.random.default_rng(0)
    plan = Aim().plan(domain, sizes_of(1_000_000), PrivacyBudget.spend(50.0, 1e-6))
    noise = ZeroNoise()
    rows = rows_of(domain, [rng.integers(0, categories, 2_000) for _ in range(columns)])
    model = Aim().fit(rows, domain, plan, noise=noise)
    assert max(step.probabilities.size for step in model.steps) <= MAX_CELLS
    assert noise.event == plan.event


def test_more_columns_than_a_round_can_score_are_refused() -> None:
    with pytest.raises(FailedPrecondition, match="at most 60 columns"):
        Aim().plan(domain_of(MAX_COLUMNS + 1, 2), sizes_of(1_000), BUDGET)


def test_a_cycle_is_kept_which_no_tree_can_hold() -> None:
    """Four columns in a ring, each pair of neighbours related: a tree loses one of them."""
    domain, rng = domain_of(4, 2, target=False), np.random.default_rng(0)
    whole = np.ones((2, 2, 2, 2))
    for a, b in ((0, 1), (1, 2), (2, 3), (0, 3)):
        same = np.eye(2) * 2 + 1
        whole = whole * same.reshape([2 if i in (a, b) else 1 for i in range(4)])
    drawn = rng.choice(16, 20_000, p=(whole / whole.sum()).ravel())
    columns = [np.asarray(c) for c in np.unravel_index(drawn, whole.shape)]
    rows, worst = rows_of(domain, columns), {}
    for engine in (Aim(rounds_per_edge=2.0), Mst()):
        plan = engine.plan(domain, sizes_of(20_000), BUDGET)
        model = engine.fit(rows, domain, plan, noise=SystemNoise())
        sample = Codec(domain).encode(model.sample(20_000, generator=rng))
        worst[engine.name] = max(
            np.abs(count(sample[[a, b]], (3, 3)) - count([columns[a], columns[b]], (3, 3))).sum() / 4e4
            for a, b in ((0, 1), (1, 2), (2, 3), (0, 3))
        )
    assert worst["aim"] < 0.03 < worst["mst"]
