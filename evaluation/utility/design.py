"""Columns as features: codes and numbers for trees, indicator columns for linear models, and numbers without a unit."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.tables import clamped, codes
from synthgate.domain import NUMERIC, Column

MAX_WIDTH = 400
"""Features of a linear model, at most and about; what a column may have of it is a public fact."""

FARTHEST = 1e6
"""How many largest numbers, and how many spreads from the middle, a number can lie away; it is moved there."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Middle and spread of numbers, column by column. Bounds are declared, and can be far beyond all values: what is
    measured of numbers is told on this scale, never on that of the bounds. Equal numbers have a spread of exactly 0.

    ``unit`` is the largest number, ``first`` the first one, ``middle`` is told from there; all but the first in units.
    """

    unit: Floats
    first: Floats
    middle: Floats
    spread: Floats

    @classmethod
    def of(cls, cells: Floats) -> Self:
        """The scale of one row or more, shape (rows,) or (rows, columns), none of them NaN."""
        unit = np.asarray(np.abs(cells).max(axis=0))
        unit = np.where(unit > 0, unit, 1.0)
        first = np.asarray(cells[0]) / unit
        off = cells / unit - first
        return cls(unit=unit, first=first, middle=off.mean(axis=0), spread=off.std(axis=0))

    def to(self, cells: Floats) -> Floats:
        """The same numbers, or others of these columns, in spreads from the middle; 0 where there is no spread."""
        far = FARTHEST * self.unit
        off = np.clip(cells, -far, far) / self.unit - self.first - self.middle
        found = np.where(self.spread > 0, off / np.where(self.spread > 0, self.spread, 1.0), 0.0)
        return np.asarray(np.clip(found, -FARTHEST, FARTHEST))

    def back(self, cells: Floats) -> Floats:
        """What `to` undoes."""
        return np.asarray((cells * self.spread + self.middle + self.first) * self.unit)


def feature(frame: pd.DataFrame, column: Column) -> Floats:
    """Numbers within the declared bounds, in their own unit, categories as codes, NaN where missing; shape (rows,)."""
    if column.kind in NUMERIC:
        return clamped(frame[column.name].to_numpy(), column)
    found, size = codes(frame, column)
    return np.where(found == size - 1, np.nan, found.astype(np.float64))


def levels(columns: list[Column]) -> int:
    """How many categories of a column have an indicator of their own."""
    return max(1, min(32, MAX_WIDTH // max(1, len(columns))))


def indicators(columns: list[Column], features: Floats, among: Floats) -> Floats:
    """The features of a linear model, shape (rows, width): a numeric column as its number, 0 where missing, and whether
    it is missing; of another the categories that are most frequent in ``among`` (same columns, ties by code), the
    others together being the reference."""
    most = levels(columns)
    out = []
    for i, column in enumerate(columns):
        cells, base = features[:, i], among[:, i]
        if column.kind in NUMERIC:
            out.append(np.nan_to_num(cells))
            if np.isnan(base).any():
                out.append(np.isnan(cells).astype(np.float64))
            continue
        found, counts = np.unique(base[~np.isnan(base)], return_counts=True)
        kept = found[np.argsort(-counts, kind="stable")[:most]]
        out += [(cells == value).astype(np.float64) for value in sorted(kept.tolist())]
    return np.column_stack(out) if out else np.zeros((len(features), 0))
