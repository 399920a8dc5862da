"""Cells of text as values of a declared column. Nothing here can fail, and every cell is read on its own.

A cell is trimmed. Then, by kind:

| kind | read as |
| --- | --- |
| categorical | a declared category, letter by letter; anything else is `OTHER` |
| integer | decimal digits, also ``3.0`` and ``1e3``, as a double; a fraction does not parse |
| float | a decimal number, as a double; ``nan`` and ``inf`` do not parse |
| boolean | true/false, t/f, yes/no, y/n, 1/0, 1.0/0.0 in any case |
| datetime | ISO 8601; with a zone it is converted to UTC |

Numbers outside the bounds are clamped, however far (an exponent has up to five digits), and moments of the years 1
to 9999 are. What is empty or does not parse is stored as null: a true null where the column is nullable, else it means
`other`; a categorical cell that is empty where null is not allowed is `OTHER`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from synthgate.domain import OTHER, Column, Kind

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?$"
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
_FINE, _NULL, _OTHER, _CLAMPED, _UNPARSABLE = range(5)

Status = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many cells of a column were empty, undeclared, clamped, unparsable. Exact, so for the steward alone."""

    null: int = 0
    other: int = 0
    clamped: int = 0
    unparsable: int = 0

    def __add__(self, more: "Counts") -> "Counts":
        return Counts(
            null=self.null + more.null,
            other=self.other + more.other,
            clamped=self.clamped + more.clamped,
            unparsable=self.unparsable + more.unparsable,
        )


def convert(column: Column, text: pa.Array) -> tuple[pa.Array, Counts]:
    """The stored values of some cells (the canonical type of the column), and what became of them.

    Each distinct text is read once.
    """
    coded = text.dictionary_encode()
    values, status = _READERS[column.kind](column, pc.utf8_trim_whitespace(coded.dictionary))
    tally = np.bincount(status[coded.indices.to_numpy()], minlength=5)
    counts = Counts(
        null=int(tally[_NULL]),
        other=int(tally[_OTHER]),
        clamped=int(tally[_CLAMPED]),
        unparsable=int(tally[_UNPARSABLE]),
    )
    return values.take(coded.indices), counts


def _categories(column: Column, cells: pa.Array) -> tuple[pa.Array, Status]:
    declared = pc.is_in(cells, value_set=pa.array(column.categories, pa.string()))
    empty = pc.equal(cells, "")
    values = pc.if_else(declared, cells, OTHER)
    if column.nullable:
        values = pc.if_else(empty, pa.scalar(None, pa.string()), values)
    return values, _status((~_flags(declared), _OTHER), (_flags(empty), _NULL))


def _integers(column: Column, cells: pa.Array) -> tuple[pa.Array, Status]:
    numbers = _numbers(cells)
    valid = np.trunc(numbers) == numbers
    inside = np.clip(np.where(valid, numbers, 0.0), float(column.low), float(column.high))  # type: ignore[arg-type]
    values = pa.array(inside.astype(np.int64), pa.int64(), mask=~valid)
    return values, _numeric_status(cells, valid, inside != numbers)


def _floats(column: Column, cells: pa.Array) -> tuple[pa.Array, Status]:
    numbers = _numbers(cells)
    valid = ~np.isnan(numbers)
    inside = np.clip(np.where(valid, numbers, 0.0), float(column.low), float(column.high))  # type: ignore[arg-type]
    values = pa.array(inside + 0.0, pa.float64(), mask=~valid)  # + 0.0: there is one zero
    return values, _numeric_status(cells, valid, inside != numbers)


def _booleans(column: Column, cells: pa.Array) -> tuple[pa.Array, Status]:
    lower = pc.utf8_lower(cells)
    true, false = (_flags(pc.is_in(lower, value_set=pa.array(words))) for words in (_TRUE, _FALSE))
    valid = true | false
    return pa.array(true, pa.bool_(), mask=~valid), _numeric_status(cells, valid, np.zeros(len(cells), bool))


def _moments(column: Column, cells: pa.Array) -> tuple[pa.Array, Status]:
    low, high = column.low, column.high
    assert isinstance(low, datetime) and isinstance(high, datetime)  # noqa: S101 - a Column checks it
    found = [_moment(cell) for cell in cells.to_pylist()]
    inside = [None if moment is None else min(max(moment, low), high) for moment in found]
    valid = np.array([moment is not None for moment in found], dtype=bool)
    clamped = np.array([a != b for a, b in zip(found, inside, strict=True)], dtype=bool)
    return pa.array(inside, pa.timestamp("us")), _numeric_status(cells, valid, clamped)


def _moment(cell: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(cell)
    except (ValueError, OverflowError):
        return None
    try:
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return datetime.min if moment.year == 1 else datetime.max


def _numbers(cells: pa.Array) -> npt.NDArray[np.float64]:
    """Decimal numbers as float64, infinite where they overflow; NaN where a cell holds none."""
    decimal = pc.match_substring_regex(cells, _NUMBER)
    numbers = pc.cast(pc.if_else(decimal, cells, pa.scalar(None, pa.string())), pa.float64())
    return np.asarray(pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64)


def _numeric_status(cells: pa.Array, valid: npt.NDArray[np.bool_], clamped: npt.NDArray[np.bool_]) -> Status:
    return _status((clamped, _CLAMPED), (~valid, _UNPARSABLE), (_flags(pc.equal(cells, "")), _NULL))


def _status(*layers: tuple[npt.NDArray[np.bool_], int]) -> Status:
    """One status a cell; a later layer covers the earlier ones."""
    status = np.full(len(layers[0][0]), _FINE, dtype=np.int8)
    for where, code in layers:
        status[where] = code
    return status


def _flags(array: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)


_READERS: dict[Kind, Callable[[Column, pa.Array], tuple[Any, Status]]] = {
    Kind.CATEGORICAL: _categories,
    Kind.INTEGER: _integers,
    Kind.FLOAT: _floats,
    Kind.BOOLEAN: _booleans,
    Kind.DATETIME: _moments,
}
