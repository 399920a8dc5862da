"""The grid never costs less than the truth, hardly more, and never grows: laws over events, budgets and sizes."""

import math
import tracemalloc

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution
from hypothesis import given, settings
from hypothesis import strategies as st

from dp_models.mechanisms.accounting import epsilon, epsilon_by_rdp, substitute_one_epsilon
from dp_models.mechanisms.composition import POINTS, SMOOTH, epsilon_by_losses, gaussian_epsilon, interval
from dp_models.mechanisms.losses import LEFT_OUT, bounds, losses
from synthgate.events import Composed, DiscreteGaussian, DpEvent, Exponential, Gaussian, PoissonGaussian, Repeated

NEAR_NOTHING = DiscreteGaussian(4_000.0)
"""Too fine to be priced as a continuous Gaussian: keeps a composition on the grid."""


def between(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers whose logarithm is uniform."""
    return st.floats(math.log(low), math.log(high)).map(math.exp)


DELTAS = between(1e-15, 1e-2)
COUNTS = st.integers(1, 900)
NOISES = st.one_of(
    st.builds(Gaussian, between(0.1, 1e6)),
    st.builds(DiscreteGaussian, between(0.1, 4_000.0)),
    st.builds(PoissonGaussian, between(1e-6, 1.0), between(0.2, 1e5), st.just(1)),
)
LEAVES = st.one_of(NOISES, st.builds(Exponential, between(1e-7, 20.0)))


def divergence(event: DpEvent, at: float) -> float:
    """The hockey-stick divergence of one event, by its definition or its published formula."""
    if isinstance(event, Exponential):
        return math.expm1((at - event.epsilon) / 2) ** 2 / -math.expm1(-event.epsilon) if at < event.epsilon else 0.0
    assert isinstance(event, DiscreteGaussian)
    reach = math.ceil(13 * event.sigma) + event.sensitivity
    x = np.arange(-reach, reach + 1)
    mass = np.exp(-(x**2) / (2 * event.sigma**2))
    loss = (event.sensitivity**2 - 2 * x * event.sensitivity) / (2 * event.sigma**2)
    return float((mass / mass.sum() * -np.expm1(np.minimum(at - loss, 0.0))).sum())


@settings(max_examples=60, deadline=None)
@given(mu=between(1e-4, 12.0), count=COUNTS, delta=DELTAS)
def test_gaussians_on_the_grid_cost_what_the_closed_form_says_and_a_little_more(
    mu: float, count: int, delta: float
) -> None:
    truth = gaussian_epsilon(mu, delta)
    shares = [(Gaussian(math.sqrt(2) / mu), 1), (PoissonGaussian(1.0, math.sqrt(2 * count) / mu, 1), count)]
    found = epsilon_by_losses(shares, delta)
    assert found >= truth * (1 - 1e-9) - 1e-12
    if truth > mu / 2:
        assert found <= truth * 1.005


@settings(max_examples=60, deadline=None)
@given(
    event=st.one_of(
        st.builds(DiscreteGaussian, between(0.3, 2 * SMOOTH), st.integers(1, 50)),
        st.builds(Exponential, between(0.01, 5.0)),
    ),
    delta=DELTAS,
)
def test_one_event_costs_what_its_divergence_says(event: DpEvent, delta: float) -> None:
    found = epsilon_by_losses([(event, 1)], delta)
    if found < math.inf:
        assert divergence(event, found) <= delta * (1 + 1e-6)
        slack = 0.005 * found + 2.0**-9
        assert found <= slack or divergence(event, found - slack) >= delta * (1 - 1e-6)


@pytest.mark.parametrize(
    ("rate", "noise", "step"), [(1e-3, 3.0, 2e-5), (1e-3, 0.7, 1e-3), (0.05, 3.0, 1e-4), (0.64, 40.0, 1e-4)]
)
@pytest.mark.parametrize("delta", [1e-3, 1e-7])
def test_subsampled_gaussians_cost_what_dp_accounting_says_and_no_less_than_its_lower_bound(
    rate: float, noise: float, step: float, delta: float
) -> None:
    def theirs(*, pessimistic: bool) -> float:
        one = privacy_loss_distribution.from_gaussian_mechanism(
            noise, value_discretization_interval=step, sampling_prob=rate, pessimistic_estimate=pessimistic,
            use_connect_dots=pessimistic,
        )  # fmt: skip
        return float(one.self_compose(300).get_epsilon_for_delta(delta))

    found = epsilon(PoissonGaussian(rate, noise, 300), delta)
    assert theirs(pessimistic=False) <= found + 1e-9
    assert found <= theirs(pessimistic=True) * 1.005 + 1e-4


@settings(max_examples=25, deadline=None)
@given(leaf=LEAVES, other=LEAVES, count=COUNTS, delta=DELTAS)
def test_more_events_and_smaller_deltas_cost_more(leaf: DpEvent, other: DpEvent, count: int, delta: float) -> None:
    event = Composed((Repeated(leaf, count), other))
    both = epsilon(event, delta)
    assert 0 <= epsilon(other, delta) <= both * 1.005 + 1e-9
    assert both <= epsilon(event, delta / 2) * 1.005 + 1e-9


@settings(max_examples=25, deadline=None)
@given(leaf=NOISES, other=NOISES, count=COUNTS, delta=DELTAS)
def test_the_second_accountant_bounds_the_first(leaf: DpEvent, other: DpEvent, count: int, delta: float) -> None:
    """Not for selections: their one distribution stands for all shifts at once, and costs a little more."""
    event = Composed((Repeated(leaf, count), other))
    assert epsilon(event, delta) <= epsilon_by_rdp(event, delta) * 1.005 + 1e-9


@settings(max_examples=60, deadline=None)
@given(leaf=LEAVES, count=COUNTS, added=st.booleans())
def test_no_event_has_more_points_than_a_grid_holds_and_no_chance_is_lost(
    leaf: DpEvent, count: int, *, added: bool
) -> None:
    low, high = bounds(leaf)
    if max(-low, high) < 500.0:
        step = interval([(leaf, count), (NEAR_NOTHING, 1)])
        found = losses(leaf, step, added=added)
        assert len(found.chances) <= POINTS
        assert found.chances.min() >= 0.0 and abs(math.fsum(found.chances) - 1) < 1e-9
        at = (found.start + np.arange(len(found.chances))) * step
        assert found.chances @ np.exp(-at) <= 1 + 1e-6  # Q's mass


CORNERS = [
    Repeated(DiscreteGaussian(1e8, 1000), 900),
    Repeated(DiscreteGaussian(4_095.0), 900),
    Repeated(DiscreteGaussian(0.05), 2),
    Repeated(DiscreteGaussian(0.01), 300),
    Repeated(DiscreteGaussian(1.0, 1000), 300),
    Repeated(Exponential(1e-6), 299),
    Composed((Repeated(DiscreteGaussian(1.1), 12), Repeated(Exponential(7.0), 11), Gaussian(1e-3))),
    PoissonGaussian(6e-6, 0.2, 300),
    PoissonGaussian(0.64, 0.2, 300),
    PoissonGaussian(0.5, 1e6, 1_000_000),
    Gaussian(1e6),
    Gaussian(1e-6),
]


@pytest.mark.parametrize("event", CORNERS, ids=str)
@pytest.mark.parametrize("delta", [1e-15, 0.01])
def test_the_corners_are_priced_in_bounded_memory(event: DpEvent, delta: float) -> None:
    tracemalloc.start()
    found, twice = epsilon(event, delta), substitute_one_epsilon(event, delta)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 <= found < math.inf and twice >= found - 1e-9 and peak < 100 * 2**20


def test_a_delta_that_the_grid_cannot_see_is_priced_by_the_second_accountant() -> None:
    event = Repeated(DiscreteGaussian(30.0), 40)
    assert epsilon_by_losses([(DiscreteGaussian(30.0), 40)], LEFT_OUT) == math.inf
    assert epsilon(event, LEFT_OUT) == epsilon_by_rdp(event, LEFT_OUT)


def test_large_counts_of_noise_cost_what_smaller_ones_approach() -> None:
    below, above = (epsilon(Repeated(DiscreteGaussian(s), 36), 1e-9) for s in (SMOOTH * 0.999999, SMOOTH))
    assert above == pytest.approx(below, rel=5e-4)
