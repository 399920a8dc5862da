"""The least noise that a budget buys, found by asking the accountant."""

import math
from collections.abc import Callable

from dp_models.mechanisms.accounting import epsilon, rdp
from synthgate.budget import PrivacyBudget
from synthgate.errors import FailedPrecondition
from synthgate.events import DpEvent

_TOLERANCE = 1e-3
_LIMIT = 1e9
_TRIES = 200


def calibrate(event_at: Callable[[float], DpEvent], budget: PrivacyBudget) -> float:
    """The scale whose event costs the budget's epsilon at its delta, from below and within 0.1 %.

    ``event_at(scale)`` gives the event of noise grown by ``scale`` (a positive factor on every noise parameter); its
    cost must fall as ``scale`` grows. Deterministic: a bracketed secant on logarithms, since epsilon falls about as
    fast as noise grows. Raises FailedPrecondition where no scale up to 1e9 is enough.
    """
    target, delta = budget.epsilon, budget.delta
    scale = _start(event_at, budget)
    low = high = spent = least = 0.0
    for attempt in range(_TRIES):
        cost = epsilon(event_at(scale), delta)
        if target * (1 - _TOLERANCE) <= cost <= target:
            return scale
        if cost <= target:
            high, least = scale, cost
        else:
            low, spent = scale, cost
        if high and low:
            if high <= low * (1 + 1e-9):
                return high
            scale = _between(low, high, spent / target, least / target, halve=attempt % 3 == 2)
        elif high:
            scale *= min(max(cost / target, 0.25), 0.999)
        else:
            scale *= min(max(cost / target, 1.001), 4.0)
        if scale > _LIMIT:
            raise FailedPrecondition(
                f"no amount of noise brings this plan down to epsilon {target:g} at delta {delta:g};"
                " ask for a larger epsilon or a larger delta"
            )
        if scale < 1 / _LIMIT:
            return high
    return high


def round_up(scale: float) -> float:
    """A noise scale with three decimals, or four significant digits below 1, rounded up: never less noise. What is
    rounded already stays."""
    digits = max(3, 3 - math.floor(math.log10(scale)))
    nearest = round(scale, digits)
    return nearest if nearest >= scale else round(nearest + 10.0**-digits, digits)


def _start(event_at: Callable[[float], DpEvent], budget: PrivacyBudget) -> float:
    """Where a plan that behaved like one Gaussian would end, from its divergence of order 2."""
    low, high = 1 / _LIMIT, _LIMIT
    while high > 1.02 * low:
        middle = math.sqrt(low * high)
        rho = rdp(event_at(middle), 2) / 2
        cost = rho + 2 * math.sqrt(rho * math.log(1 / budget.delta))
        low, high = (low, middle) if cost <= budget.epsilon else (middle, high)
    return high


def _between(low: float, high: float, over: float, under: float, *, halve: bool) -> float:
    """A scale inside the bracket: where the line through both ends (in logarithms) meets the target, or the middle."""
    wide = math.log(high / low)
    if halve or not math.isfinite(over) or under <= 0:
        return low * math.exp(wide / 2)
    part = (math.log(over) + _TOLERANCE / 2) / (math.log(over) - math.log(under))
    return low * math.exp(wide * min(max(part, 0.02), 0.98))
