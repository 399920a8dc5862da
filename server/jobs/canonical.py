"""The canonical Parquet: the bytes that are judged, attested and served. The same table always gives the same bytes.

What makes them equal: one schema (the domain's, no metadata of pandas or of Arrow), one row-group size, zstd at one
level, cells in one chunk. Only the name of the pyarrow version that wrote them is in the footer beside the data.
"""

import hashlib
import os
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dp_models.encoding.table import arrow_schema
from synthgate.domain import Column, Domain, Kind
from synthgate.errors import FailedPrecondition

ROW_GROUP_ROWS = 2**17
COMPRESSION_LEVEL = 3


def conform(table: object, domain: Domain, *, rows: int) -> pa.Table:
    """The table if it is what the domain allows, and nothing besides: the declared columns in order, their types,
    declared categories, numbers inside the bounds, nulls where declared, ``rows`` rows; without any metadata.

    Raises FailedPrecondition, which names the column and never a cell: an engine may have returned anything.
    """
    if not isinstance(table, pa.Table):
        raise FailedPrecondition("the engine did not return an Arrow table")
    schema = arrow_schema(domain)
    if table.schema.names != schema.names or table.schema.types != schema.types:
        raise FailedPrecondition("the engine returned other columns or types than the domain declares")
    if table.num_rows != rows:
        raise FailedPrecondition(f"the engine returned {table.num_rows} rows where {rows} were asked for")
    for column in domain.modelled:
        if not _allowed(table.column(column.name), column):
            raise FailedPrecondition(f"the engine returned cells in {column.name} that the domain does not allow")
    return pa.Table.from_arrays([chunked.combine_chunks() for chunked in table.columns], schema=schema)


def write(table: pa.Table, path: Path) -> tuple[str, int]:
    """Write a conforming table durably; returns sha256 (hex) and length of the bytes."""
    plain = table.replace_schema_metadata(None).combine_chunks()
    with path.open("wb") as file:
        pq.write_table(
            plain,
            file,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            row_group_size=ROW_GROUP_ROWS,
            store_schema=False,
        )
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest(), path.stat().st_size


def _allowed(cells: pa.ChunkedArray, column: Column) -> bool:
    if cells.null_count and not column.nullable:
        return False
    present = cells.drop_null()
    if not len(present) or column.kind is Kind.BOOLEAN:
        return True
    if column.kind is Kind.CATEGORICAL:
        return bool(pc.all(pc.is_in(present, value_set=pa.array(column.categories, pa.string()))).as_py())
    if column.kind is Kind.FLOAT and not pc.all(pc.is_finite(present)).as_py():
        return False
    extremes = pc.min_max(present).as_py()
    low, high = column.low, column.high
    if isinstance(low, datetime):
        return bool(low <= extremes["min"] and extremes["max"] <= high)
    return bool(column.number(low) <= extremes["min"] and extremes["max"] <= column.number(high))
