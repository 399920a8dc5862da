"""Marginals: total variation between the sample's and the training rows' shares of declared bins.

Half the sum of absolute differences, for every column, every pair (at most 2,000) and triples (at most 200), the rest
by keyed choice. Some distance is the price of any fresh sample: ``utility.tv2_excess`` subtracts what the holdout, real
people whom nobody trained on, shows against the same training rows.

The details hold mean distances of pairs, and shares of bins whose training counts are merged to at least ten.
"""

from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.base import Comparison, Findings
from evaluation.groups import Group, choose_groups
from evaluation.risk.attack import untold
from evaluation.tables import codes
from evaluation.utility.shares import shares
from synthgate.report import Better, Score

MAX_PAIRS = 2_000
MAX_TRIPLES = 200

Codes = npt.NDArray[np.int64]


class Marginals:
    """The scores ``utility.tv1``, ``utility.tv2``, ``utility.tv3`` (means) and ``utility.tv2_excess``."""

    name = "utility.marginals"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact figures, so both ends equal the value; the note names the worst column, pair or triple."""
        columns = comparison.domain.modelled
        frames = (comparison.sample, comparison.train, comparison.holdout)
        coded = [[codes(frame, c) for c in columns] for frame in frames]
        sample, train, holdout = ([values for values, _ in side] for side in coded)
        sizes = [size for _, size in coded[0]]
        names = [c.name for c in columns]
        if 0 in (len(comparison.sample), len(comparison.train)):
            scores = [untold(f"utility.tv{way}", "the sample or the training table is empty") for way in (1, 2, 3)]
            return Findings(scores=(*scores, untold("utility.tv2_excess", "there is nothing to compare")))
        scores = []
        distances: dict[int, dict[Group, float]] = {}
        for way, most in ((1, len(columns)), (2, MAX_PAIRS), (3, MAX_TRIPLES)):
            groups = choose_groups(len(columns), way, most, generator=generator)
            distances[way] = {g: total_variation(sample, train, sizes, g) for g in groups}
            scores.append(_score(way, distances[way], names))
        pairs = distances[2]
        scores.append(_excess(pairs, {g: total_variation(holdout, train, sizes, g) for g in pairs}, comparison))
        details: dict[str, Any] = {
            "tv2": [[names[a], names[b], round(tv, 6)] for (a, b), tv in pairs.items()],
            "shares": [shares(c, sample[i], train[i]) for i, c in enumerate(columns)],
        }
        return Findings(scores=tuple(scores), details=details)


def total_variation(left: list[Codes], right: list[Codes], sizes: list[int], group: Group) -> float:
    """Half the L1 distance of two tables' joint shares over the columns of ``group``, in [0, 1]; NaN without rows."""
    rows = len(left[0]), len(right[0])
    if 0 in rows:
        return nan
    joint = np.zeros(sum(rows), dtype=np.int64)
    for i in group:
        joint = joint * sizes[i] + np.concatenate([left[i], right[i]])
    _, places = np.unique(joint, return_inverse=True)
    width = int(places.max()) + 1
    share = [np.bincount(part, minlength=width) / len(part) for part in (places[: rows[0]], places[rows[0] :])]
    return float(np.abs(share[0] - share[1]).sum() / 2)


def _score(way: int, distances: dict[Group, float], names: list[str]) -> Score:
    name = f"utility.tv{way}"
    if not distances:
        return untold(name, f"the table has fewer than {way} columns")
    worst = max(distances, key=lambda g: distances[g])
    mean = float(np.mean(list(distances.values())))
    note = f"mean of {len(distances)}; worst {distances[worst]:.4f} for {', '.join(names[i] for i in worst)}"
    return Score(name=name, value=mean, low=mean, high=mean, better=Better.LOWER, note=note)


def _excess(pairs: dict[Group, float], baseline: dict[Group, float], comparison: Comparison) -> Score:
    name = "utility.tv2_excess"
    if not pairs or len(comparison.holdout) == 0:
        return untold(name, "the table has fewer than two columns" if not pairs else "the holdout is empty")
    real = float(np.mean(list(baseline.values())))
    value = float(np.mean(list(pairs.values()))) - real
    note = f"against {real:.4f} between holdout and training"
    return Score(name=name, value=value, low=value, high=value, better=Better.LOWER, note=note)
