"""Marginals: total variation between the sample's and the training rows' shares of declared bins.

Half the sum of absolute differences, for every column, every pair (at most 2,000), and triples and fours (at most 200
each), the rest by keyed choice. Some distance is the price of any fresh sample: ``utility.tv2_excess`` subtracts what
the holdout, real people whom nobody trained on, shows against the same training rows.

The details hold distances of pairs under ``tv2``, and under ``shares`` those of cells that ten training rows have
(`evaluation.utility.shares`); a report shows the scores over such cells too (`evaluation.utility.shown`).
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
from evaluation.utility.shown import Shown, as_shown
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
            empty = [untold(f"utility.tv{way}", "the sample or the training table is empty") for way in (1, 2, 3, 4)]
            return Findings(scores=(*empty, untold("utility.tv2_excess", "there is nothing to compare")))
        scores: list[Score] = []
        pairs: dict[Group, float] = {}
        columns = comparison.domain.modelled
        drawn = [shares(c, sample[i], train[i]) for i, c in enumerate(columns)]
        shown, told = Shown.of(comparison, tables), dict[str, float | None]()
        alone_shown: dict[Group, float | None] = {(i,): each["distance"] for i, each in enumerate(drawn)}
        near: dict[Group, float | None] = {}
        for way, most in ((1, len(names)), (2, MAX_PAIRS), (3, MAX_TRIPLES), (4, MAX_FOURS)):
            groups = choose_groups(len(names), way, most, generator=generator) if len(names) >= way else []
            found = _distances(sample, train, tables.sizes, groups)
            seen = shown.distances(found, sample) if way > 1 else alone_shown
            scores.append(_score(way, found, seen, names))
            if groups:
                told[f"utility.tv{way}"] = shown.mean(list(seen.values()))
            pairs, near = (found, seen) if way == 2 else (pairs, near)
        real = _distances(tables.holdout, train, tables.sizes, list(pairs))
        base = shown.mean(list(Shown.of_holdout(comparison, tables).distances(real, tables.holdout).values()))
        scores.append(_excess(list(pairs.values()), list(real.values()), comparison, base))
        if scores[-1].usable:
            told[scores[-1].name] = shown.less(told["utility.tv2"], base)
        details: dict[str, Any] = {
            "tv2": [[names[a], names[b], tv] for (a, b), tv in near.items() if tv is not None],
            "shares": drawn,
        }
        return Findings(scores=as_shown(scores, told), details=details)


def total_variation(left: list[Codes], right: list[Codes], sizes: list[int], group: Group) -> float:
    """Half the L1 distance of two tables' joint shares over the columns of ``group``, in [0, 1]; NaN without rows."""
    if 0 in (len(left[0]), len(right[0])):
        return nan
    (ours, theirs), width = cells([left, right], sizes, group)
    return distance(share(ours, width), share(theirs, width))


def _distances(left: list[Codes], right: list[Codes], sizes: list[int], groups: list[Group]) -> dict[Group, float]:
    """The total variation of every group."""
    return {group: total_variation(left, right, sizes, group) for group in groups}


def _score(way: int, distances: dict[Group, float], seen: dict[Group, float | None], names: list[str]) -> Score:
    name = f"utility.tv{way}"
    if not distances:
        return untold(name, f"the table has fewer than {way} columns")
    note = f"mean of {len(distances)}"
    if told := {group: found for group, found in seen.items() if found is not None}:
        worst = max(told, key=lambda g: told[g])
        note += f"; worst {told[worst]:g} for {', '.join(names[i] for i in worst)}"
    return exact(name, float(np.mean(list(distances.values()))), note=note)


def _excess(pairs: list[float], baseline: list[float], comparison: Comparison, base: float | None) -> Score:
    name = "utility.tv2_excess"
    if not pairs or len(comparison.holdout) == 0:
        return untold(name, "the table has fewer than two columns" if not pairs else "the holdout is empty")
    note = "" if base is None else f"against {base:g} between holdout and training"
    return exact(name, float(np.mean(pairs)) - float(np.mean(baseline)), note=note)
