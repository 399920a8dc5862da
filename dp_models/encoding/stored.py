"""`ParquetRows`: stored rows that stay on disk and are read a batch at a time, so that memory stays flat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from dp_models.encoding.table import BATCH_ROWS


@dataclass(frozen=True)
class ParquetRows:
    """The rows of a Parquet file, with what the `Rows` protocol asks of a `pa.Table`."""

    path: Path
    names: tuple[str, ...] | None = None
    """The columns that are read; None stands for all."""

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        whole = pq.read_schema(self.path)
        return whole if self.names is None else pa.schema([whole.field(name) for name in self.names])

    @cached_property
    def num_rows(self) -> int:
        """How many rows the file holds."""
        return int(pq.read_metadata(self.path).num_rows)

    def column(self, name: str) -> pa.ChunkedArray:
        """All cells of one column."""
        return pq.read_table(self.path, columns=[name]).column(0)

    def select(self, names: Sequence[str]) -> Self:
        """The same rows with these columns alone."""
        return replace(self, names=tuple(names))

    def to_batches(self, max_chunksize: int | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in stored order, read anew each time."""
        with pq.ParquetFile(self.path) as file:
            yield from file.iter_batches(batch_size=max_chunksize or BATCH_ROWS, columns=self.names)
