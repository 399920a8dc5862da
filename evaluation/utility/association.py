"""Association: how far the strength of every pairwise relation differs between sample and training rows.

Cramér's V for two categorical columns (Cramér 1946), the correlation ratio for a categorical and a numeric one
(Pearson 1905, Fisher 1925), the absolute correlation of Pearson for two numeric ones: all in [0, 1], 0 where one side
is constant. Rows that miss either value are left out of that pair.
"""

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.base import Comparison, Findings
from evaluation.risk.attack import untold
from evaluation.tables import codes, scaled
from synthgate.domain import NUMERIC, Domain
from synthgate.report import Better, Score

MAX_COLUMNS = 60
"""Columns whose pairs are measured at most, by keyed choice."""

Floats = npt.NDArray[np.float64]


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
        gaps = {pair: abs(sample[pair] - train[pair]) for pair in sample}
        worst = max(gaps, key=lambda pair: gaps[pair])
        mean = float(np.mean(list(gaps.values())))
        note = f"mean of {len(gaps)} pairs; worst {gaps[worst]:.4f} for {worst[0]}, {worst[1]}"
        score = Score(name=self.name, value=mean, low=mean, high=mean, better=Better.LOWER, note=note)
        return Findings(scores=(score,))


def associations(frame: pd.DataFrame, domain: Domain, names: list[str]) -> dict[tuple[str, str], float]:
    """The strength of every pair of columns, in [0, 1]."""
    cells: dict[str, Floats] = {}
    for name in names:
        column = domain[name]
        if column.kind in NUMERIC:
            cells[name] = scaled(frame[name].to_numpy(), column)
        else:
            found, size = codes(frame, column)
            cells[name] = np.where(found == size - 1, np.nan, found.astype(np.float64))
    out = {}
    for left, right in combinations(names, 2):
        present = ~(np.isnan(cells[left]) | np.isnan(cells[right]))
        pair = (cells[left][present], cells[right][present])
        numeric = tuple(domain[name].kind in NUMERIC for name in (left, right))
        out[left, right] = strength(*pair, numeric=(numeric[0], numeric[1]))
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


def _pearson(left: Floats, right: Floats) -> float:
    a, b = left - left.mean(), right - right.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(min(1.0, abs(a @ b) / scale)) if scale > 1e-12 else 0.0


def _correlation_ratio(groups: Floats, values: Floats) -> float:
    """The square root of the share of the values' variance that lies between the groups."""
    _, places = np.unique(groups, return_inverse=True)
    centred = values - values.mean()
    total = float(centred @ centred)
    if total <= 1e-12:
        return 0.0
    sums, counts = np.bincount(places, weights=centred), np.bincount(places)
    return float(np.sqrt(min(1.0, float((sums**2 / counts).sum()) / total)))


def _cramer(left: Floats, right: Floats) -> float:
    """Cramér's V: the square root of chi-squared over n (min(rows, columns) - 1)."""
    _, a = np.unique(left, return_inverse=True)
    _, b = np.unique(right, return_inverse=True)
    shape = int(a.max()) + 1, int(b.max()) + 1
    if min(shape) < 2:
        return 0.0
    table = np.bincount(a * shape[1] + b, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    chi2 = float(((table - expected) ** 2 / expected).sum())
    return float(np.sqrt(min(1.0, chi2 / (table.sum() * (min(shape) - 1)))))
