"""An uploaded CSV file as batches of text: every fault of structure is found here, and no cell is ever judged.

UTF-8 with or without a byte order mark, commas, double quotes (RFC 4180, doubled inside), any line ending; the first
record holds the column names; empty lines are skipped. Messages name declared columns, positions and row numbers. They
never quote a cell, nor a column name that was not declared, for both may be anything.
"""

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from synthgate.errors import DataCorrupted, InvalidTable

CHUNK_BYTES = 2**20
MAX_HEADER_BYTES = 2**20
MAX_ROW_BYTES = 8 * 2**20
_RECORD = re.compile(rb'(?:"[^"]*+"|[^"\r\n]++)*+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A checked file: its column names (trimmed, distinct) and the offset of its first data row."""

    path: Path
    header: tuple[str, ...]
    offset: int

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The cells of some columns as they stand, in the order asked for. Raises InvalidTable for ragged rows, rows
        longer than ``MAX_ROW_BYTES`` and a file without rows."""
        ragged: list[tuple[int, int, int]] = []

        def refuse(row: pa.csv.InvalidRow) -> str:
            ragged.append((row.number, row.actual_columns, row.expected_columns))
            return "error"

        rows = 0
        with pa.OSFile(str(self.path)) as file:
            file.seek(self.offset)
            try:
                for batch in self._reader(file, columns, refuse):
                    rows += batch.num_rows
                    yield batch
            except pa.ArrowInvalid as error:
                raise self._fault(ragged, error) from error
        if rows == 0:
            raise InvalidTable("the file holds column names but no rows")

    def _reader(self, file: pa.OSFile, columns: Sequence[str], refuse: object) -> Iterator[pa.RecordBatch]:
        """Columns go by position, since pyarrow has its own ideas about names."""
        wanted = [str(self.header.index(name)) for name in columns]
        reader: Iterator[pa.RecordBatch] = pa.csv.open_csv(
            file,
            read_options=pa.csv.ReadOptions(
                column_names=[str(i) for i in range(len(self.header))], block_size=MAX_ROW_BYTES, use_threads=False
            ),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=pa.csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), check_utf8=False
            ),
        )
        return reader

    def _fault(self, ragged: list[tuple[int, int, int]], error: Exception) -> InvalidTable:
        if ragged:
            number, actual, expected = ragged[0]
            return InvalidTable(
                f"data row {number} has {actual} cells where the header has {expected}; quote cells that hold commas"
            )
        if "Empty CSV" in str(error):
            return InvalidTable("the file holds column names but no rows")
        return InvalidTable(f"a row is longer than {MAX_ROW_BYTES // 2**20} MiB, or a quote is never closed")


def check_bytes(path: Path, *, sha256: str, size: int) -> None:
    """Hold a stored upload to its promised digest and length, and to UTF-8.

    Raises DataCorrupted for other bytes than promised, InvalidTable for an empty file and for another encoding.
    """
    digest, length = hashlib.sha256(), 0
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    encoded = True
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            length += len(chunk)
            encoded = encoded and _decodes(decoder, chunk, final=False)
    if length != size or digest.hexdigest() != sha256:
        raise DataCorrupted("the stored upload is not what was sent; upload it again")
    if length == 0:
        raise InvalidTable("the file is empty; it needs column names and at least one row")
    if not (encoded and _decodes(decoder, b"", final=True)):
        raise InvalidTable("the file is not UTF-8; save it as UTF-8 and upload it again")


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def open_upload(path: Path, *, declared: Sequence[str]) -> Upload:
    """Read the column names of a file that `check_bytes` has passed, and find all ``declared`` ones among them.

    Raises InvalidTable for a header that cannot be read, for a name that occurs twice and for a missing column.
    """
    with path.open("rb") as file:
        head = file.read(MAX_HEADER_BYTES)
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    found = _RECORD.match(head, start)
    end = found.end() if found else start
    if len(head) == MAX_HEADER_BYTES == end:
        raise InvalidTable(f"the column names take more than {MAX_HEADER_BYTES // 2**20} MiB")
    if head[end : end + 1] == b'"':
        raise InvalidTable("a quote among the column names is never closed")
    offset = end + (2 if head[end : end + 2] == b"\r\n" else 1)
    header = _names(head[start:end])
    _check_names(header, declared)
    return Upload(path=path, header=header, offset=offset)


def _names(record: bytes) -> tuple[str, ...]:
    if b"\x00" in record:
        raise InvalidTable("the first line holds NUL characters, as UTF-16 does; save the file as UTF-8")
    if not record.strip():
        raise InvalidTable("the first line is empty; it must hold the column names")
    try:
        (names,) = csv.reader(io.StringIO(record.decode(), newline=""), strict=False)
    except (csv.Error, ValueError):
        raise InvalidTable("the first line cannot be read as comma-separated column names") from None
    return tuple(name.strip() for name in names)


def _check_names(header: tuple[str, ...], declared: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for position, name in enumerate(header, start=1):
        if name in first:
            label = f"the column name {name}" if name in declared else "a column name"
            raise InvalidTable(f"{label} occurs twice in the file, at positions {first[name]} and {position}")
        first[name] = position
    if missing := [name for name in declared if name not in first]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InvalidTable(f"the file lacks the declared column {missing[0]}{more}; its first line must name it")
