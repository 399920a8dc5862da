"""What events cost, against numbers that were computed elsewhere and against a second accountant."""

import itertools
import math

import dp_accounting
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant, privacy_loss_distribution
from dp_accounting.rdp import RdpAccountant
from opacus.accountants import PRVAccountant, RDPAccountant

from dp_models.mechanisms.accounting import (
    ORDERS,
    accountant,
    epsilon,
    epsilon_by_rdp,
    rdp,
    substitute_one_epsilon,
    to_dp_accounting,
)
from synthgate.events import (
    Composed,
    DiscreteGaussian,
    DpEvent,
    Exponential,
    Gaussian,
    Opaque,
    PoissonGaussian,
    Repeated,
    ZeroConcentrated,
)

GOLDEN = [
    (Repeated(Exponential(0.1), 14), 1e-6, 0.846, 1e-3),
    (DiscreteGaussian(1.544), 1e-6, 3.047, 1e-3),
    (Gaussian(1.544), 1e-6, 3.000, 1e-3),
    (DiscreteGaussian(4.809), 5e-8, 1.0017, 1e-4),
    (DiscreteGaussian(48.09, 10), 5e-8, 1.000, 2e-3),
    (Gaussian(4.809), 5e-8, 1.000, 1e-3),
    (Gaussian(1.727), 5e-8, 3.000, 1e-3),
    (Opaque(1.0, 1e-7), 1e-6, 1.0, 0.0),
    (Repeated(Opaque(1.0, 1e-7), 3), 1e-6, 3.0, 0.0),
]


@pytest.mark.parametrize(("event", "delta", "wanted", "within"), GOLDEN, ids=str)
def test_golden_epsilons(event: DpEvent, delta: float, wanted: float, within: float) -> None:
    assert epsilon(event, delta) == pytest.approx(wanted, abs=max(within, 1e-9))


PRICED = [
    Gaussian(3.0),
    Repeated(Gaussian(10.0), 7),
    Repeated(DiscreteGaussian(30.0), 40),
    PoissonGaussian(0.1, 4.0, 300),
    Composed((Repeated(DiscreteGaussian(40.0, 2), 5), Exponential(0.05), PoissonGaussian(0.02, 1.5, 100))),
]


@pytest.mark.parametrize("event", PRICED, ids=str)
@pytest.mark.parametrize("delta", [1e-5, 1e-8])
def test_both_accountants_agree_and_the_second_costs_more(event: DpEvent, delta: float) -> None:
    first, second = epsilon(event, delta), epsilon_by_rdp(event, delta)
    assert first <= second <= 1.25 * first


@pytest.mark.parametrize("event", [Gaussian(3.0), Repeated(Gaussian(10.0), 7), PoissonGaussian(0.1, 4.0, 300)], ids=str)
def test_the_same_figures_as_dp_accounting(event: DpEvent) -> None:
    by_pld = PLDAccountant(value_discretization_interval=1e-4).compose(to_dp_accounting(event)).get_epsilon(1e-6)
    assert epsilon(event, 1e-6) == pytest.approx(by_pld, rel=2e-3)
    by_rdp = RdpAccountant(orders=[13]).compose(to_dp_accounting(event))
    conversion = math.log1p(-1 / 13) - math.log(13 * 1e-6) / 12
    assert rdp(event, 13) + conversion == pytest.approx(by_rdp.get_epsilon(1e-6), rel=1e-9)


@pytest.mark.filterwarnings("ignore:Optimal order")
@pytest.mark.parametrize(("rate", "noise", "steps"), [(0.3, 4.0, 60), (0.01, 1.0, 1_000), (0.9, 30.0, 60)])
def test_dp_sgd_costs_what_the_accountants_of_opacus_say(rate: float, noise: float, steps: int) -> None:
    renyi, loss, event = RDPAccountant(), PRVAccountant(), PoissonGaussian(rate, noise, steps)
    renyi.history = loss.history = [(noise, rate, steps)]
    assert epsilon_by_rdp(event, 1e-6) == pytest.approx(renyi.get_epsilon(1e-6, alphas=[*ORDERS]), rel=1e-6)
    assert epsilon(event, 1e-6) == pytest.approx(loss.get_epsilon(1e-6, eps_error=0.001), abs=0.002)


@pytest.mark.parametrize(("sigma", "sensitivity"), [(0.3, 1), (1.544, 1), (20.0, 3), (300.0, 1)])
def test_the_discrete_gaussian_has_the_distribution_that_dp_accounting_gives_it(sigma: float, sensitivity: int) -> None:
    theirs = privacy_loss_distribution.from_discrete_gaussian_mechanism(
        sigma, sensitivity, value_discretization_interval=1e-4, use_connect_dots=True
    )
    for delta in (1e-4, 1e-6, 1e-9):
        mine = epsilon(DiscreteGaussian(sigma, sensitivity), delta)
        assert mine == pytest.approx(theirs.get_epsilon_for_delta(delta), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("event", "order", "wanted"),
    [
        (Gaussian(2.0), 4, 0.5),
        (DiscreteGaussian(6.0, 3), 4, 0.5),
        (Exponential(0.2), 4, 0.02),
        (Exponential(10.0), 64, 10.0),
        (PoissonGaussian(1.0, 2.0, 3), 4, 1.5),
        (Composed((Gaussian(2.0), Repeated(Exponential(0.2), 2))), 4, 0.54),
        (Opaque(1.0, 1e-6), 4, math.inf),
    ],
)
def test_renyi_divergences_by_hand(event: DpEvent, order: int, wanted: float) -> None:
    assert rdp(event, order) == pytest.approx(wanted, rel=1e-12)


