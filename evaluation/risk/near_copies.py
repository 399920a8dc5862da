"""Near copies: does the release hold rows within one declared bin of rows of people it was trained on, more often than
of people whom it never saw?

A released row is *near* a private one where every text cell is equal and every number lies in the same bin or in the
next one; a cell without a value is near such a cell alone. Bins are the declared ones (`synthgate.domain.Column.edges`)
where those are not wider than the spread of the released column allows, since bounds may be declared far beyond the
values. Two widths are tried, a half of the released column's spread and the twentieth of it that a guess
may be off (`evaluation.risk.guesses`), and the worse counts: with few columns many people are near each other by the
first, and by the second a table that moves numbers further is nobody's. The exposure of a
unit is the number of distinct released rows near one of its own, a row that is near several units being shared among
them; everything else is as for verbatim copies (`evaluation.risk.copies`), which are near copies too: the trained
units' excess over the holdout's has mean 0 for a table that copied nobody, however well it fits.

Released rows that are near to many people are nobody's near copies and do not count; on coarse tables that is all of
them, and the note says which share of copies could have been told.

The work is bounded by public counts: at most `MAX_ROWS` released rows, and units of either side, by keyed choice.
"""

from dataclasses import replace

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.base import Comparison, Findings, Units
from evaluation.risk.attack import choose, shortage, untold
from evaluation.risk.copies import OWNERS, Matches, judge
from evaluation.risk.guesses import tolerance
from evaluation.tables import codes
from synthgate.domain import NUMERIC, Column
from synthgate.report import Score

BOUND = 0.05
"""The default policy's threshold, above what luck shows on a thousand units (see the measured draws in ADR 0051)."""

MAX_ROWS = 20_000
"""Released rows, and units of either side, that are compared at most."""

COMMON = 4 * OWNERS[-1]
"""Private rows near a released one beyond which it is dropped as a row of many."""

APART = 3
"""What codes of two different texts differ by at least; near are those that differ by at most 1."""

WIDTHS = (10, 1)
"""Tolerances of a guess that a released bin is wide: half of the released spread, and a twentieth."""

FAR = 2**30
"""The largest code of a released bin; what lies farther from the released column's middle is taken to lie there."""

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
        found = [_judged(self.name, chosen, width) for width in WIDTHS]
        worst = max(found, key=lambda score: score.high)
        words = "a half" if worst is found[0] else "a twentieth"
        note = f"{worst.note}; near within {words} of the released spread, or a declared bin"
        return Findings(scores=(replace(worst, note=note),))


def _judged(name: str, chosen: Comparison, width: int) -> Score:
    """The score where released bins are ``width`` tolerances wide."""
    train, holdout, sample = _coded(chosen, width)
    private = np.concatenate([train, holdout])
    cells, places, common = _near(holdout, private, COMMON)
    known = np.zeros(len(holdout), dtype=bool)
    known[cells[places < len(train)]] = True
    return judge(
        name,
        near(chosen, private, sample),
        rows=len(chosen.sample),
        training=len(chosen.train),
        recurring=float(np.mean(known | common)),
        had=np.where(common, 2 * COMMON, np.bincount(cells, minlength=len(holdout))),
        new=np.ones(len(holdout), dtype=bool),
        bound=BOUND,
    )


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


def _coded(comparison: Comparison, width: int) -> tuple[Codes, Codes, Codes]:
    """Rows of codes, shape (rows, codes), that code first in which the fewest released rows are near each other."""
    codings: list[tuple[float, tuple[npt.NDArray[np.int64], ...]]] = []
    frames = (comparison.train, comparison.holdout, comparison.sample)
    for column in comparison.domain.modelled:
        parts = []
        for frame in frames:
            found, size = codes(frame, column)
            if column.kind in NUMERIC:
                parts.append(np.where(found == size - 1, -APART, found))
            else:
                parts.append(found * APART)
        codings.append((_alike(parts[-1]), tuple(parts)))
        if column.kind in NUMERIC and (binned := _released_bins([f[column.name] for f in frames], column, width)):
            codings.append((_alike(binned[-1]), binned))
    codings.sort(key=lambda each: each[0])
    train, holdout, sample = (np.column_stack([parts[i] for _, parts in codings]).astype(np.int32) for i in range(3))
    return train, holdout, sample


def _alike(found: npt.NDArray[np.int64]) -> float:
    """The chance that two rows have one code."""
    _, counts = np.unique(found, return_counts=True)
    return float(((counts / max(len(found), 1)) ** 2).sum())


def _released_bins(cells: list[pd.Series], column: Column, tolerances: int) -> tuple[npt.NDArray[np.int64], ...]:
    """The codes of the three frames by bins of the last one's spread; none where they are as wide as the declared ones,
    or the released column has no spread."""
    released = cells[-1].to_numpy()
    width = tolerances * tolerance(released)
    if not 0 < width < np.diff(np.array(column.edges)).max():
        return ()
    middle = float(np.nanmedian(released))
    with np.errstate(over="ignore"):
        places = [np.floor((np.asarray(part) - middle) / width) for part in cells]
    return tuple(np.where(np.isnan(p), -FAR - APART, np.clip(p, -FAR, FAR)).astype(np.int64) for p in places)


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
