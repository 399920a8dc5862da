"""Atoms: single values that many rows share (a rate, a dose, a code, a top-up), found by noisy counts alone.

A cell of a grid holds many possible values. Where its noisy count is high, its parts are counted, then the parts of
those that stand clearly above the noise, a thousand times finer each time, down to whole numbers or nine significant
digits (a heavy-hitter search; compare Zhu, Kairouz, McMahan, Sun, Li 2020). How many tables that takes follows from the
declaration; which parts they hold follows from tables already paid for. A row lies in one part, so that each table has
the sensitivity of a one-way table. What is found becomes a value of its own within its cell.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dp_models.base import FloatArray, IntArray, Noise
from dp_models.encoding.codes import ColumnCodes
from dp_models.encoding.side_by_side import each
from dp_models.tables.drawing import draw
from synthgate.domain import Kind

BRANCH = 1_000
MOST, _ALL = 64, 512
"""Parts that are split further in a table at most (those with the highest counts; at least one), and in all tables of a
domain together: a thousand draws of exact noise for each take a hundredth of a second."""
_OPEN, _CLEAR = 2.5, 5.0
"""Noisy counts, in standard deviations of the noise, from which a cell is searched and a part is believed: among 64,000
parts the noise alone exceeds 5 with a chance of 2 %."""
_REST = 2.0
"""What a cell holds beside its atoms is believed from so many standard deviations of the noise."""
_DIGITS = 8
"""The step of a cell of floats is so many powers of ten below its largest number, or more coarse where the search
ends earlier."""


@dataclass(frozen=True)
class Lattice:
    """The values that a column's atoms may have: whole multiples of a power of ten, by keys that follow their order.

    Whole numbers are their own keys. In a column of floats each cell has a step of its own, since a cell near zero may
    hold values that lie far below the steps of the largest ones: nine significant digits, or as many as the levels of
    the search reach. The cell is part of the key.
    """

    column: ColumnCodes

    @property
    def edges(self) -> FloatArray | IntArray:
        """The edges of the column's grid."""
        assert self.column.grid is not None  # noqa: S101  columns without a grid have no levels
        return self.column.grid.edges

    @property
    def _whole(self) -> bool:
        return self.column.column.kind is Kind.INTEGER

    @cached_property
    def levels(self) -> int:
        """How many tables a search takes; 0 for columns without such values."""
        if self.column.grid is None or self.column.grid.exact or self.column.column.kind is Kind.DATETIME:
            return 0
        widest = float(np.diff(self.edges.astype(np.float64)).max())
        step = 1.0 if self._whole else 10.0 ** (_magnitude(np.abs(self.edges[[0, -1]]).max()) - _DIGITS)
        return max(math.ceil(math.log(widest / step, BRANCH) - 1e-9), 0)

    @property
    def stride(self) -> int:
        """Keys in a part of the first level."""
        return int(BRANCH ** (self.levels - 1))

    @property
    def _block(self) -> int:
        """Keys set aside for a cell of a float column."""
        return (BRANCH + 2) * self.stride

    @cached_property
    def _powers(self) -> IntArray:
        """The step of each cell (cells,) of a float column is ten to this power."""
        low, high = self.edges[:-1].astype(np.float64), self.edges[1:].astype(np.float64)
        reach = np.ceil(np.log10(high - low) - 3 * self.levels - 1e-9)
        largest = np.maximum(np.abs(low), np.abs(high))
        return np.asarray(np.maximum(reach, _magnitude(largest) - _DIGITS).astype(np.int64))

    @cached_property
    def _begins(self) -> IntArray:
        """The multiple (cells,) of its step that each cell of a float column begins with."""
        return self._multiples(self.edges[:-1], np.arange(len(self._powers)))

    def _multiples(self, numbers: FloatArray | IntArray, cells: IntArray) -> IntArray:
        powers = self._powers[cells]
        scaled = numbers * 10.0 ** np.maximum(-powers, 0) / 10.0 ** np.maximum(powers, 0)
        return np.asarray(np.floor(scaled + 1e-4).astype(np.int64))

    def keys(self, numbers: FloatArray | IntArray) -> IntArray:
        """The keys (n,) of the multiples at or just below each number."""
        if self._whole:
            return np.asarray(numbers, dtype=np.int64)
        cells = cells_of(self.column, numbers)
        return np.asarray(cells * self._block + self._multiples(numbers, cells) - self._begins[cells])

    def values(self, keys: IntArray) -> FloatArray:
        """The numbers of keys: the doubles closest to the decimals."""
        if self._whole:
            return keys.astype(np.float64)
        cells, within = np.divmod(keys, self._block)
        powers, multiples = self._powers[cells], self._begins[cells] + within
        return np.asarray(multiples / 10.0 ** np.maximum(-powers, 0) * 10.0 ** np.maximum(powers, 0))

    def held(self, keys: IntArray) -> npt.NDArray[np.bool_]:
        """Whether the number (n,) of each key lies within the bounds and in the cell that its rows were counted in."""
        values = self.values(keys)
        inside = (values >= self.edges[0]) & (values <= self.edges[-1])
        if not self._whole:
            inside &= cells_of(self.column, values) == keys // self._block
        return np.asarray(inside)

    def first(self, cells: IntArray) -> IntArray:
        """The keys of the first level within some cells."""
        last = np.nextafter(self.edges[1:].astype(np.float64), -np.inf)
        low, high = self.keys(self.edges[cells]) // self.stride, self.keys(last[cells]) // self.stride
        ranges = [np.arange(a, b + 1, dtype=np.int64) for a, b in zip(low, high, strict=True)]
        return np.asarray(np.unique(np.concatenate(ranges)))