def test_what_no_accountant_knows_costs_infinity() -> None:
    class Foreign(DpEvent):
        pass

    for event in (Foreign(), Composed((Gaussian(1.0), Foreign())), Opaque(1.0, 1e-5)):
        assert epsilon(event, 1e-6) == math.inf
    assert rdp(Foreign(), 4) == epsilon_by_rdp(Foreign(), 1e-6) == math.inf
    assert isinstance(to_dp_accounting(Foreign()), dp_accounting.UnsupportedDpEvent)


def test_opaque_claims_add_to_the_rest_by_basic_composition() -> None:
    both = Composed((Opaque(0.5, 4e-7), Gaussian(5.0)))
    assert epsilon(both, 1e-6) == pytest.approx(0.5 + epsilon(Gaussian(5.0), 6e-7), rel=1e-12)


def test_order_and_grouping_of_a_composition_do_not_matter() -> None:
    parts = [DiscreteGaussian(20.0), Exponential(0.1), DiscreteGaussian(20.0)]
    prices = {epsilon(Composed(tuple(order)), 1e-6) for order in itertools.permutations(parts)}
    prices.add(epsilon(Composed((Repeated(parts[0], 2), parts[1])), 1e-6))
    assert len(prices) == 1


@pytest.mark.parametrize("parameter", [0.05, 0.5, 2.0])
def test_the_exponential_mechanism_is_bounded_by_its_range(parameter: float) -> None:
    """Every mechanism exp(eps (s + t)) against exp(eps s) with shifts in a range of eps lies under the profile."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        before = rng.dirichlet(np.ones(6))
        after = before * np.exp(rng.choice([0.0, parameter], 6))
        after /= after.sum()
        for e in np.linspace(0, parameter, 7):
            delta = float(np.maximum(after - math.exp(e) * before, 0).sum())
            if delta > 1e-9:
                assert epsilon(Exponential(parameter), delta) >= e - 1e-9


@pytest.mark.parametrize("sigma", [0.7, 2.0, 9.0])
def test_rows_of_a_unit_in_several_cells_cost_no_more_than_in_one(sigma: float) -> None:
    assert epsilon(Repeated(DiscreteGaussian(sigma), 2), 1e-6) <= epsilon(DiscreteGaussian(sigma, 2), 1e-6)


@pytest.mark.parametrize("event", [Gaussian(4.809), Repeated(Exponential(0.1), 14), PoissonGaussian(0.1, 8.0, 400)])
def test_substituting_a_unit_costs_two_steps(event: DpEvent) -> None:
    delta = 1e-6
    twice = substitute_one_epsilon(event, delta)
    assert 2 * epsilon(event, delta) < twice < 2.6 * epsilon(event, delta)
    if isinstance(event, Gaussian):
        assert twice >= epsilon(Gaussian(event.noise_multiplier / 2), delta)


@pytest.mark.parametrize(("rho", "order"), [(0.5, 2), (0.5, 64), (1e-4, 13)])
def test_a_filter_diverges_by_rho_times_the_order(rho: float, order: int) -> None:
    assert rdp(ZeroConcentrated(rho), order) == rho * order
    assert rdp(Repeated(ZeroConcentrated(rho), 3), order) == pytest.approx(3 * rho * order)


@pytest.mark.parametrize("delta", [1e-5, 1e-9])
@pytest.mark.parametrize(
    "event", [ZeroConcentrated(0.02), Composed((DiscreteGaussian(5.0), ZeroConcentrated(0.02)))], ids=str
)
def test_no_loss_distribution_prices_a_filter(event: DpEvent, delta: float) -> None:
    assert epsilon(event, delta) == epsilon_by_rdp(event, delta)
    assert accountant(event, delta).startswith("RDP")


def test_a_filter_costs_what_dp_accounting_says_and_more_than_the_same_noise_fixed_in_advance() -> None:
    """rho 1/(2 sigma^2) is that of one Gaussian, whose exact epsilon at sigma 4.809 and delta 5e-8 is 1."""
    event = ZeroConcentrated(1 / (2 * 4.809**2))
    theirs = RdpAccountant(orders=list(range(2, 257))).compose(to_dp_accounting(event)).get_epsilon(5e-8)
    assert epsilon(event, 5e-8) == pytest.approx(theirs, rel=1e-9)
    assert 1.0 < epsilon(event, 5e-8) < 1.2
