"""Plans with an accounted verdict: both together stay within what was asked, and the verdict's part is 5 % of it."""

import pytest

from dp_models.base import Plan
from dp_models.mechanisms.accounting import epsilon, rdp
from dp_models.registry import synthesizer
from dp_models.verdict import plan_judged, verdict_sigma
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.errors import FailedPrecondition
from synthgate.events import Composed, DiscreteGaussian

DOMAIN = Domain(
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=0, high=99),
        Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m")),
        Column(name="ill", kind=Kind.BOOLEAN, secret=True),
    )
)
SIZES = PublicSizes(rows=12_000, units=12_000)
ENGINES = ["aim", "auto", "gan", "independent", "mst", "star", "tree", "vae"]
ASKED = [("independent", 0.1, 1e-6), ("aim", 3.0, 1e-6), *((engine, 1.0, 5e-8) for engine in ENGINES)]


@pytest.mark.parametrize(("engine", "asked", "delta"), ASKED)
def test_engine_and_verdict_together_cost_what_was_asked(engine: str, asked: float, delta: float) -> None:
    budget = PrivacyBudget.spend(asked, delta)
    plan = plan_judged(synthesizer(engine), DOMAIN, SIZES, budget)
    assert plan.verdict is not None
    assert 0.98 * budget.epsilon < epsilon(plan.event, budget.delta) <= budget.epsilon
    share = rdp(plan.verdict.event, 2) / rdp(plan.event, 2)
    assert 0.049 < share < 0.053
    assert plan.budget == budget


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engine_gets_the_plan_that_it_made(engine: str) -> None:
    plan = plan_judged(synthesizer(engine), DOMAIN, SIZES, PrivacyBudget.spend(1.0, 1e-6))
    assert plan.verdict is not None
    assert plan.fitted == synthesizer(engine).plan(DOMAIN, SIZES, plan.verdict.left)
    assert plan.event == Composed((plan.fitted.event, DiscreteGaussian(plan.verdict.sigma, 1)))
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.fitted.fitted == Plan.from_json(plan.fitted.to_json()) == plan.fitted


@pytest.mark.parametrize("sigma", [0.5, 1e-9, 1e9])
def test_a_plan_that_draws_another_verdict_than_it_prices_is_refused(sigma: float) -> None:
    plan = plan_judged(synthesizer("independent"), DOMAIN, SIZES, PrivacyBudget.spend(1.0, 1e-6)).to_json()
    with pytest.raises(FailedPrecondition, match="than it prices"):
        Plan.from_json(plan | {"verdict": plan["verdict"] | {"sigma": sigma}})
    with pytest.raises(FailedPrecondition, match="than it prices"):
        Plan.from_json(plan | {"event": DiscreteGaussian(sigma, 1).to_json()})


def test_a_plan_of_an_exact_verdict_reads_as_before() -> None:
    plan = synthesizer("independent").plan(DOMAIN, SIZES, PrivacyBudget.spend(1.0, 1e-6))
    assert "verdict" not in plan.to_json()
    assert Plan.from_json(plan.to_json()).verdict is None


def test_the_noise_of_a_verdict_by_hand() -> None:
    """One Gaussian of epsilon 1 at delta 5e-8 has sigma 4.811; over the root of 0.05 that is 21.51."""
    assert verdict_sigma(PrivacyBudget.spend(1.0, 5e-8)) == pytest.approx(21.516, abs=0.02)


def test_a_claim_of_a_foreign_library_cannot_be_combined() -> None:
    with pytest.raises(FailedPrecondition, match="`verdict: exact`"):
        plan_judged(synthesizer("smartnoise-dpctgan"), DOMAIN, SIZES, PrivacyBudget.spend(1.0, 1e-5))
