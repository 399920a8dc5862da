"""Range queries: how far the release's answer to "which share of people are ..." lies from the training rows'.

1,000 keyed queries over one to three columns. Of a categorical column a query asks for half of the declared values, of
a numeric one for a range: by turns between two declared cut points and between two values that the release holds, which
are where people are. The training rows choose no query. A missing cell matches none.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.held_back import MIN_COLUMNS, coarse, of_tens
from evaluation.risk.attack import untold
from evaluation.tables import codes
from evaluation.utility.shown import as_shown
from synthgate.domain import NUMERIC, Column

QUERIES = 1_000
MAX_WAYS = 3

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


class Ranges:
    """The score ``utility.ranges``: the mean absolute difference of two shares, in [0, 1]."""

    name = "utility.ranges"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact for these queries. The details give quantiles of the error under ``quantiles`` and ``errors``, of
        counts rounded to ten."""
        frames = (comparison.sample, comparison.train, comparison.holdout)
        if 0 in (len(comparison.sample), len(comparison.train)):
            return Findings(scores=(untold(self.name, "the sample or the training table is empty"),))
        columns = comparison.domain.modelled
        tables = [[_cells(frame, c) for c in columns] for frame in frames]
        answers = np.zeros((QUERIES, len(frames)))
        for query in range(QUERIES):
            width = int(generator.integers(1, min(MAX_WAYS, len(columns)) + 1))
            chosen = generator.choice(len(columns), size=width, replace=False)
            asked = [_ask(columns[i], tables[0][i], query % 2 == 1, generator) for i in chosen]
            for side, table in enumerate(tables):
                matched = np.logical_and.reduce([_match(table[i], a) for i, a in zip(chosen, asked, strict=True)])
                answers[query, side] = matched.mean() if len(matched) else np.nan
        errors = np.abs(answers[:, 0] - answers[:, 1])
        mean, rows, others = float(errors.mean()), len(comparison.train), len(comparison.holdout)
        trained = _rounded(answers[:, 1], rows)
        rounded = np.abs(answers[:, 0] - trained)
        note = f"mean of {QUERIES:,} queries; largest about {coarse(rounded.max(), rows):g}"
        if others:
            real = np.abs(_rounded(answers[:, 2], others) - trained).mean()
            note += f"; about {coarse(real, min(rows, others)):g} between holdout and training"
        few = len(columns) < MIN_COLUMNS
        seen = coarse(rounded.mean(), rows) if few else float(rounded.mean())
        points = (0.5, 0.9, 0.99)
        details = {"quantiles": list(points), "errors": [coarse(q, rows) for q in np.quantile(rounded, points)]}
        scores = as_shown((exact(self.name, mean, note=note),), {self.name: seen})
        return Findings(scores=scores, details=details)


def _rounded(answers: Floats, rows: int) -> Floats:
    """Shares of so many rows, of counts rounded to ten."""
    return np.array([of_tens(round(share * rows), rows) for share in answers.tolist()])


def _cells(frame: pd.DataFrame, column: Column) -> Floats:
    """Numbers as they are, categories as codes, NaN where missing."""
    if column.kind in NUMERIC:
        return np.asarray(frame[column.name], dtype=np.float64)
    found, size = codes(frame, column)
    return np.where(found == size - 1, np.nan, found.astype(np.float64))


def _ask(column: Column, released: Floats, by_release: bool, generator: np.random.Generator) -> tuple[bool, Floats]:
    """Whether a range is asked for, and its two ends or the wanted codes."""
    if column.kind not in NUMERIC:
        size = len(column.categories) or 2
        return False, generator.permutation(size)[: max(1, size // 2)].astype(np.float64)
    points = released[~np.isnan(released)] if by_release else np.array(column.edges)
    if len(points) == 0:
        points = np.array(column.edges)
    return True, np.sort(generator.choice(points, size=2))


def _match(values: Floats, asked: tuple[bool, Floats]) -> Truth:
    ranged, wanted = asked
    if ranged:
        inside: Truth = (values >= wanted[0]) & (values <= wanted[1])
        return inside
    return np.isin(values, wanted)
