"""Columns one by one: the worst of them, coverage of categories and tails, and what a page about each would show.

The details hold under ``columns`` an entry for every column, in declared order:

    column, kind             as declared
    tv                       total variation of declared bins, 0 to 1
    missing                  ``sample`` and ``train``: shares of rows without a declared value; the latter null where
                             fewer than ten training rows have none, or have one
    shares                   labels and shares of merged bins (`evaluation.utility.shares`)
    tails or categories      coverage (`evaluation.utility.coverage`); ``tails`` null where fewer than ten rows
    mean, spread             numeric columns: ``sample`` and ``train``, as shares of the declared range; null below ten
    pairs                    up to five other columns with which the joint table is farthest off, and how far

No cell of a row is in it, and no count of fewer than ten training rows.
"""

from typing import Any

import numpy as np

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.groups import choose_groups
from evaluation.risk.attack import untold
from evaluation.tables import scaled
from evaluation.utility.coded import Coded, coded, distance, share
from evaluation.utility.coverage import covered
from evaluation.utility.marginals import MAX_PAIRS, total_variation
from evaluation.utility.shares import MIN_CELL, shares
from synthgate.domain import NUMERIC, Column
from synthgate.report import Better, Score

WORST_PAIRS = 5

WORST = "utility.tv1_worst"
CATEGORIES = "utility.coverage_categories"
TAILS = "utility.coverage_tails"


class Columns:
    """The scores ``utility.tv1_worst``, ``utility.coverage_categories`` and ``utility.coverage_tails``, in [0, 1]."""

    name = "utility.columns"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact figures. Coverage is a mean over columns; a table without such a column misses nothing."""
        if 0 in (len(comparison.sample), len(comparison.train)):
            reason = "the sample or the training table is empty"
            names = ((WORST, Better.LOWER), (CATEGORIES, Better.HIGHER), (TAILS, Better.HIGHER))
            return Findings(scores=tuple(untold(name, reason, better=better) for name, better in names))
        tables = coded(comparison)
        pairs = _worst_pairs(tables, generator)
        entries = [
            _entry(comparison, tables, i, column) | {"pairs": pairs[i]}
            for i, column in enumerate(comparison.domain.modelled)
        ]
        worst = max(entries, key=lambda entry: float(entry["tv"]))
        scores = (
            exact(WORST, worst["tv"], note=f"of {len(entries)} columns; {worst['column']}"),
            _categories(entries),
            _tails(entries),
        )
        return Findings(scores=scores, details={"columns": entries})


def _entry(comparison: Comparison, tables: Coded, i: int, column: Column) -> dict[str, Any]:
    sample, train, size = tables.sample[i], tables.train[i], tables.sizes[i]
    entry: dict[str, Any] = {"column": column.name, "kind": str(column.kind)}
    entry["tv"] = distance(share(sample, size), share(train, size))
    gone = [int((side == size - 1).sum()) for side in (sample, train)]
    told = MIN_CELL <= gone[1] <= len(train) - MIN_CELL
    entry["missing"] = {
        "sample": round(gone[0] / len(sample), 6),
        "train": round(gone[1] / len(train), 6) if told else None,
    }
    entry["shares"] = {k: v for k, v in shares(column, sample, train).items() if k != "column"}
    if column.kind not in NUMERIC:
        return entry | covered(column, sample, train, size)
    numbers = [frame[column.name].to_numpy() for frame in (comparison.sample, comparison.train)]
    inside = [s[~np.isnan(s)] for s in (scaled(n, column) for n in numbers)]
    for name, figure in (("mean", np.mean), ("spread", np.std)):
        figures = [round(float(figure(s)), 4) if len(s) >= MIN_CELL else None for s in inside]
        entry[name] = {"sample": figures[0], "train": figures[1]}
    return entry | covered(column, numbers[0], numbers[1], size)


def _worst_pairs(tables: Coded, generator: np.random.Generator) -> list[list[list[Any]]]:
    groups = choose_groups(len(tables.names), 2, MAX_PAIRS, generator=generator)
    found: list[list[tuple[float, int]]] = [[] for _ in tables.names]
    for a, b in groups:
        off = total_variation(tables.sample, tables.train, tables.sizes, (a, b))
        found[a].append((off, b))
        found[b].append((off, a))
    return [
        [[tables.names[other], round(off, 6)] for off, other in sorted(row, key=lambda x: (-x[0], x[1]))[:WORST_PAIRS]]
        for row in found
    ]


def _categories(entries: list[dict[str, Any]]) -> Score:
    counted = [e["categories"] for e in entries if e.get("categories", {}).get("of")]
    parts = [c["released"] / c["of"] for c in counted]
    note = f"of what {MIN_CELL} training rows have in {len(parts)} columns"
    return exact(CATEGORIES, float(np.mean(parts)) if parts else 1.0, better=Better.HIGHER, note=note)


def _tails(entries: list[dict[str, Any]]) -> Score:
    parts = [v for e in entries for v in e.get("tails", {}).values() if v is not None]
    note = f"{len(parts)} tails, each with a twentieth of the training rows or more"
    return exact(TAILS, float(np.mean(parts)) if parts else 1.0, better=Better.HIGHER, note=note)
