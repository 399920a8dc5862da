"""Which privacy units an accounted verdict looks at: a keyed choice that one unit more or less hardly moves.

A unit is known by one of its rows, and that row by its cells: no position in a file, no number of units, and no other
unit has a part in it. Equal rows of several units are told apart by a running number alone, so that one of them more
adds the next number. Each gets a place in [0, 1) by a keyed hash. Then, of two tables that differ by one unit,

- `Chosen.first` gives the same rows, but that one of them may have been put in another's place (or added);
- `Chosen.within` gives the same rows, and that unit's, or not.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.base import Units
from evaluation.tables import Floats
from synthgate.domain import NUMERIC, Domain

Digests = npt.NDArray[np.uint64]
"""Shape (rows, 2): 128 bits of each row."""

KEY_BYTES = 32
_ROW, _PLACE, _CELL = b"row", b"place", b"cell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One row of each unit, in the order of their ``places``, shape (units,), which rise."""

    rows: pd.DataFrame
    places: Floats

    def first(self, most: int) -> pd.DataFrame:
        """``most`` of them, all if there are fewer."""
        return self.rows.iloc[:most].reset_index(drop=True)

    def within(self, share: float) -> pd.DataFrame:
        """Each with a chance of ``share``, whatever the others."""
        return self.first(int(np.searchsorted(self.places, share)))


def chosen(frame: pd.DataFrame, units: Units, domain: Domain, *, key: bytes) -> Chosen:
    """A keyed row of each unit of one side. ``units``, shape (rows,), numbers the unit of each row."""
    digests = row_digests(frame, domain, key=key)
    order = np.lexsort((digests[:, 1], digests[:, 0], units))
    first = np.ones(len(order), dtype=bool)
    first[1:] = units[order][1:] != units[order][:-1]
    order = order[first]
    digests = digests[order]
    places = _places(digests, _numbered(digests), key=key)
    rank = np.argsort(places, kind="stable")
    return Chosen(rows=frame.iloc[order[rank]].reset_index(drop=True), places=places[rank])


def row_digests(frame: pd.DataFrame, domain: Domain, *, key: bytes) -> Digests:
    """A keyed digest of each row's cells. Missing cells equal each other, and -0.0 equals 0.0."""
    words = np.zeros((len(frame), len(domain.modelled)), dtype="<u8")
    for i, column in enumerate(domain.modelled):
        cells = frame[column.name].to_numpy()
        if column.kind in NUMERIC:
            plain = np.where(np.isnan(cells), np.nan, cells) + 0.0
            words[:, i] = plain.astype("<f8").view("<u8")
            continue
        places, distinct = pd.factorize(cells)
        words[:, i] = np.array([_word(text, key=key) for text in distinct], dtype="<u8")[places]
    return _hashed((row.tobytes() for row in words), len(words), key=key, purpose=_ROW)


def one_of(digests: Digests, among: Digests) -> npt.NDArray[np.bool_]:
    """Which rows occur in ``among``, shape (len(digests),)."""
    return np.isin(_joined(digests), _joined(among))


def _word(text: str, *, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, key=key, person=_CELL).digest(), "little")


def _hashed(messages: Iterable[bytes], count: int, *, key: bytes, purpose: bytes) -> Digests:
    joined = b"".join(hashlib.blake2b(m, digest_size=16, key=key, person=purpose).digest() for m in messages)
    return np.frombuffer(joined, dtype="<u8").reshape(count, 2).astype(np.uint64)


def _joined(digests: Digests) -> npt.NDArray[np.void]:
    return np.ascontiguousarray(digests).view(np.dtype((np.void, 16))).ravel()


def _numbered(digests: Digests) -> npt.NDArray[np.int64]:
    """How many equal digests stand before each."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (digests[order][1:] != digests[order][:-1]).any(axis=1)
    at = np.arange(len(order))
    found = np.empty(len(order), dtype=np.int64)
    found[order] = at - np.maximum.accumulate(np.where(fresh, at, 0))
    return found


def _places(digests: Digests, numbers: npt.NDArray[np.int64], *, key: bytes) -> Floats:
    table = np.column_stack([digests.astype("<u8"), numbers.astype("<u8")])
    hashed = _hashed((row.tobytes() for row in table), len(table), key=key, purpose=_PLACE)
    return hashed[:, 0].astype(np.float64) / 2.0**64
