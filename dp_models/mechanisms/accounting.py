"""What events cost: privacy loss distributions first, Renyi divergence second, and nothing for free.

``epsilon`` composes privacy loss distributions (Koskela, Jalko, Honkela 2020; connect-the-dots discretisation of
Doroshenko et al. 2022, so every figure is an upper bound). ``rdp`` and ``epsilon_by_rdp`` are the second opinion and
the fixed-order meter. All of it is add/remove accounting, which covers zero-out adjacency. An event that is not known
here costs infinity, that is, it is refused.

Discrete Gaussian noise is always priced by its own discrete distribution: at sigma 1.544 and delta 1e-6 one table
costs 3.047 where the continuous formula says 3.000. Loss distributions compose what is fixed in advance; what adapted
inside a filter (`ZeroConcentrated`) is priced by its Renyi divergence, and so is all that is composed with it.
"""

import math
from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_models.mechanisms.divergence import renyi
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

ACCOUNTANT = "pld"
ORDERS = (*range(2, 65), *range(66, 129, 2), *range(132, 257, 4), 320, 384, 512, 1024)
HIGH_ORDERS = tuple(2**i for i in range(11, 21))
"""For very small epsilons; a subsampled Gaussian would take a sum of as many terms at each."""
_FINEST, _COARSEST, _ROUGH_DELTA = 1e-6, 1e-3, 1e-9


@lru_cache(maxsize=65536)
def epsilon(event: DpEvent, delta: float) -> float:
    """The smallest epsilon (up to discretisation, never below) at which ``event`` is (epsilon, delta)-DP.

    Opaque events add up by basic composition and take their deltas off ``delta`` first. Infinity for unknown events.
    """
    leaves = dict(_leaves(event))
    opaque = {e: n for e, n in leaves.items() if isinstance(e, Opaque)}
    rest = frozenset((e, n) for e, n in leaves.items() if e not in opaque)
    left = delta - math.fsum(e.delta * n for e, n in opaque.items())
    claimed = math.fsum(e.epsilon * n for e, n in opaque.items())
    if left < 0 or not 0 < delta < 1 or not all(isinstance(e, _PRICED) for e, _ in rest):
        return math.inf
    if not rest:
        return claimed
    return claimed + (_epsilon_by_pld(rest, left) if left > 0 else math.inf)


@lru_cache(maxsize=65536)
def rdp(event: DpEvent, order: int) -> float:
    """The Renyi divergence bound of integer ``order`` (2 and more), in nats. Infinity for what has none."""
    return math.fsum(n * renyi(leaf, order) for leaf, n in _leaves(event))


@lru_cache(maxsize=4096)
def epsilon_by_rdp(event: DpEvent, delta: float) -> float:
    """The second accountant: the best conversion over integer orders (Canonne, Kamath, Steinke 2020, prop. 12)."""
    found = math.inf
    sampled = any(isinstance(leaf, PoissonGaussian) for leaf, _ in _leaves(event))
    for order in ORDERS if sampled else (*ORDERS, *HIGH_ORDERS):
        gain = math.log1p(-1 / order) - math.log(order * delta) / (order - 1)
        found = min(found, rdp(event, order) + gain)
    return max(found, 0.0)


@lru_cache(maxsize=1024)
def substitute_one_epsilon(event: DpEvent, delta: float) -> float:
    """A valid epsilon at ``delta`` when one unit is replaced by another, by group privacy over two zero-out steps.

    Two steps of (e, d) each give (2 e, d (1 + exp(e))); the largest d found with d (1 + exp(e(d))) <= delta is used.
    Infinity where none is found.
    """

    def step(log_d: float) -> float:
        d = math.exp(log_d)
        one = min(epsilon(event, d), epsilon_by_rdp(event, d))
        return one if log_d + float(np.logaddexp(0.0, one)) <= math.log(delta) else math.inf

    top = math.log(delta / 2)
    low = next((d for d in np.arange(top, top - 150, -math.log(2)) if step(float(d)) < math.inf), None)
    if low is None:
        return math.inf
    high = min(low + math.log(2), top)
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if step(middle) < math.inf else (low, middle)
    return 2 * step(float(low))


def to_dp_accounting(event: DpEvent) -> Any:
    """The event in ``dp_accounting``'s vocabulary, for readers who bring their own accountant.

    dp_accounting 0.6 has no class for the discrete Gaussian (its zCDP is given) nor for the exponential mechanism
    (UnsupportedDpEvent); opaque claims become EpsilonDeltaDpEvent.
    """
    from dp_accounting import dp_event as dpa

    match event:
        case Gaussian(noise_multiplier):
            return dpa.GaussianDpEvent(noise_multiplier)
        case DiscreteGaussian(sigma, sensitivity):
            return dpa.ZCDpEvent(rho=sensitivity**2 / (2 * sigma**2))
        case PoissonGaussian(rate, noise_multiplier, steps):
            step = dpa.PoissonSampledDpEvent(rate, dpa.GaussianDpEvent(noise_multiplier))
            return dpa.SelfComposedDpEvent(step, steps)
        case ZeroConcentrated(rho):
            return dpa.ZCDpEvent(rho=rho)
        case Opaque(claimed, delta):
            return dpa.EpsilonDeltaDpEvent(claimed, delta)
        case Composed(events):
            return dpa.ComposedDpEvent([to_dp_accounting(e) for e in events])
        case Repeated(inner, count):
            return dpa.SelfComposedDpEvent(to_dp_accounting(inner), count)
    return dpa.UnsupportedDpEvent()


def _leaves(event: DpEvent, count: int = 1) -> tuple[tuple[DpEvent, int], ...]:
    """Every leaf with how often it ran; order does not matter for a price."""
    found: Counter[DpEvent] = Counter()
    if isinstance(event, Composed):
        for inner in event.events:
            found.update(dict(_leaves(inner, count)))
    elif isinstance(event, Repeated):
        found.update(dict(_leaves(event.event, count * event.count)))
    elif isinstance(event, PoissonGaussian):
        found[PoissonGaussian(event.sampling_rate, event.noise_multiplier, 1)] = count * event.steps
    else:
        found[event] = count
    return tuple(found.items())


_PRICED = (Gaussian, DiscreteGaussian, Exponential, PoissonGaussian, ZeroConcentrated)


_LEAST_DELTA = 1e-12
"""Below it the mass that a grid cuts off is no longer small beside delta."""
_LEAST_ROUGH, _MOST_ROUGH = 0.008, 40.0
"""Epsilons (at delta 1e-9) whose grids are neither too fine nor too long."""
_WIDEST_SIGMA = 100_000.0
"""The widest discrete Gaussian whose support is listed."""


def _epsilon_by_pld(leaves: frozenset[tuple[DpEvent, int]], delta: float) -> float:
    if all(isinstance(e, Gaussian) for e, _ in leaves):
        return _gaussian_epsilon(math.sqrt(math.fsum(n * 2 * renyi(e, 1) for e, n in leaves)), delta)
    whole = Composed(tuple(Repeated(e, n) for e, n in leaves))
    if not _on_grid(leaves, delta):
        return epsilon_by_rdp(whole, delta)
    return float(_composed_pld(leaves, _interval(leaves)).get_epsilon_for_delta(delta))


def accountant(event: DpEvent, delta: float) -> str:
    """Which accountant `epsilon` uses for ``event``, in words for a statement."""
    leaves = _leaves(event)
    if all(isinstance(e, Opaque) for e, _ in leaves):
        return "basic composition of the claims of a foreign mechanism"
    if all(isinstance(e, Gaussian) for e, _ in leaves):
        return "the exact formula for Gaussian noise (Balle, Wang 2018)"
    grid = _on_grid(frozenset((e, n) for e, n in leaves if not isinstance(e, Opaque)), delta)
    return "PLD (dp-accounting, connect-the-dots, pessimistic)" if grid else "RDP (Canonne, Kamath, Steinke 2020)"


def _on_grid(leaves: frozenset[tuple[DpEvent, int]], delta: float) -> bool:
    """Whether there is a loss distribution, and it stays small and resolves ``delta``: pricing runs in the serving
    process, for whoever asks. Elsewhere the Rényi bound prices, quickly and never below the truth."""
    if any(isinstance(e, ZeroConcentrated) for e, _ in leaves):
        return False
    rough = epsilon_by_rdp(Composed(tuple(Repeated(e, n) for e, n in leaves)), _ROUGH_DELTA)
    widest = max((e.sigma for e, _ in leaves if isinstance(e, DiscreteGaussian)), default=0.0)
    return delta >= _LEAST_DELTA and _LEAST_ROUGH <= rough <= _MOST_ROUGH and widest <= _WIDEST_SIGMA


@lru_cache(maxsize=4096)
def _interval(leaves: frozenset[tuple[DpEvent, int]]) -> float:
    """How finely losses are cut: well below the typical loss of one mechanism. Coarser is faster and costs more."""
    rough = epsilon_by_rdp(Composed(tuple(Repeated(e, n) for e, n in leaves)), _ROUGH_DELTA)
    wanted = rough / (200 * math.sqrt(sum(n for _, n in leaves)))
    return float(2.0 ** math.floor(math.log2(min(max(wanted, _FINEST), _COARSEST))))


