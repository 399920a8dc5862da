"""How well an attack's figures rank trained units above others: area under the curve, and hits at few false alarms.

- H. B. Mann and D. R. Whitney, On a test of whether one of two random variables is stochastically larger than the
  other, Annals of Mathematical Statistics 18 (1947).
- R. G. Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2,
  Statistics in Medicine 25:559-573 (2006), method 5: the variance at the end that is asked for, not at the estimate, so
  that it neither vanishes at 0 and 1 nor depends on the shape of the figures.
- N. Carlini et al., Membership inference attacks from first principles, IEEE S&P 2022: why to look at few false alarms.
"""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy.stats import rankdata

from evaluation.held_back import held
from evaluation.risk.intervals import ONE_SIDED, Interval, wilson
from evaluation.tables import Floats

STEPS = 60
"""Halvings of the interval in which an end lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """Members found at a threshold that at most the allowed share of others passes."""

    found: int
    members: int
    alarms: int
    others: int

    @property
    def rate(self) -> float:
        """The true-positive rate."""
        return self.found / self.members

    @property
    def seen(self) -> "Hits":
        """The hits by which a report shows them (`evaluation.held_back.held`)."""
        return replace(self, found=held(self.found, self.members))

    @property
    def ends(self) -> Interval:
        """Wilson's one-sided 95 % ends of the rate at this threshold."""
        return wilson(self.found, self.members)


def auc(members: Floats, others: Floats) -> float:
    """The chance that a member's figure is above another's, ties counting half. Both must have one."""
    ranks = rankdata(np.concatenate([members, others]))[: len(members)]
    return float((ranks.sum() - len(members) * (len(members) + 1) / 2) / (len(members) * len(others)))


def auc_ends(area: float, members: int, others: int, *, z: float = ONE_SIDED) -> Interval:
    """Newcombe's ends of an area, each one-sided at ``z``."""

    def end(limit: float) -> float:
        inside, outside = area, limit
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            if abs(area - middle) < z * _spread(middle, members, others):
                inside = middle
            else:
                outside = middle
        return inside

    return end(0.0), end(1.0)


def _spread(area: float, members: int, others: int) -> float:
    half = (members + others) / 2 - 1
    bracket = 1 + half * (1 - area) / (2 - area) + half * area / (1 + area)
    return sqrt(area * (1 - area) * bracket / (members * others))


def hits(members: Floats, others: Floats, share: float) -> Hits:
    """Members above the least threshold that at most ``share`` of the others pass."""
    allowed = int(share * len(others))
    threshold = np.sort(others)[::-1][allowed]
    return Hits(
        found=int(np.count_nonzero(members > threshold)),
        members=len(members),
        alarms=int(np.count_nonzero(others > threshold)),
        others=len(others),
    )
