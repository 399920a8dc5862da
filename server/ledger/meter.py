"""The arithmetic of an account's two meters (DESIGN 5.10), as pure functions on integers.

Meter A adds epsilons and deltas (basic composition), meter B adds Rényi divergence at one order that is frozen when the
account is opened; each of them has half the account's delta. K, what meter B holds, follows from the conversion of
Canonne, Kamath and Steinke 2020 (proposition 12) of Rényi divergence to (epsilon, delta). It is computed in decimals of
50 digits, so that the floor is the same on every machine. Invariant: what is spent rounds up, what limits rounds down.
"""

import math
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from functools import lru_cache

from synthgate.budget import DELTA_MIN, DELTA_UNIT, EPSILON_UNIT, PrivacyBudget
from synthgate.errors import InvalidBudget
from synthgate.ledger import Account, Balance, Charge

ORDERS = range(2, 257)
"""The Rényi orders that an account may be frozen at."""

RDP_MAX = 1_000.0
"""Above this a divergence counts as infinite: no cap that a budget can express gives meter B as much."""

REQUESTS_PER_DELTA = 20
"""A request's default delta is this fraction of the account's: ten of them fill meter A's half."""

STEPS_PER_EPSILON = 1_000
"""The grid of `largest_epsilon`: thousandths."""

_RDP_UNIT = Decimal("1e-12")
_DIGITS = Context(prec=50)


def order_and_capacity(cap: PrivacyBudget) -> tuple[int, int]:
    """The order alpha* in 2..256 that maximises K(alpha)/alpha, and K there in units of 1e-12, rounded down.

    The capacity is 0, and meter B closed, where no order has K > 0. The order is still fixed then: a later amendment
    opens the meter at it.
    """
    order = _best_order(cap)
    return order, capacity(cap, order)


def capacity(cap: PrivacyBudget, order: int) -> int:
    """K at ``order`` in units of 1e-12, rounded down; 0 where it is not positive."""
    if order not in ORDERS:
        raise InvalidBudget(f"the Rényi order lies between {ORDERS[0]} and {ORDERS[-1]}")
    with localcontext(_DIGITS):
        return max(0, int((_k(cap, order) / _RDP_UNIT).to_integral_value(rounding=ROUND_FLOOR)))


def new_account(name: str, cap: PrivacyBudget, *, sandbox: bool, by: str, at: datetime) -> Account:
    """The account that `Ledger.open` records: its order frozen, its meter B filled."""
    order, k = order_and_capacity(cap)
    return Account(name=name, cap=cap, order=order, capacity=k, sandbox=sandbox, opened_by=by, opened_at=at)


def charge(*, budget: PrivacyBudget, rdp: float) -> Charge:
    """What a plan takes: ``budget`` on meter A, on meter B its Rényi divergence ``rdp`` at the account's order.

    An infinite divergence (an opaque event) becomes None: meter A alone can hold it. Raises InvalidBudget where ``rdp``
    is no number or negative.
    """
    if math.isnan(rdp) or rdp < 0:
        raise InvalidBudget("a Rényi divergence is a number that is not negative")
    units = None
    if rdp <= RDP_MAX:
        with localcontext(_DIGITS):
            units = int((Decimal(repr(float(rdp))) / _RDP_UNIT).to_integral_value(rounding=ROUND_CEILING))
    return Charge(epsilon=budget.epsilon_units, delta=budget.delta_units, rdp=units)


def default_delta(cap: PrivacyBudget) -> float:
    """The delta of a request that names none: a twentieth of the account's, and never below what a budget can hold."""
    return max(DELTA_MIN, float(cap.delta_units // REQUESTS_PER_DELTA * DELTA_UNIT))


def largest_epsilon(balance: Balance, price: Callable[[float], Charge]) -> float:
    """The largest epsilon whose charge the account still admits, rounded down to thousandths; 0.0 where none does.

    ``price`` turns an epsilon into the charge of the asked engine's plan. It is called a few times, for a plan may take
    seconds, and what it raises is passed on. Where it falls somewhere as epsilon grows, as at the border at which an
    engine changes what it buys, the result fits and something larger may, too. Never above the cap's epsilon, though
    meter B may hold more.
    """
    low, high = 0, int(balance.account.cap.epsilon_units * EPSILON_UNIT * STEPS_PER_EPSILON) + 1
    tried, probed = high - 1, list[tuple[int, float]]()
    while high - low > 1:
        found = price(tried / STEPS_PER_EPSILON)
        low, high = (tried, high) if balance.admits(found) else (low, tried)
        probed.append((tried, _load(balance, found)))
        guess = _full(probed[-2:]) if len(probed) % 4 else (low + high) // 2
        tried = min(max(guess, low + 1), high - 1)
    return low / STEPS_PER_EPSILON


def _full(probed: list[tuple[int, float]]) -> int:
    """About how many steps are a load of 1, by the power law through two probes; by a square through one, and where two
    lie on no such law."""
    (before, lighter), (steps, load) = probed[0], probed[-1]
    power = math.log(load / lighter) / math.log(steps / before) if steps != before else 2.0
    return int(steps * load ** (-1 / (power if 0.5 <= power <= 4 else 2.0)))


def _load(balance: Balance, found: Charge) -> float:
    """About which part of what is left ``found`` takes, in (0, infinity): of meter A or of B, whichever it takes less
    of. With epsilon it grows as some power near 1 (A) or 2 (B)."""
    left = balance.account.cap.epsilon_units - balance.epsilon
    a = found.epsilon / left if left > 0 and balance.delta + found.delta <= balance.delta_cap else 1e9
    b = 1e9
    if found.rdp is not None and balance.rdp is not None and balance.rdp < balance.account.capacity:
        b = found.rdp / (balance.account.capacity - balance.rdp)
    return min(max(min(a, b), 1e-9), 1e9)


@lru_cache(maxsize=1_024)
def _best_order(cap: PrivacyBudget) -> int:
    with localcontext(_DIGITS):
        return max(ORDERS, key=lambda order: _k(cap, order) / order)


def _k(cap: PrivacyBudget, order: int) -> Decimal:
    """K(alpha) = eps* - ln(1 - 1/alpha) + ln(alpha delta*/2) / (alpha - 1)."""
    if cap.delta_units <= 0:
        return Decimal(-1)
    alpha = Decimal(order)
    epsilon, delta = cap.epsilon_units * EPSILON_UNIT, cap.delta_units * DELTA_UNIT / 2
    return epsilon - (1 - 1 / alpha).ln() + (alpha * delta).ln() / (alpha - 1)
