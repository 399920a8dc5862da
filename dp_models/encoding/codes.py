"""Cells as integer codes and back, by the declaration alone.

A column's codes are its declared categories, truth values or bins (0, 1, ...), then ``null`` where it is nullable, and
last, on every column, ``other``: what the declaration does not cover. Nothing here is learnt from rows.

With ``cells`` the bins of numbers and moments are the cells of a fine public grid (`Grid`), not the declared ones;
`dp_models.encoding.binning` buys noisy counts of them and puts them together again. Moments then have calendar parts
too (`dp_models.encoding.calendar`), whose codes follow those of the declared columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dp_models.base import FloatArray, IntArray, Rows
from dp_models.encoding.calendar import Part, parts_of, placed
from dp_models.encoding.grid import Grid, multiples
from dp_models.encoding.table import arrow_schema, arrow_type
from dp_models.tables.drawing import draw
from synthgate.domain import NUMERIC, Column, Domain, Kind

_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class ColumnCodes:
    """The codes of one column; ``cells`` bounds the fine grid of a numeric one, 0 stands for its declared bins."""

    column: Column
    cells: int = 0

    @cached_property
    def values(self) -> int:
        """How many declared categories, truth values or bins there are; codes 0 to ``values - 1``."""
        if self.column.kind is Kind.CATEGORICAL:
            return len(self.column.categories)
        return 2 if self.column.kind is Kind.BOOLEAN else len(self._edges) - 1

    @property
    def null(self) -> int | None:
        """The code of a missing cell, where the column is nullable."""
        return self.values if self.column.nullable else None

    @property
    def other(self) -> int:
        """The last code: a cell that the declaration does not cover."""
        return self.values + self.column.nullable

    @property
    def size(self) -> int:
        """The number of codes."""
        return self.other + 1

    @property
    def ordered(self) -> bool:
        """Whether neighbouring codes are neighbouring values."""
        return self.column.kind in NUMERIC

    def encode(self, cells: pa.ChunkedArray | pa.Array) -> IntArray:
        """Codes (n,) of cells of the column's Arrow type. Never raises on content."""
        missing = self.other if self.null is None else self.null
        kind = self.column.kind
        if kind is Kind.CATEGORICAL:
            found = pc.index_in(cells, value_set=pa.array(self.column.categories, pa.string()))
            codes = _int64(pc.fill_null(found, self.other))
        elif kind is Kind.BOOLEAN:
            codes = _int64(pc.fill_null(pc.cast(cells, pa.int64()), 0))
        elif self.grid is not None and self.grid.exact:
            codes = self.numbers(cells).astype(np.int64) - int(self._edges[0])
        else:
            codes = np.searchsorted(self._edges[1:-1], self.numbers(cells), side="right").astype(np.int64)
        absent = pc.is_null(cells, nan_is_null=kind is Kind.FLOAT)
        codes[np.asarray(absent.to_numpy(zero_copy_only=False), dtype=bool)] = missing
        return codes

    @cached_property
    def grid(self) -> Grid | None:
        """The fine grid of a numeric column that is cut by one."""
        return Grid(self.column, self.cells) if self.cells and self.ordered else None

    def granularity(self, cells: pa.ChunkedArray | pa.Array) -> IntArray:
        """How often each unit of `Grid.steps` is the coarsest that a cell is a multiple of (the last: none is)."""
        grid = self.grid
        assert grid is not None  # noqa: S101  asked of columns with a grid
        numbers = self.numbers(cells.drop_null())
        codes = np.searchsorted(self._edges[1:-1], numbers, side="right")
        numbers = numbers[~np.isin(codes, grid.apart)]
        found, left = np.full(len(numbers), len(grid.steps)), np.arange(len(numbers))
        for i in range(len(grid.steps) - 1, -1, -1):  # multiples of a coarse unit are multiples of the finer ones
            left = left[multiples(numbers[left], grid.steps[i])]
            found[left] = i
        return np.bincount(found, minlength=len(grid.steps) + 1)

    @cached_property
    def _edges(self) -> FloatArray | IntArray:
        """The edges of the bins in the unit of the stored cells: integers, microseconds since 1970, or floats."""
        column = self.column
        if self.grid is not None:
            return self.grid.edges
        if column.kind is Kind.FLOAT:
            return np.asarray(column.edges, dtype=np.float64)
        if column.kind is Kind.INTEGER:
            return np.asarray([round(e) for e in column.edges], dtype=np.int64)
        if column.bins:
            return np.asarray([_microseconds(p) for p in (column.low, *column.bins, column.high)], dtype=np.int64)
        low, high = _microseconds(column.low), _microseconds(column.high)
        inner = sorted({min(max(round(e * 1e6), low), high) for e in column.edges[1:-1]})
        return np.asarray([low, *inner, high], dtype=np.int64)

    def numbers(self, cells: pa.ChunkedArray | pa.Array) -> FloatArray | IntArray:
        """Cells of a numeric column in the unit of the edges, clamped to the bounds; a null becomes some number
        within."""
        low, high = self._edges[0], self._edges[-1]
        if self.column.kind is Kind.FLOAT:
            floats = np.asarray(pc.fill_null(cells, 0.0).to_numpy(), dtype=np.float64)
            return np.clip(np.nan_to_num(floats, nan=low, posinf=high, neginf=low), low, high)
        return np.clip(_int64(pc.fill_null(pc.cast(cells, pa.int64()), 0)), low, high)

    def unit(self, bound: object) -> float | int:
        """A bound of the declaration, or between them, in the unit of the stored cells."""
        if isinstance(bound, datetime):
            return _microseconds(bound)
        assert isinstance(bound, (int, float))  # noqa: S101  numeric columns have numbers as bounds
        return float(bound) if self.column.kind is Kind.FLOAT else int(bound)

    @cached_property
    def extents(self) -> tuple[FloatArray | IntArray, FloatArray | IntArray]:
        """The first and the last value of each bin (values,), in the unit of the stored cells."""
        edges = self._edges
        if self.column.kind is Kind.FLOAT:
            return edges[:-1], np.append(np.nextafter(edges[1:-1], -np.inf), edges[-1])
        return edges[:-1], np.maximum(np.append(edges[1:-1] - 1, edges[-1]), edges[:-1])

    def settle(self, weights: FloatArray) -> FloatArray:
        """Probabilities (..., size) of what is released, from weights (..., size) of what is modelled.

        ``other`` is released as null where the column is nullable, else it is redrawn from the declared values of the
        same distribution. Rows without any weight become uniform over the declared values.
        """
        settled = np.maximum(np.asarray(weights, dtype=np.float64), 0.0)
        if self.null is not None:
            settled[..., self.null] += settled[..., self.other]
        settled[..., self.other] = 0.0
        total = settled.sum(axis=-1, keepdims=True)
        uniform = np.zeros(self.size)
        uniform[: self.values] = 1 / self.values
        return np.where(total > 0, settled / np.where(total > 0, total, 1.0), uniform)

    def decode(
        self,
        codes: IntArray,
        *,
        generator: np.random.Generator,
        granularity: FloatArray | None = None,
        weekday: IntArray | None = None,
        hour: IntArray | None = None,
    ) -> pa.Array:
        """Cells of the column's Arrow type from codes (n,); uniform within a bin, integers and datetimes kept whole.

        ``granularity`` (steps + 1,) are the shares of values that are multiples of each unit of `Grid.steps`;
        ``weekday`` and ``hour`` (n,) are the calendar parts of moments that have them.
        ``other`` becomes null where the column is nullable, else any declared value with equal chance: engines settle
        their distributions first, so that it does not occur.
        """
        absent = codes >= self.values
        if self.null is None:
            codes = np.where(absent, generator.integers(0, self.values, size=len(codes)), codes)
            absent = np.zeros(len(codes), dtype=bool)
        codes = np.where(absent, 0, codes)
        if self.column.kind is Kind.CATEGORICAL:
            cells = pa.array(self.column.categories, pa.string()).take(pa.array(codes))
            return pc.if_else(pa.array(absent), pa.scalar(None, pa.string()), cells)
        if self.column.kind is Kind.BOOLEAN:
            return pa.array(codes == 1, pa.bool_(), mask=absent)
        numbers = (self._within if self.column.kind is Kind.FLOAT else self._whole_within)(codes, generator)
        limits = self._edges[codes], self._edges[codes + 1]
        if weekday is not None or hour is not None:
            bounds = int(self._edges[0]), int(self._edges[-1])
            numbers = placed(numbers.astype(np.int64), limits, weekday=weekday, hour=hour, bounds=bounds)
            limits = np.full(len(codes), bounds[0]), np.full(len(codes), bounds[1])
        if granularity is not None:
            numbers = self.snapped(numbers, codes, limits, granularity, generator)
        return pa.array(numbers, mask=absent).cast(arrow_type(self.column))

    def _within(self, codes: IntArray, generator: np.random.Generator) -> FloatArray:
        """Floats uniform in [edge, next edge), the last bin closed."""
        edges = self._edges.astype(np.float64)
        share = generator.random(len(codes))
        drawn = edges[codes] * (1 - share) + edges[codes + 1] * share
        first, last = self.extents
        return np.asarray(np.clip(drawn, first[codes], last[codes]))

    def snapped(
        self,
        numbers: FloatArray | IntArray,
        codes: IntArray,
        limits: tuple[FloatArray | IntArray, FloatArray | IntArray],
        shares: FloatArray,
        generator: np.random.Generator,
    ) -> FloatArray | IntArray:
        """Numbers (n,) of bins ``codes`` moved to a multiple of a drawn unit (``shares`` as in `decode`) where one lies
        in [low, high) of ``limits``."""
        assert self.grid is not None  # noqa: S101  only grids have units
        likely = (shares[:, None] * self.grid.holds + 1e-12 * self.grid.holds).T
        steps = np.append(self.grid.steps, 0.0)[draw(likely, len(codes), generator=generator, given=codes)]
        rounded = steps > (1.0 if self.column.kind is not Kind.FLOAT else 0.0)
        unit = np.where(rounded, steps, 1.0)
        low, high = (edge.astype(np.float64) for edge in limits)
        below = np.floor(numbers / unit) * unit
        moved = np.where(below < low, np.ceil(low / unit) * unit, below)
        if self.column.kind is Kind.FLOAT:  # the double closest to the decimal, not a multiple of a double
            inverse = np.rint(1 / unit)
            moved = np.where(unit < 1, np.rint(moved / unit) / np.maximum(inverse, 1), moved)
        fits = rounded & (moved >= low) & (moved < high)
        numbers[fits] = moved[fits]
        return numbers

    def _whole_within(self, codes: IntArray, generator: np.random.Generator) -> IntArray:
        """Whole numbers uniform in [edge, next edge), the last bin closed."""
        first, last = self.extents
        drawn = generator.integers(first[codes].astype(np.int64), last[codes].astype(np.int64), endpoint=True)
        return np.asarray(drawn, dtype=np.int64)


