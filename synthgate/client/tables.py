"""The steward's file on the steward's machine: what is sent of it, and what a schema draft may say about it.

Only declared columns leave the machine. Faults of structure raise InvalidTable before anything is sent; the content of
cells never does, and no message and no draft quotes a cell.
"""

import contextlib
import csv
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from synthgate.domain import MAX_COLUMNS, Kind
from synthgate.errors import InvalidTable
from synthgate.schema import Declaration

GUESS_ROWS = 10_000
_MAX_FIELD_BYTES = 2**24
_PARQUET = b"PAR1"
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_WORDS = frozenset({"true", "false"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTable:
    """A table ready to be sent: ``path`` is CSV in UTF-8 with a header, ``dropped`` the columns left behind."""

    path: Path
    dropped: tuple[str, ...]
    rows: int


@contextlib.contextmanager
def prepare_table(path: Path, declaration: Declaration) -> Iterator[PreparedTable]:
    """Write the declared columns of a CSV or Parquet file, in the file's order, to a private temporary CSV, which is
    removed at the end of the block. The same file gives the same bytes. Raises InvalidTable."""
    handle, name = tempfile.mkstemp(prefix="synthgate-", suffix=".csv")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as target, _open_table(path) as table:
            names, rows = table
            keep = _kept(names, declaration)
            kept, count = frozenset(keep), 0
            writer = csv.writer(target, lineterminator="\n")
            writer.writerow([names[i] for i in keep])
            with _structure():
                for row in rows:
                    writer.writerow([row[i] for i in keep])
                    count += 1
        if not count:
            raise InvalidTable("the table has a header and no rows")
        dropped = tuple(n for i, n in enumerate(names) if i not in kept)
        yield PreparedTable(path=Path(name), dropped=dropped, rows=count)
    finally:
        Path(name).unlink(missing_ok=True)


def draft(path: Path) -> str:
    """A schema to complete, as YAML: names and guessed kinds of a CSV or Parquet file, and blanks for everything that
    must be declared from public knowledge. Holds no value of the file. Raises InvalidTable."""
    with _open_table(path) as (names, rows), _structure():
        sample = list(islice(rows, GUESS_ROWS))
    columns = [_draft_column(n, _guess(row[i] for row in sample)) for i, n in enumerate(names)]
    return _HEAD + "\n".join(columns) + _FOOT


_HEAD = """\
# Complete every blank from public knowledge (a code book, a form, a law), never by looking at the rows:
# what stands here is published, and no budget pays for it.
#   kind        guessed from the file: categorical | integer | float | boolean | datetime
#   categories  of categorical columns, each in quotes; cells outside become "other"
#   low, high   of integer, float and datetime columns; cells outside are clamped
#   bins        optional: increasing cut points strictly inside the bounds
#   nullable    whether a cell may be empty
#   role        identifier (never modelled) | auxiliary (an attacker knows it) | sensitive
#   secret      whether inference attacks try to guess it; at least one should be
#   protected   optional: whether the evaluation compares its groups (sex, age, ...)
# Columns that you remove here are dropped before upload.
columns:
"""
_FOOT = """
# target: NAME                     # the column that users will predict
# other_targets: [NAME]            # further columns that they will predict
# ordered: [[NAME, NAME]]          # numeric columns whose cells never fall from one to the next
# link: [[NAME, NAME], [NAME]]     # the two halves that a linkability attack joins
unit:                              # `row`, or {column: NAME, max_rows: K}: whom the budget protects
rows:                              # rows after the cut to max_rows, rounded from public knowledge
# units:                           # privacy units, where max_rows is above 1
# sizes: counted                   # instead of rows and units: publish the exact counts
"""


def _draft_column(name: str, kind: Kind) -> str:
    lines = [f"  - name: {json.dumps(name, ensure_ascii=False)}", f"    kind: {kind}"]
    if kind is Kind.CATEGORICAL:
        lines.append("    categories:")
    elif kind is not Kind.BOOLEAN:
        lines += ["    low:", "    high:"]
    return "\n".join([*lines, "    nullable: false", "    role:", "    secret: false"])


def _guess(cells: Iterable[str]) -> Kind:
    """The narrowest kind that all filled cells have; categorical without any."""
    tests: dict[Kind, Callable[[str], bool]] = {
        Kind.BOOLEAN: lambda cell: cell.lower() in _WORDS,
        Kind.INTEGER: lambda cell: bool(_INTEGER.fullmatch(cell)),
        Kind.FLOAT: _is_float,
        Kind.DATETIME: _is_moment,
    }
    seen = False
    for cell in cells:
        if cell := cell.strip():
            seen = True
            tests = {kind: test for kind, test in tests.items() if test(cell)}
    return next(iter(tests)) if seen and tests else Kind.CATEGORICAL


def _is_float(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_moment(cell: str) -> bool:
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return False
    return not cell.isdigit()


def _kept(names: Sequence[str], declaration: Declaration) -> list[int]:
    for wanted in (*(c.name for c in declaration.domain.columns), *filter(None, [declaration.unit.column])):
        if wanted not in names:
            raise InvalidTable(f"the table has no column {wanted!r}, which the schema declares; is it comma-separated?")
    return [i for i, name in enumerate(names) if name in declaration.uploaded]


@contextlib.contextmanager
def _open_table(path: Path) -> Iterator[tuple[list[str], Iterator[Sequence[str]]]]:
    """The column names and the rows, as text, of a CSV or Parquet file."""
    try:
        with path.open("rb") as stream:
            first = stream.read(4)
    except OSError:
        raise InvalidTable(f"{path} cannot be read") from None
    if not first:
        raise InvalidTable("the file is empty")
    if first == _PARQUET:
        with _structure():
            names, rows = _parquet(path)
        yield _checked(names), rows
        return
    csv.field_size_limit(_MAX_FIELD_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        with _structure():
            names = _checked(next(reader, []))
        yield names, _csv_rows(reader, len(names))


@contextlib.contextmanager
def _structure() -> Iterator[None]:
    """Faults that the readers find, in words that quote nothing."""
    try:
        yield
    except UnicodeDecodeError:
        raise InvalidTable("the file is not UTF-8; save it as UTF-8 and try again") from None
    except csv.Error:
        raise InvalidTable("the file is not well-formed CSV (quotes, or a field of over 16 MiB)") from None


def _checked(names: Sequence[str]) -> list[str]:
    if not names:
        raise InvalidTable("the first line holds no column names")
    if len(names) > 10 * MAX_COLUMNS:
        raise InvalidTable(f"the table has more than {10 * MAX_COLUMNS} columns; leave out what is not needed")
    for position, name in enumerate(names, 1):
        if not name or not name.isprintable():
            raise InvalidTable(f"column {position} has no printable name in the first line")
    if len(set(names)) != len(names):
        raise InvalidTable("a column name stands twice in the first line; rename one of them")
    return list(names)


def _csv_rows(reader: Any, width: int) -> Iterator[Sequence[str]]:
    for row in reader:
        if not row:
            continue
        if len(row) != width:
            raise InvalidTable(f"line {reader.line_num} has {len(row)} fields where the first line has {width}")
        yield row


def _parquet(path: Path) -> tuple[list[str], Iterator[Sequence[str]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError):
        raise InvalidTable("the file is not well-formed Parquet") from None
    return list(file.schema_arrow.names), _parquet_rows(file)


def _parquet_rows(file: Any) -> Iterator[Sequence[str]]:
    import pyarrow as pa

    try:
        with file:
            for batch in file.iter_batches(batch_size=8_192):
                yield from zip(*(map(_cell, _pythonic(column)) for column in batch.columns), strict=True)
    except (pa.ArrowException, OSError):
        raise InvalidTable("the file is not well-formed Parquet") from None


def _pythonic(column: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python's datetime ends at microseconds
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)
