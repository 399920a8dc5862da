"""What an attacker tries besides guessing from all that is known: from fewer columns, and about rarer values.

*Fewer columns.* A nearest row by all known columns says nothing where most of them are a stranger's, however well the
others tell. So secrets are guessed from the few columns that the released rows tie to them most, too.

*Rarer values.* Of a secret that one person in a hundred has, all guesses together can be no more than two in a hundred
better about trained people. So right guesses of any value but the most common released one are counted alone too, as a
share of the targets that have such a value by the released rows.

Both follow from the released rows and the declaration alone, so whether a guess about a unit is right depends on that
unit and public facts. Attacks that are tried besides count where they are beyond luck (`beyond_luck`), the luck of all
that is tried of a release: each has ends of its own, and the highest of several upper ends would refuse innocent
tables, the more the more secrets they have.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.risk.attack import Tally
from evaluation.risk.guesses import right
from evaluation.risk.intervals import independent_difference
from evaluation.tables import Floats
from synthgate.domain import NUMERIC, Column, Domain
from synthgate.report import Score

TIED = 4
"""Columns that a secret is guessed from besides all known ones, at most."""
MOST_ROWS = 20_000
"""Released rows from which ties are told, at most, the first in the candidates' keyed order."""
PARTS = 16
"""Parts of equally many rows that a released number is cut into to tell its ties."""
LABELS = 32
"""The most common labels of a column that its ties are told by; all others are one."""
LEAST_COMMON = 0.1
"""The share of released rows from which on the most common value stands apart."""
LUCK = 0.01
"""How often chance may make anything count that inference tries besides, over all secrets of a release."""

RARER = "of values other than the most common one alone; the score is a share of the targets that the release gives one"
"""A remark on a score of such guesses."""

Codes = npt.NDArray[np.int64]


def tied(rows: pd.DataFrame, domain: Domain, secret: str) -> tuple[str, ...]:
    """The known columns that tell most about ``secret`` in the released ``rows``, at most `TIED`, in declared order;
    none where these are all that is known, or where none tells of it. By mutual information beyond what columns without
    a tie show (`_information`): one that tells nothing would only blur what the others tell."""
    known = [name for name in domain.auxiliary if name != secret]
    some = rows.iloc[:MOST_ROWS]
    aim = _coded(some[secret], domain[secret])
    ties = np.array([_information(_coded(some[name], domain[name]), aim) for name in known])
    best = [i for i in np.argsort(-ties, kind="stable")[:TIED] if ties[i] > 0]
    return tuple(known[i] for i in sorted(best)) if len(best) < len(known) else ()


def _coded(cells: "pd.Series[float]", column: Column) -> Codes:
    if column.kind not in NUMERIC:
        found = pd.factorize(cells.to_numpy())[0].astype(np.int64)
        common = np.argsort(-np.bincount(found, minlength=1), kind="stable")[:LABELS]
        return np.where(np.isin(found, common), found, -1)
    values = cells.to_numpy()
    known = np.sort(values[~np.isnan(values)])
    cuts = np.unique(known[[len(known) * i // PARTS for i in range(1, PARTS)]]) if len(known) else known
    return np.where(np.isnan(values), PARTS, np.searchsorted(cuts, values, side="right")).astype(np.int64)


def _information(first: Codes, second: Codes) -> float:
    """Mutual information of two codes, shape (rows,), in nats, less what is seldom seen without a tie: 2 n times it is
    then about chi-squared, so the mean and four deviations of that are taken off."""
    if len(first) == 0:
        return 0.0
    (a, first), (b, second) = (np.unique(codes, return_inverse=True) for codes in (first, second))
    shares = np.bincount(first * len(b) + second, minlength=len(a) * len(b)).reshape(len(a), len(b)) / len(first)
    alone = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    seen, free = shares > 0, (len(a) - 1) * (len(b) - 1)
    told = float((shares[seen] * np.log(shares[seen] / alone[seen])).sum())
    luck: float = (free + 4 * (2 * free) ** 0.5) / (2 * len(first))
    return told - luck


@dataclass(frozen=True, slots=True, kw_only=True)
class Rarer:
    """Values of a secret other than the most ``common`` released one, which a ``share`` of the released rows have."""

    column: Column
    within: float
    common: object
    share: float

    @classmethod
    def of(cls, released: npt.NDArray[np.object_] | Floats, column: Column, within: float) -> "Rarer":
        """By the ``released`` column, of which there is a cell; numbers count as alike ``within`` so much."""
        codes, values = pd.factorize(released, use_na_sentinel=False)
        found = cls(column=column, within=within, common=values[np.argmax(np.bincount(codes))], share=1.0)
        return replace(found, share=float(np.mean(found.among(released))))

    @property
    def apart(self) -> bool:
        """Whether there are some, and fewer than all by a tenth at least: else there is nothing to tell apart."""
        return 0 < self.share <= 1 - LEAST_COMMON

    def among(self, cells: npt.NDArray[np.object_] | Floats) -> npt.NDArray[np.bool_]:
        """Which of them are no such common value."""
        alike = np.empty_like(cells)
        alike[:] = self.common
        return ~right(alike, cells, self.column, self.within)

    def among_those(self, score: Score) -> Score:
        """An excess among all targets as one among those that have a rarer value by the released rows, at most 1."""

        def part(share: float) -> float:
            return max(-1.0, min(share / self.share, 1.0))

        value, low, high = score.shown or (score.value, score.low, score.high)
        told = part(value), part(low), part(high)
        return replace(score, value=part(score.value), low=part(score.low), high=part(score.high), shown=told)


def beyond_luck(tally: Tally, *, tries: int) -> bool:
    """Whether trained units are told more often than chance explains in any of so many ``tries`` (Bonferroni); by the
    counts, and by those that are shown, whose rounding alone would make something of little."""
    z = NormalDist().inv_cdf(1 - LUCK / tries)
    return all(
        independent_difference(t.main, t.control, (t.attacks, t.attacks), z=z)[0] > 0 for t in (tally, tally.seen)
    )
