"""`Bought`: every noisy table that a table engine paid for, as the noise left it, with the scale of the noise.

What a model is made of is smoothed, shrunk and made consistent, and says no more how far off it may be. These say it:
they are counts plus discrete Gaussian noise of a known scale and nothing else, so that whoever estimates from them can
tell how much of what they see is noise (`dp_models.graphical.posterior`). They are post-processing of nothing: they are
the outputs themselves, which the budget covers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dp_models.base import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class OneWay:
    """Noisy counts (parts,) of the parts of one partition of a column's codes; ``parts`` (codes,) is the part of each
    code, -1 where the partition leaves it out."""

    parts: IntArray
    counts: IntArray | FloatArray


@dataclass(frozen=True, slots=True)
class NoisyTable:
    """Noisy counts of several columns, an axis for each of ``clique``, which rises. ``maps`` holds for each axis the
    index of each group of the column; None where that is the group itself. ``sigma`` is the noise in counts."""

    clique: tuple[int, ...]
    maps: tuple[IntArray | None, ...]
    counts: IntArray | FloatArray
    sigma: float

    @classmethod
    def of(
        cls, columns: Sequence[int], counts: IntArray, *, sigma: float, maps: Sequence[IntArray | None] | None = None
    ) -> "NoisyTable":
        """The table of columns in any order, an axis each. A map that changes nothing is left out."""
        given = [None] * len(columns) if maps is None else list(maps)
        order = np.argsort(columns)
        plain = [m if m is None or (m != np.arange(len(m))).any() else None for m in given]
        clique = tuple(int(columns[i]) for i in order)
        return cls(clique, tuple(plain[i] for i in order), np.transpose(counts, order), float(sigma))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """All noisy tables of one fit: ``one_way`` the partitions of each column's codes, with noise ``sigma``; ``groups``
    the group of each code, over which ``tables`` count. ``rows`` is the public number of training rows that they are
    counts of, ``max_rows`` how many of them one unit may have."""

    one_way: tuple[tuple[OneWay, ...], ...]
    sigma: float
    groups: tuple[IntArray, ...]
    tables: tuple[NoisyTable, ...]
    rows: float
    max_rows: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of groups of each column."""
        return tuple(int(g.max()) + 1 for g in self.groups)

    def beside(self, tables: Sequence[NoisyTable]) -> "Bought":
        """The same with more tables."""
        return replace(self, tables=(*self.tables, *tables))
