"""Distances of several columns as a report shows them: over rows in cells that ten training rows have.

The exact distance of a pair, beside the release, tells how many training rows a rare value has: it is one equation with
one unknown. So what is shown leaves out, on both sides, the rows whose value fewer than ten training rows have in one
of the columns, and has no more decimals than ten rows leave. Rules read the exact one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import nan

import numpy as np
import numpy.typing as npt

from evaluation import held_back
from evaluation.base import Comparison
from evaluation.groups import Group
from evaluation.utility.coded import Coded, Codes, cells, distance, share
from evaluation.utility.shares import kept
from synthgate.report import DECIMALS, Score

MANY = 10
"""Distances whose mean is shown with three decimals."""

Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The training rows ``train`` as codes, which codes of each column lie in a cell that is shown, and by how many
    ``rows`` a distance is rounded."""

    rows: int
    train: list[Codes]
    sizes: list[int]
    kept: list[Truth]

    @classmethod
    def of(cls, comparison: Comparison, tables: Coded) -> "Shown":
        """For the training rows of a comparison."""
        columns = comparison.domain.modelled
        found = [kept(c, codes) for c, codes in zip(columns, tables.train, strict=True)]
        return cls(rows=len(comparison.train), train=tables.train, sizes=tables.sizes, kept=found)

    @classmethod
    def of_holdout(cls, comparison: Comparison, tables: Coded) -> "Shown":
        """For distances of the holdout: over cells that ten of its rows have too, by the smaller table's decimals."""
        sides = zip(comparison.domain.modelled, tables.train, tables.holdout, strict=True)
        found = [kept(c, ours, theirs) for c, ours, theirs in sides]
        rows = min(len(comparison.train), len(comparison.holdout))
        return cls(rows=rows, train=tables.train, sizes=tables.sizes, kept=found)

    def distances(self, exact: dict[Group, float], side: list[Codes]) -> dict[Group, float | None]:
        """The distance of every group of columns between ``side`` and the training rows; ``exact`` has the exact ones.
        None where fewer than ten rows are left on one side."""
        return {group: self._distance(group, found, side) for group, found in exact.items()}

    def mean(self, distances: Iterable[float | None]) -> float | None:
        """The mean of those that are shown; None without any."""
        told = [each for each in distances if each is not None and not np.isnan(each)]
        if not told:
            return None
        return round(float(np.mean(told)), DECIMALS if len(told) >= MANY else held_back.places(self.rows))

    def less(self, left: float | None, right: float | None) -> float | None:
        """A difference of two means."""
        return None if left is None or right is None else round(left - right, DECIMALS)

    def _distance(self, group: Group, exact: float, side: list[Codes]) -> float | None:
        if all(self.kept[i].all() for i in group) or np.isnan(exact):
            return held_back.coarse(exact, self.rows)
        left, right = (self._rows(group, table) for table in (side, self.train))
        if min(len(left[0]), len(right[0])) < held_back.MIN_CELL:
            return None
        (ours, theirs), width = cells([left, right], [self.sizes[i] for i in group], tuple(range(len(group))))
        return held_back.coarse(distance(share(ours, width), share(theirs, width)), self.rows)

    def _rows(self, group: Group, table: list[Codes]) -> list[Codes]:
        inside = np.logical_and.reduce([self.kept[i][table[i]] for i in group])
        return [table[i][inside] for i in group]


def as_shown(scores: Iterable[Score], told: Mapping[str, float | None]) -> tuple[Score, ...]:
    """The scores with what a report shows instead of their exact values; of None, nothing."""
    out = []
    for score in scores:
        value = told.get(score.name, score.value)
        value = nan if value is None else value
        out.append(replace(score, shown=(value, value, value)) if score.name in told else score)
    return tuple(out)
