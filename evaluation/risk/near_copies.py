"""Near copies: does the release hold rows within one declared bin of rows of people it was trained on, more often than
of people whom it never saw?

A released row is *near* a private one where every text cell is equal and every number lies in the same declared bin or
in the next one (`synthgate.domain.Column.edges`); a cell without a value is near such a cell alone. The exposure of a
unit is the number of distinct released rows near one of its own, a row that is near several units being shared among
them; everything else is as for verbatim copies (`evaluation.risk.copies`), which are near copies too: the trained
units' excess over the holdout's has mean 0 for a table that copied nobody, however well it fits.

Released rows that are near to many people are nobody's near copies and do not count; on coarse tables that is all of
them, and the note says which share of copies could have been told.

The work is bounded by public counts: at most `MAX_ROWS` released rows, and units of either side, by keyed choice.
"""

import numba
import numpy as np
import numpy.typing as npt

from evaluation.base import Comparison, Findings, Units
from evaluation.risk.attack import choose, shortage, untold
from evaluation.risk.copies import OWNERS, Matches, judge
from evaluation.tables import codes
from synthgate.domain import NUMERIC

BOUND = 0.05
"""The default policy's threshold, above what luck shows on a thousand units (see the measured draws in ADR 0051)."""

MAX_ROWS = 20_000
"""Released rows, and units of either side, that are compared at most."""

COMMON = 4 * OWNERS[-1]
"""Private rows near a released one beyond which it is dropped as a row of many."""

APART = 3
"""What codes of two different texts differ by at least; near are those that differ by at most 1."""

Codes = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]


class NearCopies:
    """The score ``risk.near_copies`` with one-sided 95 % ends."""

    name = "risk.near_copies"

    def __init__(self, *, most: int = MAX_ROWS) -> None:
        self._most = most

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Compare rows bin by bin over all modelled columns."""
        if reason := shortage(comparison):
            return Findings(scores=(untold(self.name, reason),))
        chosen = reduced(comparison, self._most, generator=generator)
        train, holdout, sample = _coded(chosen)
        matches = near(chosen, np.concatenate([train, holdout]), sample)
        cells, places, common = _near(holdout, np.concatenate([train, holdout]), COMMON)
        known = np.zeros(len(holdout), dtype=bool)
        known[cells[places < len(train)]] = True
        score = judge(
            self.name,
            matches,
            rows=len(chosen.sample),
            training=len(chosen.train),
            recurring=float(np.mean(known | common)),
            had=np.where(common, 2 * COMMON, np.bincount(cells, minlength=len(holdout))),
            new=np.ones(len(holdout), dtype=bool),
            bound=BOUND,
        )
        return Findings(scores=(score,))


def reduced(comparison: Comparison, most: int, *, generator: np.random.Generator) -> Comparison:
    """All rows of at most ``most`` units of either side, and at most ``most`` released rows, by keyed choice."""

    def side(units: Units, count: int) -> npt.NDArray[np.bool_]:
        kept = np.zeros(count, dtype=bool)
        kept[generator.permutation(count)[:most]] = True
        return kept[units]

    trained, held = comparison.units
    train, holdout = side(comparison.train_units, trained), side(comparison.holdout_units, held)
    return Comparison(
        domain=comparison.domain,
        train=comparison.train[train],
        holdout=comparison.holdout[holdout],
        sample=choose(comparison.sample, min(len(comparison.sample), most), generator=generator),
        train_units=np.unique(comparison.train_units[train], return_inverse=True)[1].astype(np.int64),
        holdout_units=np.unique(comparison.holdout_units[holdout], return_inverse=True)[1].astype(np.int64),
    )


def near(comparison: Comparison, private: Codes, sample: Codes) -> Matches:
    """Which unit has a row near which distinct released row; rows near to more than `COMMON` count as not released."""
    rows, released = np.unique(sample, axis=0, return_counts=True)
    trained, held = comparison.units
    units = np.concatenate([comparison.train_units, trained + comparison.holdout_units])
    cells, places, common = _near(rows, private, COMMON)
    pairs = np.unique(np.column_stack([cells, units[places]]), axis=0)
    pairs = pairs[~common[pairs[:, 0]]]
    return Matches(
        cells=pairs[:, 0],
        units=pairs[:, 1],
        trained=trained,
        held=held,
        released=np.where(common, 0, released).astype(np.int64),
    )


def _coded(comparison: Comparison) -> tuple[Codes, Codes, Codes]:
    """Rows of codes, shape (rows, columns), the column first in which the fewest released rows are near each other."""
    columns: list[tuple[float, tuple[npt.NDArray[np.int64], ...]]] = []
    frames = (comparison.train, comparison.holdout, comparison.sample)
    for column in comparison.domain.modelled:
        parts = []
        for frame in frames:
            found, size = codes(frame, column)
            if column.kind in NUMERIC:
                parts.append(np.where(found == size - 1, -APART, found))
            else:
                parts.append(found * APART)
        _, counts = np.unique(parts[-1], return_counts=True)
        columns.append((float(((counts / max(len(parts[-1]), 1)) ** 2).sum()), tuple(parts)))
    columns.sort(key=lambda each: each[0])
    train, holdout, sample = (np.column_stack([parts[i] for _, parts in columns]).astype(np.int32) for i in range(3))
    return train, holdout, sample


@numba.jit(nopython=True, nogil=True)
def _near(rows: Codes, others: Codes, most: int) -> tuple[Places, Places, npt.NDArray[np.bool_]]:
    """Pairs of rows that are near, and which of ``rows`` have more than ``most`` of them, whose search ends there."""
    cells, places = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    common = np.zeros(len(rows), dtype=np.bool_)
    for i in range(len(rows)):
        found = 0
        for j in range(len(others)):
            close = True
            for k in range(rows.shape[1]):
                if abs(rows[i, k] - others[j, k]) > 1:
                    close = False
                    break
            if close:
                found += 1
                if found > most:
                    common[i] = True
                    break
                cells.append(np.int64(i))
                places.append(np.int64(j))
    return np.array(cells, dtype=np.int64), np.array(places, dtype=np.int64), common
