"""When a guess of a secret counts as right: one rule for exact scores and for the accounted verdict.

A category or a truth value must be equal. A number must lie within a *tolerance* of the truth. This part is our own
and not anonymeter's, whose 5 % of the guess depend on where the scale begins: for a year of birth they are a century,
and bounds declared far from the values would blind the attack. The tolerance is made of the released column alone: 5
% of what lies between its quartiles, but of no more than four times its *densest half*, the shortest interval that
holds more than half of its values (Rousseeuw and Leroy, Robust regression and outlier detection, 1987, chapter 4).
Both are equally long for a bell; where a quarter of the rows have a number that stands for no answer, the first is as
long as the scale. Where the half is one value, as in a column that is mostly 0, the others are asked; where they are
all alike too, a number must be equal. Nothing is added for rounding: a secret may have any unit.

The released column is public, so whether a guess about a unit is right depends on that unit and public facts: one unit
moves a count of right guesses by at most 1.
"""

import math

import numpy as np
import numpy.typing as npt

from evaluation.tables import Floats
from synthgate.domain import NUMERIC, Column

SHARE = 0.05
"""The part of the released column's spread that a guess may be off."""

WIDER = 4.0
"""How many densest halves the middle half may count for."""


def densest_half(released: Floats) -> tuple[float, float] | None:
    """The shortest interval that holds more than half of the ``released`` values, of those that remain when the value
    that fills it alone is left out; the lowest of several. None where no two values differ."""
    values = np.sort(released[~np.isnan(released)])
    while len(values) > 1:
        most = len(values) // 2 + 1
        with np.errstate(over="ignore"):
            first = int(np.argmin(values[most - 1 :] - values[: len(values) - most + 1]))
        low, high = float(values[first]), float(values[first + most - 1])
        if low < high:
            return low, high
        values = values[values != low]
    return None


def tolerance(released: Floats) -> float:
    """How far a guess of a number may be off, from the ``released`` column; 0 where that has no spread."""
    half = densest_half(released)
    if half is None:
        return 0.0
    values = np.sort(released[~np.isnan(released)])
    low, high = (values[math.ceil(len(values) * part) - 1] for part in (0.25, 0.75))
    narrow = SHARE * half[1] - SHARE * half[0]  # no difference of finite numbers that overflows
    wide = SHARE * high - SHARE * low
    return float(min(wide, WIDER * narrow)) if wide > 0 else narrow


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
