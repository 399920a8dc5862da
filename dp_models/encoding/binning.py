"""`Binning`: which noisy one-way tables to buy so that numbers get good bins, and what to make of them.

A column with few codes is one table. A numeric column with many cells is counted on nested partitions of its `Grid`,
each some eight times finer than the one before (compare the hierarchies of Hay et al. 2010, and PrivTree, Zhang et al.
2016): a coarse table says where the mass lies, finer ones spread it. Where the noise would drown a finer table it is
not bought, and the mass is spread evenly. How many tables that are follows from public facts; what a table says moves a
cell away from an even spread only where it stands clearly above the noise, so that a spike (0, a top code) keeps a cell
of its own and empty stretches stay empty. A column whose cells hold several values also buys one small table of how far
its values are rounded.

Merging into at most 32 bins is free, since it reads the noisy counts alone (`dp_models.tables.grouping`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray, Noise, Rows
from dp_models.encoding.atoms import Atoms, Lattice, Search, search, splits_each
from dp_models.encoding.codes import Codec, ColumnCodes
from dp_models.encoding.side_by_side import each
from dp_models.encoding.table import BATCH_ROWS, checked
from dp_models.tables.bought import OneWay
from dp_models.tables.consistency import to_simplex
from synthgate.domain import Domain

CELLS = 1_024
FIRST, BRANCH = 16, 8
"""Parts of the coarsest partition, and how many parts of the next lie in one."""
_DEPTHS = ((150.0, 4), (100.0, 3))
"""Rows in units of the noise from which a depth pays."""
_CLEAR = 2.0
"""A deviation is believed to the degree that it exceeds so many standard deviations of the noise."""
_FAR = 3.0
"""Parts far from all others are believed from so many standard deviations of the noise."""


@dataclass(frozen=True)
class Binning:
    """The tables of a domain; ``depth`` says how closely wide numeric columns are looked at: 2 is two nested
    partitions, 3 a search for atoms too, 4 a third partition as well."""

    domain: Domain
    depth: int

    @cached_property
    def codec(self) -> Codec:
        """Codes at the finest grain."""
        return Codec(self.domain, cells=max(64, CELLS * 16 // max(len(self.domain.modelled), 16)))

    @property
    def width(self) -> int:
        """How many columns are coded: the modelled ones and their calendar parts."""
        return len(self.codec.columns)

    @cached_property
    def partitions(self) -> tuple[tuple[IntArray, ...], ...]:
        """For each column the part of each declared value in each of its partitions, coarse to fine."""
        return tuple(_nested(c, 3 if self.depth > 3 else 2) for c in self.codec.columns)

    @property
    def rounded(self) -> tuple[int, ...]:
        """The columns for which the rounding of values is counted."""
        return tuple(i for i, c in enumerate(self.codec.columns) if c.grid is not None and not c.grid.exact)

    @property
    def tables(self) -> int:
        """How many noisy tables are bought, all with the same noise."""
        searched = sum(Lattice(self.codec.columns[i]).levels for i in self.rounded) if self.searched else 0
        return sum(len(p) for p in self.partitions) + len(self.rounded) + searched

    @property
    def searched(self) -> bool:
        """Whether the columns are searched for atoms."""
        return self.depth > 2

    @property
    def cells(self) -> int:
        """How many noisy cells those have."""
        parts = sum(int(p[-1]) + 1 for column in self.partitions for p in column)
        return parts + 2 * len(self.partitions) + sum(len(self._steps(i)) + 1 for i in self.rounded)

    def _steps(self, column: int) -> FloatArray:
        grid = self.codec.columns[column].grid
        assert grid is not None  # noqa: S101  rounded columns have a grid
        return grid.steps

    def bought(self, rows: Rows, *, sigma: float, noise: Noise, sensitivity: int, total: float) -> "Columns":
        """All of it: a pass over the rows for the tables, and one for each level of the search for atoms.

        Raises DataCorrupted for rows that ingest did not make."""
        counts = Counts(self)
        each(counts.of, checked(rows, self.domain, max_rows=sensitivity), into=counts.add)
        columns = self.buy(counts, sigma=sigma, noise=noise, sensitivity=sensitivity, total=total)
        if not self.searched:
            return columns
        codes = self.codec.columns
        levels = {i: Lattice(codes[i]).levels for i in self.rounded}
        most = splits_each(sum(levels.values()))
        searches = {i: Search(codes[i], columns.weights[i], sigma=sigma, most=most) for i in levels if levels[i]}
        by_name = {codes[i].column.name: one for i, one in searches.items()}
        narrow = rows.select(list(by_name))
        passes = iter(lambda: narrow.to_batches(max_chunksize=BATCH_ROWS), None)
        search(by_name, passes, noise=noise, sensitivity=sensitivity)
        found = {i: one.found() for i, one in searches.items()}
        weights = tuple(found[i][1] if i in found else w for i, w in enumerate(columns.weights))
        atoms = {i: atoms for i, (atoms, _) in found.items() if atoms is not None}
        return replace(columns, weights=weights, atoms=atoms)

    def buy(self, counts: "Counts", *, sigma: float, noise: Noise, sensitivity: int, total: float) -> "Columns":
        """Noisy estimates from true counts, which leave through ``noise`` alone."""
        shares: list[FloatArray | None] = [None] * len(self.partitions)
        for i in self.rounded:
            noisy = noise.discrete_gaussian(counts.granularity[i], sigma=sigma, sensitivity=sensitivity)
            believed = np.where(noisy > _CLEAR * sigma, noisy, 0.0)
            shares[i] = units_drawn(believed, self._steps(i)) if believed.any() else None
        weights: list[FloatArray] = []
        one_way: list[tuple[OneWay, ...]] = []
        for column, parts, true, share in zip(self.codec.columns, self.partitions, counts.columns, shares, strict=True):
            values, rest = true[: column.values], true[column.values :]
            coarse = np.concatenate((np.bincount(parts[0], weights=values).astype(np.int64), rest))
            noisy = noise.discrete_gaussian(coarse, sigma=sigma, sensitivity=sensitivity)
            absent = np.arange(len(rest))
            tables = [OneWay(np.concatenate((parts[0], parts[0].max() + 1 + absent)), noisy)]
            for below in parts[1:]:
                true_parts = np.bincount(below, weights=values).astype(np.int64)
                noisy = noise.discrete_gaussian(true_parts, sigma=sigma, sensitivity=sensitivity)
                tables.append(OneWay(np.concatenate((below, np.full(len(rest), -1))), noisy))
            weights.append(spread_out(column, share, tables, sigma=sigma, total=total))
            one_way.append(tuple(tables))
        return Columns(self.codec, tuple(weights), tuple(shares), one_way=tuple(one_way))


class Counts:
    """True one-way counts, added up batch by batch. Private: nothing but `Binning.buy` reads them."""

    def __init__(self, binning: Binning) -> None:
        self._codec, self._rounded = binning.codec, binning.rounded
        self.columns = [np.zeros(size, dtype=np.int64) for size in self._codec.sizes]
        self.granularity = {i: np.zeros(len(binning._steps(i)) + 1, dtype=np.int64) for i in self._rounded}

    def of(self, batch: pa.RecordBatch) -> tuple[list[IntArray], dict[int, IntArray]]:
        """The counts of some stored rows."""
        columns = [
            np.bincount(c, minlength=n) for c, n in zip(self._codec.encode(batch), self._codec.sizes, strict=True)
        ]
        rounded = {i: self._codec.columns[i] for i in self._rounded}
        return columns, {i: c.granularity(batch.column(c.column.name)) for i, c in rounded.items()}

    def add(self, found: tuple[list[IntArray], dict[int, IntArray]]) -> None:
        """Count some rows more."""
        for total, part in zip(self.columns, found[0], strict=True):
            total += part
        for i, part in found[1].items():
            self.granularity[i] += part


@dataclass(frozen=True)
class Columns:
    """What the noise left of the columns: estimated counts of every code, shares of values by their rounding, and the
    single values that stood out. ``one_way`` are the noisy tables that this came of, while a fit runs; a model keeps
    them beside the others that it bought (`dp_models.tables.bought`)."""

    codec: Codec
    weights: tuple[FloatArray, ...]
    granularity: tuple[FloatArray | None, ...]
    atoms: Mapping[int, Atoms] = field(default_factory=dict)
    one_way: tuple[tuple[OneWay, ...], ...] = ()

    def decode(self, codes: Sequence[IntArray] | IntArray, *, generator: np.random.Generator) -> pa.Table:
        """A canonical table of fine codes (columns, n)."""
        table = self.codec.decode(codes, generator=generator, granularity=self.granularity)
        for i, atoms in self.atoms.items():
            cells = atoms.placed(table.column(i).combine_chunks(), codes[i], generator=generator)
            table = table.set_column(i, table.schema.field(i), cells)
        return table


def spread_out(
    column: ColumnCodes, share: FloatArray | None, tables: Sequence[OneWay], *, sigma: float, total: float
) -> FloatArray:
    """Estimated counts (codes,) that add up to ``total``: the coarsest table says where the mass lies, finer ones
    spread it. Reads noisy counts alone, with noise ``sigma``."""
    parts = [one.parts[: column.values] for one in tables]
    estimate = to_simplex(far_emptied(column, parts[0].max() + 1, tables[0].counts, sigma=sigma, total=total), total)
    inside, outside = estimate[: parts[0].max() + 1], estimate[parts[0].max() + 1 :]
    for (above, below), finer in zip(pairwise(parts), tables[1:], strict=True):
        inside = _spread(_even(column, share, inside, above, below), finer.counts, _parents(above, below), sigma)
    return np.concatenate((inside, outside))


def far_emptied(
    column: ColumnCodes, inside: int, noisy: IntArray | FloatArray, *, sigma: float, total: float
) -> FloatArray:
    """Noisy counts of a number's coarsest parts (``inside`` of them, then those of no number), with stretches of faint
    parts left empty that do not stand above the noise even together, where an even part would stand far above it: a few
    rows far out would rule every mean."""
    found = np.asarray(noisy, dtype=np.float64).copy()
    if column.grid is None or column.values <= 2 * FIRST or total < 2 * _FAR * sigma * inside:
        return found
    faint = np.concatenate(([False], found[:inside] < _FAR * sigma, [False]))
    turns = np.flatnonzero(np.diff(faint.astype(np.int64)))
    for begin, end in zip(turns[::2], turns[1::2], strict=True):
        if found[begin:end].sum() < _FAR * sigma * np.sqrt(end - begin):
            found[begin:end] = -np.inf
    return found if np.isfinite(found[:inside]).any() else np.asarray(noisy, dtype=np.float64)


def units_drawn(counts: FloatArray, steps: FloatArray) -> FloatArray:
    """Shares (steps + 1,) in which units are drawn so that each is the coarsest for as many values as ``counts`` says:
    a tenth of the multiples of ten are multiples of a hundred by themselves."""
    fine, coarse = steps[None, :], steps[:, None]
    own = np.tril(np.ones((len(steps), len(steps))))
    drawn = np.linalg.solve(np.where(own > 0, 1.0, fine / coarse), np.cumsum(counts[:-1]))
    shares = np.where(counts > 0, np.append(np.maximum(drawn, 0.0), counts[-1]), 0.0)
    return np.asarray(shares / shares.sum() if shares.any() else counts / counts.sum())


def _nested(column: ColumnCodes, partitions: int) -> tuple[IntArray, ...]:
    """Parts of the values, coarse to fine. Cells of a bound or of zero are parts of their own from the start."""
    values = column.values
    finest = np.arange(values, dtype=np.int64)
    if column.grid is None or values <= 2 * FIRST:
        return (finest,)
    apart = np.zeros(values, dtype=bool)
    apart[list(column.grid.apart)] = True
    found = [finest]
    wide = [FIRST * BRANCH**level for level in range(partitions - 1) if FIRST * BRANCH ** (level + 1) < 4 * values]
    for parts in reversed(wide):
        if parts < values / 2:
            begins = np.diff(finest * parts // values, prepend=-1) > 0
            begins |= apart | np.concatenate(([False], apart[:-1]))
            begins &= np.diff(found[0], prepend=-1) > 0
            found.insert(0, np.cumsum(begins) - 1)
    return tuple(found)


def _parents(above: IntArray, below: IntArray) -> IntArray:
    """The coarse part that each fine part lies in."""
    first = np.searchsorted(below, np.arange(below[-1] + 1))
    return above[first]


def _even(
    column: ColumnCodes, shares: FloatArray | None, inside: FloatArray, above: IntArray, below: IntArray
) -> FloatArray:
    """The mass of each coarse part spread over its fine ones: evenly over the cells that hold a value as round as the
    column's values are (``shares``, by the steps of its grid)."""
    holds = np.ones((1, len(above))) if shares is None or column.grid is None else column.grid.holds.astype(np.float64)
    parts = np.apply_along_axis(lambda h: np.bincount(above, weights=h), 1, holds)
    usable = parts > 0
    weights = usable * (np.ones((1, 1)) if shares is None else shares[:, None])
    weights[-1, weights.sum(axis=0) <= 0] = 1.0
    cells = (weights[:, above] * holds / np.where(usable, parts, 1.0)[:, above]).sum(axis=0) / weights.sum(axis=0)[
        above
    ]
    return np.asarray(inside[_parents(above, below)] * np.bincount(below, weights=cells))


def _spread(even: FloatArray, noisy: IntArray | FloatArray, parents: IntArray, sigma: float) -> FloatArray:
    """Estimates of fine parts that add up to those of the coarse ones: ``even`` where the noise rules, as counted where
    a deviation is clear (the non-negative garrote, Breiman 1995)."""
    gap = noisy - even
    trust = np.maximum(1 - (_CLEAR * sigma) ** 2 / np.maximum(gap**2, 1e-12), 0.0)
    found = np.maximum(even + trust * gap, 0.0)
    sums, wanted = np.bincount(parents, weights=found), np.bincount(parents, weights=even)
    return np.asarray(np.where(sums[parents] > 0, found * (wanted / np.maximum(sums, 1e-12))[parents], even))


def depth_for(rows: int, sigma: float) -> int:
    """How deep to look within cells, when one table has noise ``sigma`` and the public number of rows is ``rows``."""
    return next((depth for clear, depth in _DEPTHS if rows > clear * sigma), 2)
