"""What a report shows of counts of private rows: nothing from which a count under ten follows.

A cell (a value, a bin, a group) that fewer than `MIN_CELL` training rows have is *held back*: nothing that is shown is
computed from its count, from a sum that it is part of, or from what it leaves of a whole. The shares of all other
cells are of their own rows, which leaves open how many rows are missing there, and are rounded to ten rows. What a
cell that is held back may have at most is a public fact; where a distance needs its share, the released one stands in
for it, up to that.

Exact figures are for rules. They are shown with as many decimals as ten rows leave (`places`), three at most.
"""

from dataclasses import dataclass
from math import log10

import numpy as np
import numpy.typing as npt

from synthgate.report import DECIMALS

MIN_CELL = 10

MIN_COLUMNS = 5
"""With fewer columns what models show follows from a few counts, and so would these from it: areas are shown with as
many decimals as ten rows leave and without ends (a model without errors has none), and of the propensity no ratio."""

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Two tables' shares over the cells that are ``shown``, shape (cells,) of truth values, (shown cells,) of shares.

    ``train`` are shares of the training rows in these cells, ``held_back`` is the share of released rows in all others,
    ``most`` that training rows can have there, ``distance`` the total variation of both tables.
    """

    shown: npt.NDArray[np.bool_]
    sample: Floats
    train: Floats
    held_back: float
    most: float
    distance: float


def tens(count: int) -> int:
    """A count to the nearest ten."""
    return (count + 5) // 10 * 10


def about(count: int, of: int | None = None) -> str:
    """A count in a remark; ``of`` is the whole, where that is told too."""
    if count < MIN_CELL:
        return f"fewer than {MIN_CELL}"
    return f"all but fewer than {MIN_CELL}" if of is not None and of - count < MIN_CELL else f"about {tens(count):,}"


def held(count: int, of: int) -> int:
    """A count among ``of`` as figures that are shown are computed of it: five for fewer than ten, all but five where
    fewer than ten are left, else to the nearest ten."""
    if count < MIN_CELL or of - count < MIN_CELL:
        few = min(MIN_CELL, of) // 2
        return few if count < MIN_CELL else of - few
    return min(tens(count), of)


def places(rows: int) -> int:
    """With how many decimals a share of so many rows is shown: ten rows are no more than one step of the last."""
    return min(DECIMALS, max(1, int(log10(max(rows, 1) / MIN_CELL) + 1e-9)))


def coarse(value: float, rows: int) -> float:
    """A share of ``rows`` as it is shown."""
    return round(float(value), places(rows))


def of_tens(hits: float, rows: int) -> float:
    """The share of ``hits`` among ``rows`` as it is shown: 0 for fewer than ten of them, 1 where fewer than ten are
    left, else of the nearest ten."""
    if hits < MIN_CELL or rows - hits < MIN_CELL:
        return 0.0 if hits < MIN_CELL else 1.0
    return round(min(tens(round(hits)) / rows, 1.0), DECIMALS)


def part(hits: int, rows: int, *, of: int) -> float:
    """`of_tens` where ``rows``, some among ``of``, is no public number: it is taken as `held` tells it."""
    if min(hits, rows - hits) < MIN_CELL:
        return of_tens(hits, rows)
    return round(min(tens(hits) / held(rows, of), 1.0), DECIMALS)


def beside(ours: Counts, theirs: Counts, *, rows: int) -> Beside | None:
    """Released rows ``ours`` and training rows ``theirs``, counted over the same cells, shape (cells,), of the
    ``rows`` training rows that there are. None where every cell is held back."""
    shown = theirs >= MIN_CELL
    if not shown.any():
        return None
    released = ours / max(int(ours.sum()), 1)
    held_back = float(released[~shown].sum())
    most = min((MIN_CELL - 1) * int((~shown).sum()), rows - MIN_CELL) / rows
    left = min(held_back, most)
    real = theirs[shown] / theirs[shown].sum()
    distance = (np.abs(released[shown] - real * (1 - left)).sum() + held_back - left) / 2
    grid = MIN_CELL / rows
    return Beside(
        shown=shown,
        sample=released[shown],
        train=np.round(real / grid) * grid,
        held_back=held_back,
        most=most,
        distance=coarse(distance, rows),
    )
