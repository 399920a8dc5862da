"""Counting codes into contingency tables."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from dp_models.base import IntArray


def count(codes: Sequence[IntArray], shape: Sequence[int]) -> IntArray:
    """How often each combination occurs: ``codes`` are columns (n,), the result has ``shape``, one axis a column."""
    cells = np.zeros(len(codes[0]), dtype=np.int64)
    for column, size in zip(codes, shape, strict=True):
        cells = cells * size + column
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(tuple(shape))


class StarCounts:
    """True tables of every column with the target, added up batch by batch. Private, as `PairCounts`."""

    def __init__(self, groups: Sequence[IntArray], target_size: int) -> None:
        self._tables = [np.zeros((int(g.max()) + 1, target_size), dtype=np.int64) for g in groups]

    def of(self, codes: Sequence[IntArray], target: IntArray) -> list[IntArray]:
        """The counts of some rows: ``codes`` a column, ``target`` (n,)."""
        return [count([column, target], t.shape) for t, column in zip(self._tables, codes, strict=True)]

    def add(self, found: Sequence[IntArray]) -> None:
        """Count some rows more."""
        for table, part in zip(self._tables, found, strict=True):
            table += part

    def __getitem__(self, column: int) -> IntArray:
        """The table (groups of the column, groups of the target)."""
        return self._tables[column]


class PairCounts:
    """True tables of every pair of columns, each with a target, added up batch by batch. Private: what reads them
    answers for the noise.

    ``sizes`` are the groups of each column, ``target_size`` those of the target.
    """

    def __init__(self, sizes: Sequence[int], target_size: int) -> None:
        self._sizes, self._target = tuple(sizes), target_size
        self._stride = max(sizes, default=1) * target_size
        self._tables = {
            (a, b): np.zeros(self._sizes[a] * self._stride, dtype=np.int64)
            for a, b in combinations(range(len(self._sizes)), 2)
        }

    def of(self, codes: Sequence[IntArray], target: IntArray) -> list[IntArray]:
        """The counts of some rows: ``codes`` a column, ``target`` (n,)."""
        first = [column * self._stride for column in codes]
        second = [column * self._target + target for column in codes]
        return [np.bincount(first[a] + second[b], minlength=len(t)) for (a, b), t in self._tables.items()]

    def add(self, found: Sequence[IntArray]) -> None:
        """Count some rows more."""
        for table, part in zip(self._tables.values(), found, strict=True):
            table += part

    def __getitem__(self, pair: tuple[int, int]) -> IntArray:
        """The table (groups of a, groups of b, groups of the target) of a pair a < b."""
        a, b = pair
        padded = self._tables[pair].reshape(self._sizes[a], self._stride)[:, : self._sizes[b] * self._target]
        return np.asarray(padded.reshape(self._sizes[a], self._sizes[b], self._target))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every pair of columns, in order."""
        return list(self._tables)
