"""Cells as integer codes and back, by the declaration alone.

A column's codes are its declared categories, truth values or bins (0, 1, ...), then ``null`` where it is nullable, and
last, on every column, ``other``: what the declaration does not cover. Nothing here is learnt from rows.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.table import arrow_schema, arrow_type
from synthgate.domain import NUMERIC, Column, Domain, Kind

_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class ColumnCodes:
    """The codes of one column."""

    column: Column

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
        else:
            codes = np.searchsorted(self._edges[1:-1], self._numbers(cells), side="right").astype(np.int64)
        absent = pc.is_null(cells, nan_is_null=kind is Kind.FLOAT)
        codes[np.asarray(absent.to_numpy(zero_copy_only=False), dtype=bool)] = missing
        return codes

    @cached_property
    def _edges(self) -> FloatArray | IntArray:
        """The edges of the bins in the unit of the stored cells: integers, microseconds since 1970, or floats."""
        column = self.column
        if column.kind is Kind.FLOAT:
            return np.asarray(column.edges, dtype=np.float64)
        if column.kind is Kind.INTEGER:
            return np.asarray([round(e) for e in column.edges], dtype=np.int64)
        if column.bins:
            return np.asarray([_microseconds(p) for p in (column.low, *column.bins, column.high)], dtype=np.int64)
        low, high = _microseconds(column.low), _microseconds(column.high)
        inner = sorted({min(max(round(e * 1e6), low), high) for e in column.edges[1:-1]})
        return np.asarray([low, *inner, high], dtype=np.int64)

    def _numbers(self, cells: pa.ChunkedArray | pa.Array) -> FloatArray | IntArray:
        """Cells as numbers in the unit of the edges, clamped to the bounds; a null becomes some number within."""
        low, high = self._edges[0], self._edges[-1]
        if self.column.kind is Kind.FLOAT:
            floats = np.asarray(pc.fill_null(cells, 0.0).to_numpy(), dtype=np.float64)
            return np.clip(np.nan_to_num(floats, nan=low, posinf=high, neginf=low), low, high)
        return np.clip(_int64(pc.fill_null(pc.cast(cells, pa.int64()), 0)), low, high)

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

    def decode(self, codes: IntArray, *, generator: np.random.Generator) -> pa.Array:
        """Cells of the column's Arrow type from codes (n,); uniform within a bin, integers and datetimes kept whole.

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
        if self.column.kind is Kind.FLOAT:
            return pa.array(self._within(codes, generator), pa.float64(), mask=absent)
        return pa.array(self._whole_within(codes, generator), pa.int64(), mask=absent).cast(arrow_type(self.column))

    def _within(self, codes: IntArray, generator: np.random.Generator) -> FloatArray:
        """Floats uniform in [edge, next edge), the last bin closed."""
        edges = self._edges.astype(np.float64)
        share = generator.random(len(codes))
        last = np.append(np.nextafter(edges[1:-1], -np.inf), edges[-1])
        drawn = edges[codes] * (1 - share) + edges[codes + 1] * share
        return np.asarray(np.clip(drawn, edges[codes], last[codes]))

    def _whole_within(self, codes: IntArray, generator: np.random.Generator) -> IntArray:
        """Whole numbers uniform in [edge, next edge), the last bin closed."""
        edges = self._edges.astype(np.int64)
        last = np.append(edges[1:-1] - 1, edges[-1])
        drawn = generator.integers(edges[codes], np.maximum(last[codes], edges[codes]), endpoint=True)
        return np.asarray(drawn, dtype=np.int64)


@dataclass(frozen=True)
class Codec:
    """All modelled columns of a domain as one matrix of codes."""

    domain: Domain

    @cached_property
    def columns(self) -> tuple[ColumnCodes, ...]:
        """The codes of each modelled column, in declared order."""
        return tuple(ColumnCodes(c) for c in self.domain.modelled)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of codes of each column."""
        return tuple(c.size for c in self.columns)

    def encode(self, rows: pa.Table) -> IntArray:
        """Codes (columns, n) of a canonical table; further columns are ignored."""
        if not rows.num_rows:
            return np.zeros((len(self.columns), 0), dtype=np.int64)
        return np.stack([c.encode(rows.column(c.column.name)) for c in self.columns])

    def decode(self, codes: IntArray, *, generator: np.random.Generator) -> pa.Table:
        """A canonical table of codes (columns, n)."""
        cells = [c.decode(row, generator=generator) for c, row in zip(self.columns, codes, strict=True)]
        return pa.Table.from_arrays(cells, schema=arrow_schema(self.domain))


def _int64(cells: pa.ChunkedArray | pa.Array) -> IntArray:
    return np.array(cells.to_numpy(), dtype=np.int64)


def _microseconds(moment: object) -> int:
    assert isinstance(moment, datetime)  # noqa: S101  a datetime column declares datetimes
    gap = moment - _EPOCH
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds
