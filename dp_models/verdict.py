"""`plan_judged`: an engine's plan that leaves a share of the budget for an accounted verdict.

The verdict's noise follows from the budget alone: a Gaussian of that budget has some rho, and `SHARE` of it buys one
discrete Gaussian of sensitivity 1. The engine plans with what is left, found by asking the accountant for the price of
both together, which is never above what was asked.
"""

import math

from dp_models.base import Plan, Synthesizer, VerdictShare
from dp_models.mechanisms.accounting import epsilon, rdp
from dp_models.mechanisms.calibration import calibrate, round_up
from synthgate.accounted import SHARE
from synthgate.budget import EPSILON_MIN, PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import Gaussian

_TRIES = 12
_BELOW = 0.999
"""How far below a guess is aimed: engines stop within 0.1 % of what they may spend."""


def verdict_sigma(budget: PrivacyBudget) -> float:
    """The scale of the verdict's noise, in units of sensitivity 1. Raises FailedPrecondition as `calibrate` does."""
    return round_up(calibrate(Gaussian, budget) / math.sqrt(SHARE))


def plan_judged(synthesizer: Synthesizer, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
    """The plan of a fit and of an accounted verdict about it; together they cost at most ``budget``.

    Raises FailedPrecondition as the engine does, and for an engine whose cost is its own library's claim: what such a
    claim leaves for a verdict cannot be reckoned.
    """
    noise, delta = calibrate(Gaussian, budget), budget.delta
    sigma = verdict_sigma(budget)
    part = epsilon(Gaussian(noise / math.sqrt(1 - SHARE)), delta)
    for _ in range(_TRIES):
        left = PrivacyBudget.spend(max(part * _BELOW, EPSILON_MIN), delta)
        plan = synthesizer.plan(domain, sizes, left)
        if math.isinf(rdp(plan.event, 2)):
            raise FailedPrecondition(
                f"the cost of engine {plan.engine} is its library's claim, beside which no verdict can be accounted: "
                "choose another engine, or have the table registered with `verdict: exact` in its policy"
            )
        judged = plan.judged(VerdictShare(sigma=sigma, left=left), budget)
        cost = epsilon(judged.event, delta)
        if cost <= budget.epsilon:
            return judged
        part = left.epsilon * budget.epsilon / cost
    raise FailedPrecondition(
        f"no plan and verdict together stay within epsilon {budget.epsilon:g} at delta {delta:g}; ask for a larger one"
    )
