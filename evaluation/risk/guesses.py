"""When a guess of a secret counts as right: one rule for exact scores and for the accounted verdict.

A category or a truth value must be equal. A number must lie within a *tolerance* of the truth. This part is our own and
not anonymeter's, whose 5 % of the guess depend on where the scale begins: for a year of birth they are a century, and
bounds that are declared far from the values would blind the attack. The tolerance is made of the released column alone,
5 % of what lies between its quartiles. Where these are equal, as in a column that is mostly 0, the values other than
that one are asked; where they are all alike too, a number must be equal. Nothing is added for rounding: a secret may
have any unit.

The released column is public, so whether a guess about a unit is right depends on that unit and public facts: one unit
moves a count of right guesses by at most 1.
"""

from math import ceil

import numpy as np
import numpy.typing as npt

from evaluation.tables import Floats
from synthgate.domain import NUMERIC, Column

SHARE = 0.05
"""The part of the interquartile range that a guess may be off."""


def tolerance(released: Floats) -> float:
    """How far a guess of a number may be off, from the ``released`` column; 0 where that has no spread."""
    values = released[~np.isnan(released)]
    if len(values) == 0:
        return 0.0
    low, high = _quartiles(values)
    if low == high:  # then it is what most rows have
        values = values[values != low]
        if len(values) == 0:
            return 0.0
        low, high = _quartiles(values)
    return SHARE * high - SHARE * low  # no difference of finite numbers that overflows


def right(
    guesses: npt.NDArray[np.object_] | Floats,
    secrets: npt.NDArray[np.object_] | Floats,
    column: Column,
    within: float,
) -> npt.NDArray[np.bool_]:
    """Which guesses of a ``column`` are right, numbers ``within`` so much. A guessed null is right where the secret is
    null."""
    if column.kind not in NUMERIC:
        return np.asarray(guesses == secrets, dtype=np.bool_)
    with np.errstate(over="ignore"):
        near = np.abs(guesses - secrets) <= within
    return np.asarray(near | (np.isnan(guesses) & np.isnan(secrets)), dtype=np.bool_)


def _quartiles(values: Floats) -> tuple[float, float]:
    """Values of the column itself, none between two of them."""
    ranked = np.sort(values)
    return float(ranked[ceil(len(ranked) / 4) - 1]), float(ranked[ceil(3 * len(ranked) / 4) - 1])
