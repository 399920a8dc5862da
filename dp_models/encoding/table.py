"""The canonical Arrow table of a domain: which columns, in which order, of which types.

Ingest writes it (with `UNIT_COLUMN` beside it), engines read it and sample it, a release is it.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from dp_models.base import Rows
from synthgate.derivation import REPLICATE
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind
from synthgate.errors import DataCorrupted

BATCH_ROWS = 65_536
"""Rows that are held at a time: their codes stay in a processor's cache."""

_TYPES: dict[Kind, pa.DataType] = {
    Kind.CATEGORICAL: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATETIME: pa.timestamp("us"),
}


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type of a modelled column's cells."""
    return _TYPES[column.kind]


def arrow_schema(domain: Domain) -> pa.Schema:
    """The modelled columns in declared order, without any metadata. Every field is nullable to Arrow: a stored private
    row may hold a null where the declaration has none (it counts as `other`)."""
    return pa.schema([pa.field(c.name, arrow_type(c)) for c in domain.modelled])


def private_schema(domain: Domain) -> pa.Schema:
    """The canonical schema with `UNIT_COLUMN` (int64) last: how ingest stores private rows."""
    return arrow_schema(domain).append(pa.field(UNIT_COLUMN, pa.int64()))


def replicates_schema(domain: Domain) -> pa.Schema:
    """The canonical schema with the number of the replicate (int64) in front: how a release with replicates is."""
    return arrow_schema(domain).insert(0, pa.field(REPLICATE, pa.int64()))


def empty_table(domain: Domain) -> pa.Table:
    """A canonical table without rows."""
    return arrow_schema(domain).empty_table()


def check_rows(rows: Rows, domain: Domain, *, max_rows: int) -> None:
    """Hold stored rows to what ingest promised, as `checked` does, before anything else is done with them."""
    for _ in checked(rows, domain, max_rows=max_rows):
        pass


def checked(rows: Rows, domain: Domain, *, max_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows in batches, held to what ingest promised: the private schema, sorted by unit, at most ``max_rows`` rows
    a unit.

    Raises DataCorrupted, with words that do not depend on any cell, before the batch that breaks a promise.
    """
    if not rows.schema.equals(private_schema(domain), check_metadata=False):
        raise DataCorrupted("the stored rows do not have the columns and types of the declared domain")
    tail = np.zeros(0, dtype=np.int64)
    for batch in rows.to_batches(max_chunksize=BATCH_ROWS):
        cells = batch.column(UNIT_COLUMN)
        units = np.concatenate((tail, cells.fill_null(-1).to_numpy()))
        unsorted = cells.null_count or (np.diff(units) < 0).any()
        if unsorted or (units[max_rows:] == units[: max(len(units) - max_rows, 0)]).any():
            raise DataCorrupted("the stored rows are not cut to the declared rows per unit, or not sorted by unit")
        tail = units[-max_rows:]
        yield batch
