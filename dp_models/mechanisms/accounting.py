"""What events cost: privacy loss distributions first, Renyi divergence second, and nothing for free.

``epsilon`` composes privacy loss distributions (`losses`, `composition`; every figure is an upper bound, made in
bounded time and memory). ``rdp`` and ``epsilon_by_rdp`` are the second opinion, the fixed-order meter, and the price
where losses are beyond any grid. All of it is add/remove accounting, which covers zero-out adjacency. An event that is
not known here costs infinity, that is, it is refused.

Discrete Gaussian noise is always priced by its own discrete distribution: at sigma 1.544 and delta 1e-6 one table
costs 3.047 where the continuous formula says 3.000.
"""

import math
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from dp_models.mechanisms.composition import epsilon_by_losses
from dp_models.mechanisms.losses import FloatArray
from dp_models.mechanisms.renyi import divergence
from synthgate.events import (
    Composed,
    DiscreteGaussian,
    DpEvent,
    Exponential,
    Gaussian,
    Opaque,
    PoissonGaussian,
    Repeated,
)

ACCOUNTANT = "pld"
ORDERS = (*range(2, 65), *range(66, 129, 2), *range(132, 257, 4), 320, 384, 512, 1024)
_ORDERS = np.array(ORDERS, dtype=np.float64)
_ROUNDS = 5


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
    if left <= 0:
        return math.inf
    price = epsilon_by_losses(rest, left)
    return claimed + (price if price < math.inf else float(_by_orders(_renyi(rest), math.log(left))))


@lru_cache(maxsize=65536)
def rdp(event: DpEvent, order: int) -> float:
    """The Renyi divergence bound of integer ``order`` (2 and more), in nats. Infinity for what has none."""
    return math.fsum(n * divergence(leaf, order) for leaf, n in _leaves(event))


@lru_cache(maxsize=4096)
def epsilon_by_rdp(event: DpEvent, delta: float) -> float:
    """The second accountant: the best conversion over integer orders (Canonne, Kamath, Steinke 2020, prop. 12)."""
    return float(_by_orders(_renyi(_leaves(event)), math.log(delta)))


@lru_cache(maxsize=1024)
def substitute_one_epsilon(event: DpEvent, delta: float) -> float:
    """A valid epsilon at ``delta`` when one unit is replaced by another, by group privacy over two zero-out steps.

    Two steps of (e, d) each give (2 e, d (1 + exp(e))); the largest d found with d (1 + exp(e(d))) <= delta is used:
    first by the second accountant, which is quick, then closer by the first, each d giving the next. Infinity where
    none is found.
    """
    curve, goal = _renyi(_leaves(event)), math.log(delta)
    tried = goal - math.log(2) * np.geomspace(1.0, 1000.0, 2000)
    fits = np.flatnonzero(tried + np.logaddexp(0.0, _by_orders(curve, tried[:, None])) <= goal)
    if not len(fits):
        return math.inf
    log_d = float(tried[fits[0]])
    best = float(_by_orders(curve, log_d))
    for _ in range(_ROUNDS):
        step = epsilon(event, math.exp(log_d))
        if log_d + float(np.logaddexp(0.0, step)) > goal or step > best:
            break
        best, log_d = step, goal - float(np.logaddexp(0.0, step)) - 1e-12
    return 2 * best


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


_PRICED = (Gaussian, DiscreteGaussian, Exponential, PoissonGaussian)


def _renyi(leaves: Iterable[tuple[DpEvent, int]]) -> FloatArray:
    """The divergence at every order of ``ORDERS``."""
    kept = tuple(leaves)
    return np.array([math.fsum(n * divergence(leaf, order) for leaf, n in kept) for order in ORDERS])


def _by_orders(curve: FloatArray, log_delta: float | FloatArray) -> FloatArray:
    """Epsilon at exp(``log_delta``), a number or a column of them, by the best of ``ORDERS``."""
    gain = np.log1p(-1 / _ORDERS) - (np.log(_ORDERS) + log_delta) / (_ORDERS - 1)
    return np.asarray(np.maximum((curve + gain).min(axis=-1), 0.0))
