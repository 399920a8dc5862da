"""Columns one by one: the worst of them, coverage of categories and tails, and what a page about each would show.

The details hold under ``columns`` an entry for every column, in declared order:

    column, kind             as declared
    tv                       total variation over cells that ten training rows have, 0 to 1; null without any
    missing                  ``sample`` and ``train``: shares of rows without a declared value; the latter null where
                             fewer than ten training rows have none
    shares                   labels and shares of these cells (`evaluation.utility.shares`)
    tails or categories      coverage (`evaluation.utility.coverage`); ``tails`` null where fewer than ten rows
    mean, spread             numeric columns: ``sample`` and ``train``, as shares of the declared range; null below ten
    pairs                    up to five other columns with which the joint table is farthest off, and how far

No cell of a row is in it, and nothing that is computed from a cell of fewer than ten training rows
(`evaluation.held_back`). The scores are exact, for rules; a report shows them over such cells too.
"""

from typing import Any

import numpy as np

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.groups import choose_groups
from evaluation.held_back import MIN_CELL, coarse
from evaluation.risk.attack import untold
from evaluation.tables import scaled
from evaluation.utility.coded import Coded, coded, distance, share
from evaluation.utility.coverage import covered, tails
from evaluation.utility.marginals import MAX_PAIRS, total_variation
from evaluation.utility.shares import kept, shares
from evaluation.utility.shown import Shown, as_shown
from synthgate.domain import NUMERIC, Column
from synthgate.report import DECIMALS, Better, Score

WORST_PAIRS = 5

WORST = "utility.tv1_worst"
CATEGORIES = "utility.coverage_categories"
TAILS = "utility.coverage_tails"


class Columns:
    """The scores ``utility.tv1_worst``, ``utility.coverage_categories`` and ``utility.coverage_tails``, in [0, 1]."""

    name = "utility.columns"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact figures. Coverage is a mean over columns; where there is nothing to cover, it could not be told."""
        if 0 in (len(comparison.sample), len(comparison.train)):
            reason = "the sample or the training table is empty"
            names = ((WORST, Better.LOWER), (CATEGORIES, Better.HIGHER), (TAILS, Better.HIGHER))
            return Findings(scores=tuple(untold(name, reason, better=better) for name, better in names))
        tables = coded(comparison)
        pairs = _worst_pairs(comparison, tables, generator)
        entries = [
            _entry(comparison, tables, i, column) | {"pairs": pairs[i]}
            for i, column in enumerate(comparison.domain.modelled)
        ]
        sizes = tables.sizes
        found = [distance(share(s, n), share(t, n)) for s, t, n in zip(tables.sample, tables.train, sizes, strict=True)]
        told = {entry["column"]: entry["tv"] for entry in entries if entry["tv"] is not None}
        worst = max(told, key=lambda name: told[name]) if told else ""
        scores = (
            exact(WORST, max(found), note=f"of {len(entries)} columns" + (f"; {worst}" if worst else "")),
            _categories(entries),
            _tails(comparison),
        )
        shown = {WORST: told.get(worst), CATEGORIES: scores[1].value, TAILS: _shown_tails(entries)}
        return Findings(scores=as_shown(scores, shown), details={"columns": entries})


def _entry(comparison: Comparison, tables: Coded, i: int, column: Column) -> dict[str, Any]:
    sample, train, size = tables.sample[i], tables.train[i], tables.sizes[i]
    drawn = shares(column, sample, train)
    entry: dict[str, Any] = {"column": column.name, "kind": str(column.kind), "tv": drawn["distance"]}
    entry["missing"] = {
        "sample": round(float(np.mean(sample == size - 1)), 6),
        "train": drawn["train"][-1] if drawn["labels"][-1:] == ["missing"] and drawn["labels"][1:] else None,
    }
    entry["shares"] = {k: v for k, v in drawn.items() if k != "column"}
    if column.kind not in NUMERIC:
        return entry | covered(column, sample, train, size)
    inside = kept(column, train)
    numbers = [
        frame[column.name].to_numpy()[inside[codes]]
        for frame, codes in ((comparison.sample, sample), (comparison.train, train))
    ]
    told = [scaled(n[~np.isnan(n)], column) for n in numbers]
    for name, figure in (("mean", np.mean), ("spread", np.std)):
        figures = [coarse(float(figure(n)), len(comparison.train)) if len(n) >= MIN_CELL else None for n in told]
        entry[name] = {"sample": figures[0], "train": figures[1]}
    return entry | covered(column, numbers[0], numbers[1], size)


def _worst_pairs(comparison: Comparison, tables: Coded, generator: np.random.Generator) -> list[list[list[Any]]]:
    groups = choose_groups(len(tables.names), 2, MAX_PAIRS, generator=generator)
    found: list[list[tuple[float, int]]] = [[] for _ in tables.names]
    exact_ones = {g: total_variation(tables.sample, tables.train, tables.sizes, g) for g in groups}
    for (a, b), off in Shown.of(comparison, tables).distances(exact_ones, tables.sample).items():
        if off is not None:
            found[a].append((off, b))
            found[b].append((off, a))
    return [
        [[tables.names[other], off] for off, other in sorted(row, key=lambda x: (-x[0], x[1]))[:WORST_PAIRS]]
        for row in found
    ]


def _categories(entries: list[dict[str, Any]]) -> Score:
    counted = [e["categories"] for e in entries if e.get("categories", {}).get("of")]
    parts = [c["released"] / c["of"] for c in counted]
    if not parts:
        return untold(CATEGORIES, f"there is no category that {MIN_CELL} training rows have", better=Better.HIGHER)
    note = f"of what {MIN_CELL} training rows have in {len(parts)} columns"
    return exact(CATEGORIES, float(np.mean(parts)), better=Better.HIGHER, note=note)


def _tails(comparison: Comparison) -> Score:
    parts = [
        share
        for column in comparison.domain.modelled
        if column.kind in NUMERIC
        for share in tails(*(f[column.name].to_numpy() for f in (comparison.sample, comparison.train))).values()
        if not np.isnan(share)
    ]
    if not parts:
        return untold(TAILS, f"there is no tail that {MIN_CELL} training rows have", better=Better.HIGHER)
    note = "of tails that each have a twentieth of the training rows or more"
    return exact(TAILS, float(np.mean(parts)), better=Better.HIGHER, note=note)


def _shown_tails(entries: list[dict[str, Any]]) -> float | None:
    parts = [v for e in entries for v in e.get("tails", {}).values() if v is not None]
    return round(float(np.mean(parts)), DECIMALS) if parts else None
