"""Marginals: total variation between the sample's and the training rows' shares of declared bins.

Half the sum of absolute differences, for every column, every pair (at most 2,000), and triples and fours (at most 200
each), the rest by keyed choice. Some distance is the price of any fresh sample: ``utility.tv2_excess`` subtracts what
the holdout, real people whom nobody trained on, shows against the same training rows.

The details hold distances of pairs under ``tv2``, and under ``shares`` those of bins whose training counts are merged
to at least ten (`evaluation.utility.shares`).
"""

from math import nan
from typing import Any

import numpy as np

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.groups import Group, choose_groups
from evaluation.risk.attack import untold
from evaluation.utility.coded import Codes, cells, coded, distance, share
from evaluation.utility.shares import shares
from synthgate.report import Score

MAX_PAIRS = 2_000
MAX_TRIPLES = 200
MAX_FOURS = 200


class Marginals:
    """The scores ``utility.tv1``, ``.tv2``, ``.tv3``, ``.tv4`` (means) and ``utility.tv2_excess``."""

    name = "utility.marginals"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact figures, so both ends equal the value; the note names the worst columns."""
        tables = coded(comparison)
        sample, train, names = tables.sample, tables.train, tables.names
        if 0 in (len(comparison.sample), len(comparison.train)):
            scores = [untold(f"utility.tv{way}", "the sample or the training table is empty") for way in (1, 2, 3, 4)]
            return Findings(scores=(*scores, untold("utility.tv2_excess", "there is nothing to compare")))
        scores = []
        pairs: dict[Group, float] = {}
        for way, most in ((1, len(names)), (2, MAX_PAIRS), (3, MAX_TRIPLES), (4, MAX_FOURS)):
            groups = choose_groups(len(names), way, most, generator=generator) if len(names) >= way else []
            found = {g: total_variation(sample, train, tables.sizes, g) for g in groups}
            scores.append(_score(way, found, names))
            pairs = found if way == 2 else pairs
        real = [total_variation(tables.holdout, train, tables.sizes, g) for g in pairs]
        scores.append(_excess(list(pairs.values()), real, comparison))
        columns = comparison.domain.modelled
        details: dict[str, Any] = {
            "tv2": [[names[a], names[b], round(tv, 6)] for (a, b), tv in pairs.items()],
            "shares": [shares(c, sample[i], train[i]) for i, c in enumerate(columns)],
        }
        return Findings(scores=tuple(scores), details=details)


def total_variation(left: list[Codes], right: list[Codes], sizes: list[int], group: Group) -> float:
    """Half the L1 distance of two tables' joint shares over the columns of ``group``, in [0, 1]; NaN without rows."""
    if 0 in (len(left[0]), len(right[0])):
        return nan
    (ours, theirs), width = cells([left, right], sizes, group)
    return distance(share(ours, width), share(theirs, width))


def _score(way: int, distances: dict[Group, float], names: list[str]) -> Score:
    name = f"utility.tv{way}"
    if not distances:
        return untold(name, f"the table has fewer than {way} columns")
    worst = max(distances, key=lambda g: distances[g])
    note = f"mean of {len(distances)}; worst {distances[worst]:.4f} for {', '.join(names[i] for i in worst)}"
    return exact(name, float(np.mean(list(distances.values()))), note=note)


def _excess(pairs: list[float], baseline: list[float], comparison: Comparison) -> Score:
    name = "utility.tv2_excess"
    if not pairs or len(comparison.holdout) == 0:
        return untold(name, "the table has fewer than two columns" if not pairs else "the holdout is empty")
    real = float(np.mean(baseline))
    return exact(name, float(np.mean(pairs)) - real, note=f"against {real:.4f} between holdout and training")