def _gaussian_epsilon(mu: float, delta: float) -> float:
    """Gaussian queries of total signal ``mu`` (sensitivity over noise), exactly (Balle, Wang 2018, theorem 8)."""
    from scipy.optimize import brentq
    from scipy.special import log_ndtr

    def surplus(e: float) -> float:
        first, second = log_ndtr(mu / 2 - e / mu), e + log_ndtr(-mu / 2 - e / mu)
        return float(first + np.log1p(-np.exp(min(second - first, -1e-300)))) - math.log(delta)

    high = mu**2 / 2 + mu * math.sqrt(2 * math.log(1 / delta)) + 1e-9
    return 0.0 if surplus(0.0) <= 0 else float(brentq(surplus, 0.0, high, xtol=1e-12)) + 1e-12


@lru_cache(maxsize=32)
def _composed_pld(leaves: frozenset[tuple[DpEvent, int]], interval: float) -> Any:
    composed = None
    for leaf, count in sorted(leaves, key=repr):
        pld = _pld(leaf, count, interval)
        composed = pld if composed is None else composed.compose(pld)
    return composed


@lru_cache(maxsize=64)
def _pld(leaf: DpEvent, count: int, interval: float) -> Any:
    from dp_accounting.pld import privacy_loss_distribution as plds

    match leaf:
        case Gaussian(noise_multiplier):
            return plds.from_gaussian_mechanism(
                noise_multiplier / math.sqrt(count), value_discretization_interval=interval
            )
        case DiscreteGaussian(sigma, sensitivity):
            one = _discrete_gaussian_pld(sigma, sensitivity, interval)
        case Exponential(parameter):
            one = _bounded_range_pld(parameter, interval)
        case PoissonGaussian(rate, noise_multiplier, _):
            one = plds.from_gaussian_mechanism(
                noise_multiplier, value_discretization_interval=interval, sampling_prob=rate
            )
        case _:
            raise AssertionError(f"no distribution for {leaf!r}")
    return one.self_compose(count) if count > 1 else one


def _discrete_gaussian_pld(sigma: float, sensitivity: int, interval: float) -> Any:
    """Exact hockey-stick divergences of the discrete Gaussian on a grid, joined by straight lines from above.

    The same figures as dp_accounting's own construction, by array arithmetic: that one loops over the support, which
    takes seconds where sigma is in the thousands.
    """
    reach = math.ceil(12 * sigma) + sensitivity
    support = np.arange(-reach, reach + 1, dtype=np.float64)
    mass = np.exp(-(support**2) / (2 * sigma**2))
    below = np.concatenate(([0.0], np.cumsum(mass / mass.sum())))

    def chance_below(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """P(X < point) for whole points."""
        return below[np.clip(points + reach, 0, len(support)).astype(np.int64)]

    widest = (sensitivity**2 + 2 * reach * sensitivity) / (2 * sigma**2)
    grid = np.arange(-math.ceil(widest / interval), math.ceil(widest / interval) + 1)
    losses = grid * interval
    # The loss of x is (s^2 - 2 x s) / (2 sigma^2): above a loss lie all x below a point.
    points = np.ceil((sensitivity**2 - 2 * sigma**2 * losses) / (2 * sensitivity))
    shifted = np.exp(np.minimum(losses, 700.0)) * chance_below(points - sensitivity)
    return _connected(interval, grid, chance_below(points) - shifted)


def _bounded_range_pld(parameter: float, interval: float) -> Any:
    """Every mechanism of ``parameter``-bounded range is dominated by this one.

    delta(e) = (1 - exp((e - parameter) / 2))^2 / (1 - exp(-parameter)) on |e| <= parameter (Dong, Durfee, Rogers 2020,
    the supremum over all shifts of generalised randomised response).
    """
    reach = math.ceil(parameter / interval)
    grid = np.arange(-reach, reach + 1)
    inside = np.clip(grid * interval, -parameter, parameter)
    deltas = np.expm1((inside - parameter) / 2) ** 2 / -math.expm1(-parameter)
    deltas = np.where(grid * interval < -parameter, -np.expm1(grid * interval), deltas)
    return _connected(interval, grid, deltas)


def _connected(interval: float, grid: npt.NDArray[np.int64], deltas: npt.NDArray[np.float64]) -> Any:
    """A privacy loss distribution whose divergence at ``grid * interval`` is ``deltas``, the same both ways."""
    from dp_accounting.pld import pld_pmf
    from dp_accounting.pld import privacy_loss_distribution as plds

    falling = np.clip(np.minimum.accumulate(deltas), 0.0, 1.0)
    return plds.PrivacyLossDistribution(pld_pmf.create_pmf_pessimistic_connect_dots(interval, grid, falling))
