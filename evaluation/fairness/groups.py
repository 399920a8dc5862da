"""The groups that protected columns make: of each column, and of two or three together.

Categories are groups as they are, truth values too; a numeric column is cut at its declared ``bins``, else in four
equal widths of its declared range. Where a column may be empty, being so is a group. Nothing of it depends on a row.
"""

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.tables import codes
from synthgate.domain import NUMERIC, Column, Domain, Kind

MAX_GROUPINGS = 50
"""Sets of protected columns whose groups are compared, at most: single ones first, in declared order."""
MAX_TOGETHER = 3
RANGES = 4

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """One set of protected columns. ``places`` gives each table's rows their groups; ``labels`` names those of a
    number, such as ``sex=f, age=18 to 65``."""

    columns: tuple[str, ...]
    places: tuple[Codes, ...]
    labels: dict[int, str]

    def counts(self, side: int) -> dict[int, int]:
        """How many rows of a table each group has."""
        found, rows = np.unique(self.places[side], return_counts=True)
        there = dict(zip(found.tolist(), rows.tolist(), strict=True))
        return {group: int(there.get(group, 0)) for group in self.labels}


def groupings(domain: Domain, frames: tuple[pd.DataFrame, ...], *, without: str | None = None) -> list[Grouping]:
    """The groupings of the protected columns but ``without``; groups are those that occur in one of the tables."""
    names = [name for name in domain.protected if name != without]
    single = {name: [_cut(frame, domain[name]) for frame in frames] for name in names}
    sets = [s for width in range(1, MAX_TOGETHER + 1) for s in combinations(names, width)]
    return [_together(domain, s, single) for s in sets[:MAX_GROUPINGS]]


def _together(domain: Domain, names: tuple[str, ...], single: dict[str, list[Codes]]) -> Grouping:
    sizes = [len(_labels(domain[name])) for name in names]
    tables = zip(*(single[name] for name in names), strict=True)
    places = tuple(np.ravel_multi_index(tuple(parts), tuple(sizes)).astype(np.int64) for parts in tables)
    labels = {}
    for group in np.unique(np.concatenate(places)).tolist():
        parts = np.unravel_index(group, tuple(sizes))
        labels[group] = ", ".join(
            f"{name}={_labels(domain[name])[int(part)]}" for name, part in zip(names, parts, strict=True)
        )
    return Grouping(columns=names, places=places, labels=labels)


def _edges(column: Column) -> list[float]:
    low, high = column.number(column.low), column.number(column.high)
    if column.bins:
        return [low, *(column.number(b) for b in column.bins), high]
    if column.kind is Kind.INTEGER and high - low < RANGES:
        return [*np.arange(low, high + 1).tolist(), high]
    return [low + (high - low) * i / RANGES for i in range(RANGES + 1)]


def _cut(frame: pd.DataFrame, column: Column) -> Codes:
    if column.kind not in NUMERIC:
        return codes(frame, column)[0]
    edges = _edges(column)
    cells = frame[column.name].to_numpy()
    found = np.clip(np.searchsorted(edges, cells, side="right") - 1, 0, len(edges) - 2)
    return np.where(np.isnan(cells), len(edges) - 1, found).astype(np.int64)


def _labels(column: Column) -> list[str]:
    if column.kind not in NUMERIC:
        return [*(column.categories or ("false", "true")), "missing"]
    points = [_point(column, edge) for edge in _edges(column)]
    return [f"{low} to {high}" for low, high in pairwise(points)] + ["missing"]


def _point(column: Column, value: float) -> str:
    if column.kind is Kind.DATETIME:
        return str(np.datetime64(int(value), "s").astype("datetime64[D]"))
    return f"{value:.6g}"
