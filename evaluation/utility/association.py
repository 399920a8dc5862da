"""Association: how far the strength of every pairwise relation differs between sample and training rows.

Cramér's V for two categorical columns (Cramér 1946), the correlation ratio for a categorical and a numeric one
(Pearson 1905, Fisher 1925), both in [0, 1]; Pearson's correlation for two numeric ones, in [-1, 1]: 0 where one side is
constant. Rows that miss either value are left out of that pair. Two strengths differ by at most 1: a correlation that
changed its sign cannot count twice.

The details hold ``columns``, and by pair (a before b) ``pairs``: [a, b, measure, sample, train]; the strength among
fewer than ten training rows is null, and cells whose value fewer than ten of them have count as missing there.
"""

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.held_back import MIN_CELL, coarse
from evaluation.risk.attack import untold
from evaluation.tables import MISSING, codes
from evaluation.utility.design import Scale, feature
from evaluation.utility.shares import kept
from evaluation.utility.shown import as_shown
from synthgate.domain import NUMERIC, Domain

MAX_COLUMNS = 60
"""Columns whose pairs are measured at most, by keyed choice."""

Floats = npt.NDArray[np.float64]
Pair = tuple[str, str]


class Association:
    """The score ``utility.association``: mean absolute difference of the two association matrices, in [0, 1]."""

    name = "utility.association"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """All pairs of columns, both tables; an exact figure, so both ends equal the value."""
        domain = comparison.domain
        names = [c.name for c in domain.modelled]
        if len(names) > MAX_COLUMNS:
            kept = sorted(generator.permutation(len(names))[:MAX_COLUMNS].tolist())
            names = [names[i] for i in kept]
        if len(names) < 2 or 0 in (len(comparison.sample), len(comparison.train)):
            return Findings(scores=(untold(self.name, "fewer than two columns, or an empty table"),))
        sample, train = (associations(frame, domain, names) for frame in (comparison.sample, comparison.train))
        gaps = {pair: min(1.0, abs(sample[pair][0] - train[pair][0])) for pair in sample}
        left = _without_few(comparison, names)
        told = associations(left, domain, names) if left is not comparison.train else train
        pairs = [_detail(pair, domain, sample[pair][0], *told[pair]) for pair in sample]
        note, shown = f"mean of {len(gaps)} pairs", None
        if off := {(a, b): min(1.0, abs(ours - theirs)) for a, b, _, ours, theirs in pairs if theirs is not None}:
            worst, shown = max(off, key=lambda pair: off[pair]), float(np.mean(list(off.values())))
            note += f"; worst {off[worst]:.2g} for {worst[0]}, {worst[1]}"
        score = exact(self.name, float(np.mean(list(gaps.values()))), note=note)
        return Findings(scores=as_shown((score,), {self.name: shown}), details={"columns": names, "pairs": pairs})


def associations(frame: pd.DataFrame, domain: Domain, names: list[str]) -> dict[Pair, tuple[float, int]]:
    """The strength of every pair of columns, and in how many rows both cells are filled."""
    cells = {name: feature(frame, domain[name]) for name in names}
    there = {name: ~np.isnan(cells[name]) for name in names}
    numeric = {name: domain[name].kind in NUMERIC for name in names}
    out = {}
    for left, right in combinations(names, 2):
        present = there[left] & there[right]
        pair = (cells[left][present], cells[right][present])
        out[left, right] = (strength(*pair, numeric=(numeric[left], numeric[right])), len(pair[0]))
    return out


def strength(left: Floats, right: Floats, *, numeric: tuple[bool, bool]) -> float:
    """One pair of columns without missing cells; categorical ones come as codes."""
    if len(left) < 2:
        return 0.0
    if all(numeric):
        return _pearson(left, right)
    if any(numeric):
        return _correlation_ratio(right, left) if numeric[0] else _correlation_ratio(left, right)
    return _cramer(left, right)


def _without_few(comparison: Comparison, names: list[str]) -> pd.DataFrame:
    """The training rows, with nothing in the cells whose value fewer than ten of them have."""
    changed = {}
    for name in names:
        column = comparison.domain[name]
        found = codes(comparison.train, column)[0]
        inside = kept(column, found)[found]
        if not inside.all():
            nothing = np.nan if column.kind in NUMERIC else MISSING
            changed[name] = comparison.train[name].where(inside, nothing)
    return comparison.train.assign(**changed) if changed else comparison.train


def _detail(pair: Pair, domain: Domain, sample: float, train: float, rows: int) -> list[Any]:
    numeric = sum(domain[name].kind in NUMERIC for name in pair)
    measure = ("cramers_v", "correlation_ratio", "pearson")[numeric]
    return [*pair, measure, round(sample, 4), coarse(train, rows) if rows >= MIN_CELL else None]


def _pearson(left: Floats, right: Floats) -> float:
    a, b = (Scale.of(side).to(side) for side in (left, right))
    return float(np.clip((a @ b) / len(a), -1.0, 1.0))


def _correlation_ratio(groups: Floats, values: Floats) -> float:
    """The square root of the share of the values' variance that lies between the groups."""
    places = groups.astype(np.int64)
    sums, counts = np.bincount(places, weights=Scale.of(values).to(values)), np.bincount(places)
    there = counts > 0
    return float(np.sqrt(min(1.0, float((sums[there] ** 2 / counts[there]).sum()) / len(values))))


def _cramer(left: Floats, right: Floats) -> float:
    """Cramér's V: the square root of chi-squared over n (min(rows, columns) - 1), of the categories that occur."""
    a, b = left.astype(np.int64), right.astype(np.int64)
    shape = int(a.max()) + 1, int(b.max()) + 1
    table = np.bincount(a * shape[1] + b, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    if min(table.shape) < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    chi2 = float(((table - expected) ** 2 / expected).sum())
    return float(np.sqrt(min(1.0, chi2 / (table.sum() * (min(table.shape) - 1)))))
