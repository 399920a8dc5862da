"""Ends of areas and of what they lack: how far they would move with other rows of the same kind, one-sided 95 % each.

They stand in a metric's details under ``intervals`` and are shown. No rule reads them: a rule on a figure of use reads
its value. Each comes of the influence that one row has on the figure (the infinitesimal jackknife; for an area under
the curve that is the variance of E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988)): the figure is nearly a
mean of influences, rows of one unit are added up, and the mean is nearly normal. Nothing is drawn, nothing is learned
again. What is held fixed is said by who asks: learned models, the training rows, the chosen groups of columns.

Where no influence differs from 0 (a model that is never wrong), nothing is told: a width of 0 would be no honest one.
"""

from collections.abc import Mapping
from math import ceil, floor, inf, sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from evaluation.base import Units
from evaluation.held_back import places
from evaluation.risk.intervals import ONE_SIDED, Interval

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Told = dict[str, list[float]]

LEAST = 1e-9
"""A spread that counts as none."""


def ends(value: float, *parts: tuple[Floats, Units], z: float = ONE_SIDED) -> Interval | None:
    """Both ends of a figure. Each part is one independent table: the influence of its rows, shape (rows,), and their
    units, shape (rows,); the figure moves by the sum of means over tables. None where nothing moves it."""
    variance = sum(_variance(influence, units) for influence, units in parts)
    reach = z * sqrt(variance)
    if reach < LEAST:
        return None
    return value - reach, value + reach


def _variance(influence: Floats, units: Units) -> float:
    """Of the mean of the influences, rows of one unit being one."""
    each = np.bincount(np.unique(units, return_inverse=True)[1], weights=influence)
    if len(each) < 2:
        return 0.0
    return float(len(each) / (len(each) - 1) * np.sum((each - each.mean()) ** 2) / len(influence) ** 2)


def area_influence(members: Flags, figures: Floats) -> Floats:
    """What each row adds to the area under the curve of ``figures``, ties counting half, shape (rows,)."""
    placed, share = rankdata(figures), float(members.mean())
    beaten = np.empty(len(figures))
    for side, others in ((members, ~members), (~members, members)):
        beaten[side] = (placed[side] - rankdata(figures[side])) / np.count_nonzero(others)
    beaten[~members] = 1 - beaten[~members]
    area = float(beaten[members].mean())
    return np.where(members, (beaten - area) / share, (beaten - area) / (1 - share))


def areas_influence(target: Floats, chances: Floats) -> Floats:
    """The same for the mean of areas, one class against the others, weighted by their shares, which move too.
    ``target``, shape (rows,), holds class numbers, ``chances``, shape (rows, classes), what a model gives each."""
    out = np.zeros(len(target))
    for value in np.unique(target):
        members = target == value
        moves, share = area_influence(members, chances[:, int(value)]), float(members.mean())
        placed = rankdata(chances[:, int(value)])[members]
        count = len(placed)
        area = (placed.sum() - count * (count + 1) / 2) / (count * (len(target) - count))
        out += share * moves + (members - share) * area
    return out


def fit_influence(target: Floats, predicted: Floats) -> Floats:
    """What each row adds to R squared, shape (rows,)."""
    errors, spread = (target - predicted) ** 2, (target - target.mean()) ** 2
    return np.asarray(errors.mean() * (spread - spread.mean()) / spread.mean() ** 2 - (errors - errors.mean())
                      / spread.mean(), dtype=np.float64)  # fmt: skip


def told(found: Mapping[str, Interval | None], *, rows: int, least: float = -inf, most: float = inf) -> Told:
    """The intervals of a metric for its details, those that there are, rounded outward to what ``rows`` leave of two
    decimals. They are of the exact figure, so that what is shown, which is rounded alike or finer, lies between."""
    grid = 10.0 ** min(2, places(rows))
    return {
        name: [max(least, floor(pair[0] * grid + 1e-9) / grid), min(most, ceil(pair[1] * grid - 1e-9) / grid)]
        for name, pair in found.items()
        if pair is not None
    }
