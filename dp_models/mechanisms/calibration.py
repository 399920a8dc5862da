"""The least noise that a budget buys, found by bisection over what the accountant says."""

import math
from collections.abc import Callable

from dp_models.mechanisms.accounting import epsilon, epsilon_by_rdp
from synthgate.budget import PrivacyBudget
from synthgate.errors import FailedPrecondition
from synthgate.events import DpEvent

_TOLERANCE = 1e-3
_LIMIT = 1e9


def calibrate(event_at: Callable[[float], DpEvent], budget: PrivacyBudget) -> float:
    """The scale whose event costs the budget's epsilon at its delta, from below and within 0.1 %.

    ``event_at(scale)`` gives the event of noise grown by ``scale`` (a positive factor on every noise parameter); its
    cost must fall as ``scale`` grows. Deterministic. Raises FailedPrecondition where no scale up to 1e9 is enough.
    """
    target, delta = budget.epsilon, budget.delta
    low, high = _bracket(lambda scale: epsilon_by_rdp(event_at(scale), delta), target)
    # The RDP figure lies above the PLD's except by discretisation: widen downwards until the PLD disagrees.
    while epsilon(event_at(high), delta) > target:
        low, high = high, high * 1.05
        if high > _LIMIT:
            raise _unreachable(budget)
    while epsilon(event_at(low), delta) <= target:
        low, high = low / 1.15, low
        if low < 1 / _LIMIT:
            return high
    while (high - low) > 1e-6 * high:
        middle = math.sqrt(low * high)
        cost = epsilon(event_at(middle), delta)
        if cost <= target:
            high = middle
            if cost >= target * (1 - _TOLERANCE):
                break
        else:
            low = middle
    return high


def round_up(scale: float) -> float:
    """A noise scale with three decimals, or four significant digits below 1, rounded up: never less noise."""
    digits = max(3, 3 - math.floor(math.log10(scale)))
    return round(math.ceil(scale * 10.0**digits) / 10.0**digits, digits)


def _bracket(cost: Callable[[float], float], target: float) -> tuple[float, float]:
    """Two neighbouring scales, a factor 1.02 apart, between which the quick accountant crosses ``target``."""
    low, high = 1 / _LIMIT, _LIMIT
    if cost(high) > target:
        raise FailedPrecondition("no amount of noise brings this plan down to the asked epsilon at this delta")
    while high > 1.02 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if cost(middle) <= target else (middle, high)
    return low, high


def _unreachable(budget: PrivacyBudget) -> FailedPrecondition:
    return FailedPrecondition(
        f"no amount of noise brings this plan down to epsilon {budget.epsilon:g} at delta {budget.delta:g};"
        " ask for a larger epsilon or a larger delta"
    )
