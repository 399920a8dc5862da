"""What differential privacy allows a membership attack at best, whatever the attacker knows.

Of two worlds that differ in one unit, an attacker who sees a release of (epsilon, delta) tells at a false-positive rate
f at most the share ``min(e^epsilon f + delta, 1 - e^-epsilon (1 - delta - f))`` of the members (L. Wasserman and S.
Zhou, A statistical framework for differential privacy, JASA 105 (2010); P. Kairouz, S. Oh and P. Viswanath, The
composition theorem for differential privacy, ICML 2015). The epsilon is that of the difference between the worlds: with
one unit's rows or with empty records in their place; where another unit takes the place, the substitute-one epsilon.
"""

from math import exp


def ceiling(epsilon: float, delta: float, fpr: float) -> float:
    """The greatest true-positive rate at a false-positive rate ``fpr``, in [0, 1]. An infinite epsilon allows 1.

    Raises ValueError where epsilon is negative or not a number, or delta or ``fpr`` are no probabilities.
    """
    _check(epsilon, delta)
    if not 0 <= fpr <= 1:
        raise ValueError("fpr is a rate between 0 and 1")
    steep = fpr * exp(epsilon) + delta if epsilon < 700 else (1.0 if fpr > 0 else delta)
    return min(1.0, steep, 1 - exp(-epsilon) * max(0.0, 1 - delta - fpr))


def auc_ceiling(epsilon: float, delta: float) -> float:
    """The greatest area under the curve of those rates, in [0.5, 1]: of the polygon through (0, delta), the point where
    both bounds meet, and (1 - delta, 1). Raises ValueError as `ceiling`."""
    _check(epsilon, delta)
    turn = (1 - delta) * exp(-epsilon) / (1 + exp(-epsilon))
    height = 1 - turn
    rising = turn * (delta + height) / 2
    return min(1.0, rising + (1 - delta - turn) * (height + 1) / 2 + delta)


def _check(epsilon: float, delta: float) -> None:
    if not epsilon >= 0:
        raise ValueError("epsilon is a number of at least 0")
    if not 0 <= delta <= 1:
        raise ValueError("delta is a probability")
