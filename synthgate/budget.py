"""`PrivacyBudget`: an (epsilon, delta) pair in exact integers.

Epsilon is counted in units of 1e-9, delta in units of 1e-18. What is spent rounds up, what limits a spend rounds down,
so that no sequence of conversions can ever admit more than was granted. A float means its shortest decimal
representation: ``0.1`` is one tenth exactly.
"""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from synthgate.errors import InvalidBudget

EPSILON_UNIT = Decimal("1e-9")
DELTA_UNIT = Decimal("1e-18")
EPSILON_MIN, EPSILON_MAX = 0.001, 100.0
DELTA_MIN, DELTA_MAX = 1e-15, 0.01


@dataclass(frozen=True, slots=True, order=False)
class PrivacyBudget:
    """An (epsilon, delta) pair.

    ``epsilon_units`` counts 1e-9 of epsilon, ``delta_units`` counts 1e-18 of delta. Use :meth:`spend` for what a
    mechanism takes and :meth:`cap` for what an account grants.
    """

    epsilon_units: int
    delta_units: int

    @classmethod
    def spend(cls, epsilon: float, delta: float) -> "PrivacyBudget":
        """The pair rounded up to whole units. Raises InvalidBudget outside the limits of this module."""
        return cls._of(epsilon, delta, ROUND_CEILING)

    @classmethod
    def cap(cls, epsilon: float, delta: float) -> "PrivacyBudget":
        """The pair rounded down to whole units. Raises InvalidBudget outside the limits of this module."""
        return cls._of(epsilon, delta, ROUND_FLOOR)

    @classmethod
    def _of(cls, epsilon: float, delta: float, rounding: str) -> "PrivacyBudget":
        _check("epsilon", epsilon, EPSILON_MIN, EPSILON_MAX)
        _check("delta", delta, DELTA_MIN, DELTA_MAX)
        return cls(_units(epsilon, EPSILON_UNIT, rounding), _units(delta, DELTA_UNIT, rounding))

    @property
    def epsilon(self) -> float:
        """Epsilon as a float, for display and for calibration."""
        return float(self.epsilon_units * EPSILON_UNIT)

    @property
    def delta(self) -> float:
        """Delta as a float, for display and for calibration."""
        return float(self.delta_units * DELTA_UNIT)


def _check(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidBudget(f"{name} must be a finite number between {low:g} and {high:g}")
    if not low <= value <= high:
        raise InvalidBudget(f"{name} must lie between {low:g} and {high:g}, got {value:g}")


def _units(value: float, unit: Decimal, rounding: str) -> int:
    return int((Decimal(repr(value)) / unit).to_integral_value(rounding=rounding))
