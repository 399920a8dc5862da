"""Coverage: does the release have the categories and the tails that the training rows have?

Of what few people have nothing is asked or told: a category counts with ten training rows, a tail with ten rows in it.
"""

from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.held_back import MIN_CELL, coarse
from synthgate.domain import NUMERIC, Column

TAIL = 0.05
"""The share of the training rows that a tail holds, or more where many share its last value."""

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def categories(sample: Codes, train: Codes, size: int) -> tuple[int, int]:
    """How many of the categories that ten training rows have are released, and how many ten training rows have. Codes
    as in `evaluation.tables.codes`; a missing cell is no category."""
    there = np.bincount(train, minlength=size)[: size - 1] >= MIN_CELL
    released = np.bincount(sample, minlength=size)[: size - 1] > 0
    return int((there & released).sum()), int(there.sum())


def tails(sample: Floats, train: Floats) -> dict[str, float]:
    """``low`` and ``high``: the share of released rows in the tail over that of training rows, at most 1; NaN where a
    tail has fewer than ten training rows. Cells are numbers, NaN where missing."""
    present, released = train[~np.isnan(train)], sample[~np.isnan(sample)]
    if len(present) < MIN_CELL:
        return {"low": nan, "high": nan}
    low, high = np.quantile(present, [TAIL, 1 - TAIL], method="inverted_cdf")
    out = {}
    for side, ours, theirs in (("low", released <= low, present <= low), ("high", released >= high, present >= high)):
        if theirs.sum() < MIN_CELL:
            out[side] = nan
        else:
            out[side] = min(1.0, float(ours.mean() / theirs.mean())) if len(released) else 0.0
    return out


def covered(column: Column, sample: Any, train: Any, size: int) -> dict[str, Any]:
    """What the details say of one column; cells are numbers, of rows in cells that are shown alone, or codes of
    ``size``."""
    if column.kind in NUMERIC:
        found = tails(sample, train)
        return {"tails": {k: None if np.isnan(v) else coarse(v, len(train)) for k, v in found.items()}}
    released, there = categories(sample, train, size)
    return {"categories": {"released": released, "of": there}}