@dataclass(frozen=True)
class Codec:
    """All modelled columns of a domain as one matrix of codes; ``cells`` as in `ColumnCodes`."""

    domain: Domain
    cells: int = 0

    @cached_property
    def columns(self) -> tuple[ColumnCodes, ...]:
        """The codes of each modelled column, in declared order, then those of the calendar parts."""
        columns = (*self.domain.modelled, *(part.column for part in self.parts))
        return tuple(ColumnCodes(c, self.cells) for c in columns)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The calendar parts of datetime columns, where moments are cut by a fine grid."""
        return parts_of(self.domain) if self.cells else ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of codes of each column."""
        return tuple(c.size for c in self.columns)

    def encode(self, rows: Rows | pa.RecordBatch) -> IntArray:
        """Codes (columns, n) of a canonical table; further columns are ignored."""
        if not rows.num_rows:
            return np.zeros((len(self.columns), 0), dtype=np.int64)
        declared = self.columns[: len(self.domain.modelled)]
        codes = [c.encode(rows.column(c.column.name)) for c in declared]
        for part, column in zip(self.parts, self.columns[len(declared) :], strict=True):
            whole = declared[part.source]
            there = codes[part.source] < whole.values
            moments = whole.numbers(rows.column(whole.column.name)).astype(np.int64)
            codes.append(np.where(there, part.of(moments), column.other))
        return np.stack(codes)

    def decode(
        self,
        codes: Sequence[IntArray] | IntArray,
        *,
        generator: np.random.Generator,
        granularity: Sequence[FloatArray | None] | None = None,
    ) -> pa.Table:
        """A canonical table of codes (columns, n); ``granularity`` a column, as in `ColumnCodes.decode`."""
        shares = granularity or [None] * len(self.columns)
        cells = []
        for i in range(len(self.domain.modelled)):
            calendar = {
                part.column.name: codes[len(self.domain.modelled) + number]
                for number, part in enumerate(self.parts)
                if part.source == i
            }
            cells.append(self.columns[i].decode(codes[i], generator=generator, granularity=shares[i], **calendar))
        return pa.Table.from_arrays(cells, schema=arrow_schema(self.domain))


def _int64(cells: pa.ChunkedArray | pa.Array) -> IntArray:
    return np.array(cells.to_numpy(), dtype=np.int64)


def _microseconds(moment: object) -> int:
    assert isinstance(moment, datetime)  # noqa: S101  a datetime column declares datetimes
    gap = moment - _EPOCH
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds
