"""Shares: has every protected group, and every intersection of up to three columns, the share that it has in training?

The details hold under ``groupings`` for each set of columns ``columns`` and ``groups``: [label, sample, train], groups
of fewer than ten training rows left out. Training shares are of the rows in the groups that are shown, rounded to ten
rows: margins and intersections stand side by side here, and exact ones would give the rest away by subtraction.
``rebalanced`` says what a derived release with equal shares would change (`evaluation.fairness.rebalanced`); it comes
from the released rows alone. The scores are exact, for rules; a report shows them by the same shares.
"""

from typing import Any

import numpy as np

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.fairness.groups import Grouping, groupings
from evaluation.fairness.rebalanced import rebalanced
from evaluation.held_back import MIN_CELL, beside, coarse
from evaluation.risk.attack import untold
from evaluation.utility.shown import as_shown
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
        """Exact figures, for rules; a ratio is told of groups with a hundred training rows."""
        if not comparison.domain.protected:
            return Findings(scores=())
        sizes = len(comparison.sample), len(comparison.train)
        if 0 in sizes:
            reason = "the sample or the training table is empty"
            return Findings(scores=(untold(SHARES, reason), untold(REPRESENTATION, reason, better=Better.HIGHER)))
        found = groupings(comparison.domain, (comparison.sample, comparison.train))
        gaps: dict[str, float] = {}
        ratios: dict[str, float] = {}
        told: list[dict[str, Any]] = []
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
            gaps[_small(grouping)] = abs(rest[0] - rest[1])
            told.append(_shown(grouping, ours, theirs, sizes[1]))
        details = {
            "groupings": [{k: grouping[k] for k in ("columns", "groups")} for grouping in told],
            "rebalanced": rebalanced(comparison.sample, comparison.domain),
        }
        shown = {
            SHARES: max((gap for grouping in told for gap in grouping["gaps"].values()), default=None),
            REPRESENTATION: min((ratio for grouping in told for ratio in grouping["ratios"]), default=None),
        }
        return Findings(scores=as_shown((_gap(gaps, told), _ratio(ratios)), shown), details=details)


def _gap(gaps: dict[str, float], told: list[dict[str, Any]]) -> Score:
    """The score; its note names the group that is the worst of what is shown."""
    shown = {label: gap for grouping in told for label, gap in grouping["gaps"].items()}
    worst = f"; {max(shown, key=lambda label: shown[label])}" if shown else ""
    return exact(SHARES, max(gaps.values()), note=f"of {len(gaps)} groups{worst}")


def _small(grouping: Grouping) -> str:
    return f"all small groups of {', '.join(grouping.columns)}"


def _ratio(ratios: dict[str, float]) -> Score:
    if not ratios:
        return untold(REPRESENTATION, f"no group has {MIN_REPRESENTED} training rows", better=Better.HIGHER)
    worst = min(ratios, key=lambda label: ratios[label])
    note = f"of {len(ratios)} groups of {MIN_REPRESENTED} training rows or more; {worst}"
    return exact(REPRESENTATION, ratios[worst], better=Better.HIGHER, note=note)


def _shown(grouping: Grouping, ours: dict[int, int], theirs: dict[int, int], rows: int) -> dict[str, Any]:
    """What is shown of one grouping: groups, differences of shares by label, ratios of shares. Whether a few training
    rows have a group that no released row has is not told."""
    labels = [(g, label) for g, label in grouping.labels.items() if ours[g] > 0 or theirs[g] >= MIN_CELL]
    counts = [np.array([side[group] for group, _ in labels], dtype=np.int64) for side in (ours, theirs)]
    found = beside(*counts, rows=rows)
    if found is None:
        return {"columns": list(grouping.columns), "groups": [], "gaps": {}, "ratios": []}
    names = [label for (_, label), shown in zip(labels, found.shown, strict=True) if shown]
    pairs = list(zip(names, found.sample.tolist(), found.train.tolist(), strict=True))
    gaps = {label: coarse(abs(ours - theirs), rows) for label, ours, theirs in pairs}
    if found.held_back > 0:
        gaps[_small(grouping)] = coarse(max(found.held_back - found.most, 0.0), rows)
    return {
        "columns": list(grouping.columns),
        "groups": [[label, round(ours, 6), round(theirs, 6)] for label, ours, theirs in pairs],
        "gaps": gaps,
        "ratios": [min(1.0, coarse(o / t, rows)) for _, o, t in pairs if t * rows >= MIN_REPRESENTED],
    }
