"""Which unit a row belongs to, which rows of a unit stay, and on which side a unit lies, for the life of an account.

Everything is decided by keyed hashes (HMAC-SHA256) of the unit alone, never by a position in the file or by other
units. So the same unit lies on the same side in every upload, one row more moves no other, and without the account's
key nobody can tell who is held out. Digests are cut to 128 bits; a collision would merely treat two units as one.

An id column's unit is known by its text: trimmed, NFC, and without the ``.0`` that spreadsheets and data frames hang on
whole numbers; all empty ids form one unit together. Without an id column each row is a unit, known by its stored values
and by which occurrence it is among rows with equal ones.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from server.jobs.keys import Label, subkey
from synthgate.dataset import HOLDOUT_SHARE

Digests = npt.NDArray[np.uint64]
"""Shape (rows, 2): the first 128 bits of each HMAC."""

Integers = npt.NDArray[np.int64]

_THRESHOLD = np.uint64(int(HOLDOUT_SHARE * 2**64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of the split: which rows of the upload lie there, in stored order, and each one's unit 0, 1, ..."""

    rows: Integers
    unit: Integers

    @property
    def units(self) -> int:
        """How many units lie on this side."""
        return int(self.unit[-1]) + 1 if len(self.unit) else 0


class Divider:
    """The account's keys at work on batches of rows, and on all of them in the end."""

    def __init__(self, secret: bytes) -> None:
        self._row, self._unit, self._cut = (subkey(secret, label) for label in (Label.ROW, Label.UNIT, Label.CUT))

    def rows(self, columns: Mapping[str, pa.Array]) -> Digests:
        """A digest of each row's stored values. The order in which columns were declared does not matter."""
        return _keyed(self._row, _records([columns[name] for name in sorted(columns)]))

    def ids(self, text: pa.Array) -> Digests:
        """A digest of each row's unit id."""
        coded = text.dictionary_encode()
        plain = pc.utf8_normalize(pc.utf8_trim_whitespace(coded.dictionary), form="NFC")
        plain = pc.replace_substring_regex(plain, r"^(-?[0-9]+)\.0*$", r"\1")
        digests = _keyed(self._unit, (b"id " + value.encode() for value in plain.to_pylist()))
        return np.asarray(digests[coded.indices.to_numpy()], dtype=np.uint64)

    def divide(self, rows: Digests, ids: Digests | None, *, max_rows: int) -> tuple[Side, Side]:
        """The training side and the holdout side, each in the order of the units' hashes.

        ``ids`` is None for row units. Of a unit with more than ``max_rows`` rows, those with the smallest hash stay.
        """
        if ids is None:
            units = _keyed(self._unit, _joined(b"row ", rows, _occurrence(rows)))
            order = _sorted(units)
        else:
            units = ids
            rank = _keyed(self._cut, _joined(b"cut ", units, rows, _occurrence(np.hstack([units, rows]))))
            order = _sorted(units, rank)
        ordered = units[order]
        first = _starts(ordered)
        kept = _position(first) < max_rows
        number = (np.cumsum(first) - 1)[kept]
        held = (ordered[:, 0] < _THRESHOLD)[kept]
        order = order[kept]
        train = Side(rows=order[~held], unit=_dense(number[~held]))
        return train, Side(rows=order[held], unit=_dense(number[held]))


def _keyed(key: bytes, messages: Iterable[bytes]) -> Digests:
    joined = b"".join(hmac.digest(key, message, "sha256")[:16] for message in messages)
    return np.frombuffer(joined, dtype=">u8").reshape(-1, 2).astype(np.uint64)


def _records(columns: list[pa.Array]) -> Iterable[bytes]:
    """Each row as bytes that do not depend on how any library prints a number: per cell a flag and eight bytes."""
    cells = np.zeros((len(columns[0]), len(columns)), dtype=np.dtype([("set", "u1"), ("value", "<i8")]))
    for place, column in enumerate(columns):
        cells["set"][:, place] = np.asarray(column.is_valid().to_numpy(zero_copy_only=False))
        cells["value"][:, place] = _words(column)
    return _slices(cells.tobytes(), cells.dtype.itemsize * len(columns))


def _words(column: pa.Array) -> Integers:
    """Each cell as 64 bits, injective within a column: text by its SHA-256, floats by their bits; 0 for null."""
    if pa.types.is_string(column.type):
        coded = column.dictionary_encode()
        digests = b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in coded.dictionary.to_pylist())
        words = np.append(np.frombuffer(digests, dtype="<i8"), 0)
        return np.asarray(words[pc.fill_null(coded.indices, len(words) - 1).to_numpy()], dtype=np.int64)
    if pa.types.is_floating(column.type):
        floats = np.asarray(pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False), dtype=np.float64)
        return np.asarray(floats.view(np.int64), dtype=np.int64)
    return np.asarray(pc.fill_null(pc.cast(column, pa.int64()), 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def _joined(prefix: bytes, *parts: npt.NDArray[np.uint64] | Integers) -> Iterable[bytes]:
    table = np.column_stack([part.astype("<u8") for part in parts])
    return (prefix + record for record in _slices(table.tobytes(), 8 * table.shape[1]))


def _slices(buffer: bytes, width: int) -> Iterable[bytes]:
    return (buffer[start : start + width] for start in range(0, len(buffer), width))


def _sorted(*keys: Digests) -> Integers:
    columns = [key[:, i] for key in keys for i in range(key.shape[1])]
    return np.asarray(np.lexsort(columns[::-1]), dtype=np.int64)


def _starts(ordered: Digests) -> npt.NDArray[np.bool_]:
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return first


def _position(first: npt.NDArray[np.bool_]) -> Integers:
    """Each element's place 0, 1, ... within its run, where ``first`` flags the beginnings of runs."""
    places = np.arange(len(first))
    return np.asarray(places - np.maximum.accumulate(np.where(first, places, 0)), dtype=np.int64)


def _occurrence(digests: Digests) -> Integers:
    """For each row, how many equal rows precede it. Equal rows are alike, so which is which says nothing."""
    order = _sorted(digests)
    found = np.empty(len(digests), dtype=np.int64)
    found[order] = _position(_starts(digests[order]))
    return found


def _dense(number: Integers) -> Integers:
    return np.unique(number, return_inverse=True)[1].astype(np.int64)
