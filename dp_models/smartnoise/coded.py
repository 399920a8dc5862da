"""`Coded`: the private rows of one fit as codes of the declared domain, counted exactly.

The sizes are the declared ones, so that a table has the same shape whatever the rows hold. Private: what reads a table
answers for the noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dp_models.base import FloatArray, IntArray, Rows
from dp_models.encoding.codes import Codec
from dp_models.encoding.table import checked
from dp_models.tables.counting import count
from synthgate.domain import Domain

_GRID = 1024.0
"""Predicted counts are rounded to 1/1024, so that distances are exact in double precision."""


@dataclass(frozen=True)
class Coded:
    """Codes (columns, rows) and how many of them each column has."""

    codes: IntArray
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, rows: Rows, domain: Domain, *, max_rows: int) -> "Coded":
        """Stored rows as codes. Raises DataCorrupted for rows that ingest did not make."""
        codec = Codec(domain)
        none = np.zeros((len(codec.columns), 0), dtype=np.int64)
        batches = [codec.encode(batch) for batch in checked(rows, domain, max_rows=max_rows)]
        return cls(np.concatenate([none, *batches], axis=1), codec.sizes)

    def merged(self, groups: Sequence[IntArray]) -> "Coded":
        """The same rows with codes put together; ``groups`` a column, the group of each code."""
        codes = [group[column] for group, column in zip(groups, self.codes, strict=True)]
        return Coded(np.stack(codes), tuple(int(g.max()) + 1 for g in groups))

    def table(self, columns: Sequence[int]) -> IntArray:
        """The exact counts of some columns, one axis a column."""
        return count([self.codes[c] for c in columns], [self.sizes[c] for c in columns])

    def resized(self, rows: int) -> IntArray:
        """The codes of exactly ``rows`` rows: the first of them, or all and then empty records (`other` throughout).
        For code whose steps follow from the length of its table."""
        other = np.array(self.sizes, dtype=np.int64)[:, None] - 1
        missing = max(rows - self.codes.shape[1], 0)
        return np.concatenate([self.codes[:, :rows], np.repeat(other, missing, axis=1)], axis=1)


def distance(true: IntArray, expected: FloatArray) -> float:
    """The L1 distance, in counts, of a true table from one that is made of noisy tables and public sizes: a unit of k
    rows moves it by at most k, exactly, since the expected counts lie on a grid that double precision adds up."""
    return float(np.abs(true - np.round(expected * _GRID) / _GRID).sum())