def _magnitude(largest: FloatArray) -> IntArray:
    """The power of ten of numbers just below ``largest``."""
    return np.asarray(np.floor(np.log10(np.maximum(largest, 1e-290)) - 1e-12).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Atoms:
    """``values`` (m,) in ``cells`` (m,) of one column; ``shares`` (m,) are their parts of the cells' rows."""

    cells: IntArray
    values: FloatArray
    shares: FloatArray

    @classmethod
    def of(cls, column: ColumnCodes, values: FloatArray, shares: FloatArray) -> Self:
        """Atoms in the cells that hold them."""
        return cls(cells_of(column, values), values, shares)

    def placed(self, numbers: pa.Array, codes: IntArray, *, generator: np.random.Generator) -> pa.Array:
        """Cells of the column's Arrow type, drawn from ``codes`` (n,), with the share of each cell set to its atoms."""
        distinct, row = np.unique(self.cells, return_inverse=True)
        rank = np.arange(len(row)) - np.searchsorted(self.cells, self.cells)
        table = np.zeros((len(distinct), int(rank.max()) + 2))
        table[row, rank + 1] = self.shares
        table[:, 0] = np.maximum(1 - table.sum(axis=1), 0)
        which = np.full(max(int(codes.max(initial=0)), int(distinct.max())) + 1, -1)
        which[distinct] = np.arange(len(distinct))
        there = np.flatnonzero(which[codes] >= 0)
        given = which[codes[there]]
        drawn = draw(table, len(there), generator=generator, given=given)
        held = np.zeros_like(table)
        held[row, rank + 1] = self.values
        found = numbers.fill_null(0).to_numpy(zero_copy_only=False).copy()
        found[there[drawn > 0]] = held[given[drawn > 0], drawn[drawn > 0]]
        return pa.array(found, numbers.type, mask=numbers.is_null().to_numpy(zero_copy_only=False))


def cells_of(column: ColumnCodes, values: FloatArray | IntArray) -> IntArray:
    """The code (m,) of each value."""
    assert column.grid is not None  # noqa: S101  columns without a grid have no atoms
    return np.searchsorted(column.grid.edges[1:-1], values, side="right").astype(np.int64)


def splits_each(tables: int) -> int:
    """How many parts each of so many tables of a domain may split."""
    return max(1, min(MOST, _ALL // max(tables, 1)))


class Search:
    """One column's search, a level at a time: `of` counts rows, `close` makes the counts noisy and goes deeper.

    Between the two it holds true counts, which leave through ``noise`` alone.
    """

    def __init__(self, column: ColumnCodes, weights: FloatArray, *, sigma: float, most: int = MOST) -> None:
        self.lattice, self._weights, self._sigma, self._level = Lattice(column), weights, sigma, 0
        self._most = most
        assert column.grid is not None  # noqa: S101  see `Lattice.levels`
        inside = weights[: column.values].copy()
        inside[list(column.grid.apart)] = 0.0
        heavy = np.argsort(-inside, kind="stable")[:most]
        self._open(self.lattice.first(np.sort(heavy[(inside[heavy] > _OPEN * sigma) | (np.arange(len(heavy)) < 1)])))

    def _open(self, keys: IntArray) -> None:
        self._keys, self._counts = keys, np.zeros(len(keys), dtype=np.int64)

    @property
    def open(self) -> bool:
        """Whether there is a level left to count."""
        return self._level < self.lattice.levels

    def of(self, cells: pa.Array) -> IntArray:
        """The counts of some rows at the present level."""
        stride = self.lattice.stride // BRANCH**self._level
        keys = self.lattice.keys(self.lattice.column.numbers(cells.drop_null())) // stride
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.bincount(at[self._keys[at] == keys], minlength=len(self._keys))

    def add(self, found: IntArray) -> None:
        """Count some rows more."""
        self._counts += found

    def close(self, *, noise: Noise, sensitivity: int) -> None:
        """Buy the level's table and keep the parts that stand above its noise."""
        noisy = noise.discrete_gaussian(self._counts, sigma=self._sigma, sensitivity=sensitivity)
        heavy = np.argsort(-noisy, kind="stable")[: self._most]
        heavy = np.sort(heavy[noisy[heavy] > _CLEAR * self._sigma])
        self._parts, self._noisy, self._level = self._keys[heavy], noisy[heavy], self._level + 1
        deeper = (self._parts[:, None] * BRANCH + np.arange(BRANCH)).ravel()
        self._open(deeper if len(deeper) else self._keys[:1])

    def found(self) -> tuple[Atoms | None, FloatArray]:
        """What the last level found, and the estimated counts of the codes with that in them; the same total."""
        weights = self._weights
        kept = self.lattice.held(self._parts)
        if not kept.any():
            return None, weights
        values, counts = self.lattice.values(self._parts[kept]), self._noisy[kept].astype(np.float64)
        cells = cells_of(self.lattice.column, values)
        held, atoms = (np.bincount(cells, weights=w, minlength=len(weights)) for w in (counts, np.ones(len(cells))))
        rest = weights - held
        clear = rest > _REST * self._sigma * np.sqrt(atoms + 1)
        whole = np.where(atoms > 0, held + np.where(clear, rest, 0.0), weights)
        others = whole[atoms == 0].sum()
        left = max(weights.sum() - whole[atoms > 0].sum(), 0.0)
        whole[atoms == 0] *= left / others if others > 0 else 0.0
        return Atoms(cells, values, counts / whole[cells]), whole * (weights.sum() / whole.sum())


def search(
    searches: Mapping[str, Search], passes: Iterable[Iterable[pa.RecordBatch]], *, noise: Noise, sensitivity: int
) -> None:
    """Run the searches of some columns, by name, to their ends: one pass over the rows a level."""
    for batches in passes:
        still = {name: one for name, one in searches.items() if one.open}
        if not still:
            return
        each(partial(_counted, still), batches, into=partial(_add, still))
        for one in still.values():
            one.close(noise=noise, sensitivity=sensitivity)


def _counted(searches: Mapping[str, Search], batch: pa.RecordBatch) -> dict[str, IntArray]:
    return {name: one.of(batch.column(name)) for name, one in searches.items()}


def _add(searches: Mapping[str, Search], found: Mapping[str, IntArray]) -> None:
    for name, one in searches.items():
        one.add(found[name])
