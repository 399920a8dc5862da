"""What a request would cost, from public facts alone: plans, charges, and what still fits. No torch, no rows."""

from functools import lru_cache

from dp_models.base import Plan
from dp_models.mechanisms.accounting import accountant, epsilon, rdp
from dp_models.mechanisms.calibration import calibrate
from dp_models.registry import synthesizer
from dp_models.verdict import plan_judged
from server.ledger import meter
from synthgate.budget import EPSILON_MIN, PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import DpEvent, Gaussian
from synthgate.ledger import Account, Balance, Charge, PlanPrice
from synthgate.policy import VerdictKind

DEFAULT_ENGINE = "auto"
BEYOND = Charge(epsilon=2**62, delta=2**62, rdp=None)
"""A charge that no account admits."""


_memo: dict[tuple[str, Domain, PublicSizes, PrivacyBudget, VerdictKind], Plan] = {}
_MEMO_MAX = 1_024


def known(engine: str, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget, verdict: VerdictKind) -> Plan | None:
    """The plan, if it has been made before: then it costs microseconds, also inside a transaction."""
    return _memo.get((engine, domain, sizes, budget, verdict))


def plan(engine: str, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget, verdict: VerdictKind) -> Plan:
    """The engine's plan, with its share for an accounted ``verdict``. Raises UnknownEngine, and FailedPrecondition
    where the engine cannot make one, or made one for something else or for more than was asked. The same request gets
    the same plan."""
    if (found := known(engine, domain, sizes, budget, verdict)) is not None:
        return found
    chosen = synthesizer(engine or DEFAULT_ENGINE)
    accounted = verdict is VerdictKind.ACCOUNTED
    made = plan_judged(chosen, domain, sizes, budget) if accounted else chosen.plan(domain, sizes, budget)
    if (made.domain, made.sizes, made.budget) != (domain.digest, sizes, budget):
        raise FailedPrecondition(f"engine {made.engine} did not plan what was asked; choose another engine")
    if not epsilon(made.event, budget.delta) <= budget.epsilon:
        raise FailedPrecondition(f"engine {made.engine} planned to spend more than was asked; choose another engine")
    if len(_memo) >= _MEMO_MAX:
        _memo.clear()
    _memo[engine, domain, sizes, budget, verdict] = made
    return made


def charge(priced: Plan, account: Account) -> Charge:
    """What the plan takes of the account's meters."""
    return meter.charge(budget=priced.budget, rdp=_rdp(priced.event, account.order))


@lru_cache(maxsize=1_024)
def _rdp(event: DpEvent, order: int) -> float:
    return rdp(event, order)


def alone(release: str, priced: Plan) -> PlanPrice:
    """What the plan of ``release`` costs alone, for display. The account is metered by `charge`."""
    event, delta = priced.event, priced.budget.delta
    return PlanPrice(release=release, epsilon=epsilon(event, delta), delta=delta, accountant=accountant(event, delta))


def default_delta(account: Account) -> float:
    """The delta of a request that names none."""
    return meter.default_delta(account.cap)


def largest_epsilon(balance: Balance, engine: str, domain: Domain, sizes: PublicSizes, verdict: VerdictKind) -> float:
    """The largest epsilon of the engine's plan that still fits at the default delta; 0.0 for none."""
    delta = default_delta(balance.account)

    def price(epsilon: float) -> Charge:
        try:
            return charge(plan(engine, domain, sizes, PrivacyBudget.spend(epsilon, delta), verdict), balance.account)
        except FailedPrecondition:  # the engine cannot plan it, so it does not fit
            return BEYOND

    return meter.largest_epsilon(balance, price)


def largest_gaussian_epsilon(balance: Balance) -> float:
    """The same for one Gaussian release, as ``ledger show`` gives it."""
    delta = default_delta(balance.account)
    return meter.largest_epsilon(balance, lambda epsilon: _gaussian(epsilon, delta, balance.account.order))


@lru_cache(maxsize=65_536)
def _gaussian(epsilon: float, delta: float, order: int) -> Charge:
    budget = PrivacyBudget.spend(max(epsilon, EPSILON_MIN), delta)
    event = Gaussian(calibrate(Gaussian, budget))
    return meter.charge(budget=budget, rdp=rdp(event, order))
