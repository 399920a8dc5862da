"""Propensity: can a model tell released rows from training rows?

``utility.propensity_auc`` is the area under the ROC curve of gradient boosting, cross-fitted: every row is scored by a
model that has not seen it. A released row and a training row that are equal lie in the same fold, the n-th with the
n-th, else a model would know a copy by its twin and score below a half. 0.5 cannot be told apart, 1 always.

``utility.pmse_ratio`` is the mean squared propensity error over its expectation where the rows of both tables are
exchangeable (Snoke, Raab, Nowok, Dibben, Slavkovic, General and specific utility measures for synthetic data, JRSS A
2018). The propensity is a linear model's of indicator columns and the products of pairs of columns: for it the
expectation over all permutations of the labels is exact, rank * c (1 - c) / (N - 1) with c the released share of the N
rows, and nothing diverges where a category occurs on one side alone. So the ratio is R squared (N - 1) / rank: 0 for
the training rows themselves, 1 in expectation for fresh real rows (with a standard deviation of sqrt(2 / rank)), a half
for a sample of a perfect model of the training rows. Several rows of one person are not exchangeable: expect more than
1.
"""

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.held_back import MIN_COLUMNS, about, coarse
from evaluation.risk.attack import MIN_TARGETS, choose, untold
from evaluation.risk.intervals import Interval
from evaluation.utility import ends
from evaluation.utility.design import Scale, feature, indicators
from evaluation.utility.shown import as_shown
from synthgate.domain import NUMERIC, Column

MAX_ROWS = 10_000
"""Rows of each table at most, by keyed choice."""
FOLDS = 3
ROUNDS = 40
MAX_PRODUCTS = 150
"""Pairs of columns whose product the linear model knows, at most, by keyed choice."""
ROUNDING = 1e-9
"""What products of scores, which lie in -1 to 1, differ by where it is of their last digits alone."""

NAMES = ("utility.propensity_auc", "utility.pmse_ratio")

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


class Propensity:
    """The scores ``utility.propensity_auc`` and ``utility.pmse_ratio``, both better where lower."""

    name = "utility.propensity"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact for the rows that were chosen. Of units of one row the details hold ``intervals`` of the area
        (`evaluation.utility.ends`). The rank stands in no note: it tells which values occur."""
        sides = (comparison.sample, comparison.train)
        if min(map(len, sides)) < MIN_TARGETS:
            reason = f"fewer than {MIN_TARGETS} rows in the sample or the training table"
            return Findings(scores=tuple(untold(name, reason) for name in NAMES))
        frames = [f if len(f) <= MAX_ROWS else choose(f, MAX_ROWS, generator=generator) for f in sides]
        columns = list(comparison.domain.modelled)
        features = np.vstack([np.column_stack([feature(frame, c) for c in columns]) for frame in frames])
        labels = np.repeat([1.0, 0.0], [len(frame) for frame in frames])
        with threadpool_limits(limits=1):
            area, chances = _cross_fitted(features, labels, _folds(frames, generator))
            ratio, _ = pmse_ratio(_products(columns, features, generator), labels)
        rows = f"{len(frames[0]):,} released and {about(len(frames[1]))} training rows"
        scores = (
            exact(NAMES[0], area, note=f"{rows}, {FOLDS} folds"),
            exact(NAMES[1], ratio, note=f"{rows}; fresh rows show about 1"),
        )
        alone = comparison.units[0] == len(comparison.train)
        few = len(columns) < MIN_COLUMNS
        around = _around(area, labels > 0, chances) if alone and not few else None
        shown = {
            NAMES[0]: coarse(area, len(comparison.train)) if few else area,
            NAMES[1]: None if few else float(f"{ratio:.2g}"),
        }
        told = ends.told({NAMES[0]: around}, rows=min(map(len, frames)), least=0.0, most=1.0)
        return Findings(scores=as_shown(scores, shown), details={"intervals": told})


def _around(area: float, released: npt.NDArray[np.bool_], chances: Floats) -> Interval | None:
    """What other released and training rows would show of the same models."""
    moves = ends.area_influence(released, chances)
    return ends.ends(area, (moves, np.arange(len(moves), dtype=np.int64)))


def pmse_ratio(features: Floats, labels: Floats) -> tuple[float, int]:
    """R squared of the labels on the features, times (N - 1) / rank, and the rank; 0 where no feature varies."""
    scale, wanted = Scale.of(features), labels - labels.mean()
    centred = scale.to(features)[:, scale.spread > 0] / np.sqrt(len(labels))
    values, vectors = np.linalg.eigh(centred.T @ centred)
    kept = values > 1e-8 * max(1.0, float(values.max(initial=0.0)))
    rank = int(kept.sum())
    if rank == 0:
        return 0.0, 0
    explained = (vectors[:, kept].T @ (centred.T @ wanted)) ** 2 / values[kept]
    return float(explained.sum() / (wanted @ wanted) * (len(labels) - 1) / rank), rank


def _products(columns: list[Column], features: Floats, generator: np.random.Generator) -> Floats:
    """Indicators of all columns, and products of pairs of one score a column: its rank, or whether it is the most
    frequent category. Released and training rows have the same say in both."""
    scores = np.column_stack([_score(c, features[:, i]) for i, c in enumerate(columns)])
    pairs = list(combinations(range(len(columns)), 2))
    chosen = sorted(generator.permutation(len(pairs))[:MAX_PRODUCTS].tolist())
    products = [scores[:, pairs[i][0]] * scores[:, pairs[i][1]] for i in chosen]
    varied = [product for product in products if np.ptp(product) > ROUNDING]
    return np.column_stack([indicators(columns, features, features), *varied])


def _score(column: Column, cells: Floats) -> Floats:
    if column.kind in NUMERIC:
        ranks = pd.Series(cells).rank(pct=True).fillna(0.5).to_numpy()
        return np.asarray(ranks - 0.5, dtype=np.float64)
    found, counts = np.unique(cells[~np.isnan(cells)], return_counts=True)
    first = found[np.argmax(counts)] if len(found) else -1.0
    hit = cells == first
    return np.asarray(hit - hit.mean(), dtype=np.float64)


def _folds(frames: list[pd.DataFrame], generator: np.random.Generator) -> Codes:
    """A keyed fold for every row; of several equal rows the n-th of one table has the fold of the other's n-th."""
    named = []
    for frame in frames:
        content = pd.util.hash_pandas_object(frame, index=False)
        named.append(pd.DataFrame({"row": content, "number": content.groupby(content).cumcount()}))
    places = pd.concat(named, ignore_index=True).groupby(["row", "number"]).ngroup().to_numpy()
    return np.asarray(generator.integers(FOLDS, size=int(places.max()) + 1)[places], dtype=np.int64)


def _cross_fitted(features: Floats, labels: Floats, folds: Codes) -> tuple[float, Floats]:
    chances = np.full(len(labels), 0.5)
    for fold in range(FOLDS):
        learn, test = folds != fold, folds == fold
        if len(np.unique(labels[learn])) < 2 or not test.any():
            continue
        known = np.where(np.isnan(features[learn]).all(axis=0), 0.0, features)
        model = HistGradientBoostingClassifier(max_iter=ROUNDS, early_stopping=False, random_state=0)
        model.fit(known[learn], labels[learn])
        chances[test] = model.predict_proba(known[test])[:, 1]
    return float(roc_auc_score(labels, chances)), chances
