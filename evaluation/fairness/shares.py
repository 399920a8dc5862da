"""Shares: has every protected group, and every intersection of up to three columns, the share that it has in training?

The details hold under ``groupings`` for each set of columns ``columns`` and ``groups``: [label, sample, train].
Training shares are of counts rounded to ten, and groups of fewer than ten training rows are left out: margins and
intersections stand side by side here, and exact ones would give the rest away by subtraction. ``rebalanced`` says what
a derived release with equal shares would change (`evaluation.fairness.rebalanced`); it comes from the released rows
alone.
"""

from typing import Any

import numpy as np

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.fairness.groups import Grouping, groupings
from evaluation.fairness.rebalanced import rebalanced
from evaluation.risk.attack import untold
from evaluation.utility.shares import MIN_CELL
from synthgate.report import Better, Score

MIN_REPRESENTED = 100
"""Training rows of a group whose ratio of shares is told; of fewer, chance alone would halve it."""

SHARES = "fairness.shares"
REPRESENTATION = "fairness.representation"


class GroupShares:
    """The scores ``fairness.shares``, the largest difference of a group's two shares (groups of fewer than ten training
    rows together are one), and ``fairness.representation``, the least ratio of the released share to the real one, at
    most 1. None without protected columns."""

    name = "fairness.shares"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact figures; a ratio is told of groups with a hundred training rows."""
        if not comparison.domain.protected:
            return Findings(scores=())
        sizes = len(comparison.sample), len(comparison.train)
        if 0 in sizes:
            reason = "the sample or the training table is empty"
            return Findings(scores=(untold(SHARES, reason), untold(REPRESENTATION, reason, better=Better.HIGHER)))
        found = groupings(comparison.domain, (comparison.sample, comparison.train))
        gaps: dict[str, float] = {}
        ratios: dict[str, float] = {}
        shown = []
        for grouping in found:
            ours, theirs = grouping.counts(0), grouping.counts(1)
            for group, label in grouping.labels.items():
                released, real = ours[group] / sizes[0], theirs[group] / sizes[1]
                if theirs[group] >= MIN_CELL:
                    gaps[label] = abs(released - real)
                if theirs[group] >= MIN_REPRESENTED:
                    ratios[label] = min(1.0, released / real)
            few = [group for group in grouping.labels if theirs[group] < MIN_CELL]
            rest = [sum(side[group] for group in few) / size for side, size in zip((ours, theirs), sizes, strict=True)]
            gaps[f"all small groups of {', '.join(grouping.columns)}"] = abs(rest[0] - rest[1])
            shown.append(_shown(grouping, ours, theirs, sizes))
        details = {"groupings": shown, "rebalanced": rebalanced(comparison.sample, comparison.domain)}
        return Findings(scores=(_gap(gaps), _ratio(ratios)), details=details)


def tens(count: int) -> int:
    """A count to the nearest ten."""
    return (count + 5) // 10 * 10


def _gap(gaps: dict[str, float]) -> Score:
    worst = max(gaps, key=lambda label: gaps[label])
    return exact(SHARES, gaps[worst], note=f"of {len(gaps)} groups; {worst}")


def _ratio(ratios: dict[str, float]) -> Score:
    if not ratios:
        return untold(REPRESENTATION, f"no group has {MIN_REPRESENTED} training rows", better=Better.HIGHER)
    worst = min(ratios, key=lambda label: ratios[label])
    note = f"of {len(ratios)} groups of {MIN_REPRESENTED} training rows or more; {worst}"
    return exact(REPRESENTATION, ratios[worst], better=Better.HIGHER, note=note)


def _shown(grouping: Grouping, ours: dict[int, int], theirs: dict[int, int], sizes: tuple[int, int]) -> dict[str, Any]:
    rows = [
        [label, round(ours[group] / sizes[0], 6), round(tens(theirs[group]) / sizes[1], 6)]
        for group, label in grouping.labels.items()
        if theirs[group] >= MIN_CELL
    ]
    return {"columns": list(grouping.columns), "groups": rows}
