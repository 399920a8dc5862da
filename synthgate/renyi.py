"""What meter B of an account may hold, from its cap alone: a second computation, for `synthgate.recount`.

K(a) = eps* + ln(a/(a - 1)) + ln(a delta*/2)/(a - 1) is DESIGN 5.10's capacity at the Rényi order a (Canonne, Kamath,
Steinke 2020, proposition 12, read backwards). Every quantity here is a pair of integers (low, high) that encloses the
true value in units of 1e-60, and logarithms are series of rationals, so that a floor or a comparison is either certain
or both answers are accepted. Nothing is shared with the gateway's own computation (decimals of 50 digits).
"""

from fractions import Fraction
from functools import lru_cache

Interval = tuple[int, int]
"""Lower and upper bound, in units of 1/SCALE."""

SCALE = 10**60
ORDERS = range(2, 257)
_CAPACITY_UNITS = 10**12


def capacities(epsilon: int, delta: int, order: int) -> frozenset[int]:
    """The whole part of K in units of 1e-12 at ``order``, 0 where K is not positive: one figure, or two neighbours
    where the enclosure does not decide. ``epsilon`` counts 1e-9, ``delta`` (the account's whole, positive) 1e-18."""
    return frozenset(max(0, bound * _CAPACITY_UNITS // SCALE) for bound in _k(epsilon, delta, order))


@lru_cache(maxsize=1_024)
def best_orders(epsilon: int, delta: int) -> frozenset[int]:
    """The orders in 2..256 that may maximise K(a)/a: one, or more where the enclosures overlap."""
    bounds = {order: _k(epsilon, delta, order) for order in ORDERS}
    most = max(Fraction(low, order) for order, (low, _) in bounds.items())
    return frozenset(order for order, (_, high) in bounds.items() if Fraction(high, order) >= most)


def _k(epsilon: int, delta: int, order: int) -> Interval:
    here, below, units, ten, two = _ln(order), _ln(order - 1), _ln(delta), _ln(10), _ln(2)
    low = here[0] + units[0] - 18 * ten[1] - two[1]
    high = here[1] + units[1] - 18 * ten[0] - two[0]
    whole = epsilon * (SCALE // 10**9)
    return (
        whole + here[0] - below[1] + low // (order - 1),
        whole + here[1] - below[0] - (-high // (order - 1)),
    )


@lru_cache(maxsize=4_096)
def _ln(n: int) -> Interval:
    """The logarithm of a positive integer: n = m 2^k with 1 <= m < 2, and ln m = 2 artanh((m - 1)/(m + 1))."""
    k = n.bit_length() - 1
    low, high = _twice_artanh(n - 2**k, n + 2**k)
    two = _twice_artanh(1, 3)
    return low + k * two[0], high + k * two[1]


def _twice_artanh(numerator: int, denominator: int) -> Interval:
    """2 (r + r^3/3 + r^5/5 + ...) for 0 <= r = numerator/denominator <= 1/3.

    Each power is cut to whole units: it is short by less than 1 + 1/9 + 1/81 + ... < 1.2, and its term by less than
    2.2. Once a power is cut to nothing, all that is left out adds up to less than 2 units.
    """
    total, terms, power = 0, 0, SCALE * numerator // denominator
    while power:
        total, terms = total + power // (2 * terms + 1), terms + 1
        power = power * numerator**2 // denominator**2
    return 2 * total, 2 * (total + 3 * terms + 2)
