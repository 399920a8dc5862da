"""Train on synthetic, test on real: does a model learned from the sample predict the target of people it never saw?

C. Esteban, S. Hyland, G. Rätsch, Real-valued (medical) time series generation with recurrent conditional GANs, arXiv
1706.02633. Both models are tested on the holdout; one learns from the sample, the other from the training rows.
Classification (categorical, boolean, or an integer of at most ten values): area under the ROC curve, one class against
the others, averaged over the classes by their share. Regression: R squared.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from evaluation.base import Comparison, Findings
from evaluation.risk.attack import MIN_TARGETS, choose, untold
from evaluation.tables import codes, scaled
from synthgate.domain import NUMERIC, Column, Domain, Kind
from synthgate.report import Better, Score

MAX_ROWS = 20_000
"""Rows that a model learns from at most, by keyed choice."""

FEW_VALUES = 10

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Features, shape (rows, columns - 1), NaN where missing, and the target (class codes or shares of the range)."""

    features: Floats
    target: Floats


class TrainOnSynthetic:
    """The scores ``utility.tstr`` and ``utility.tstr_gap`` (train on real minus it); none without a target."""

    name = "utility.tstr"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Gradient boosting with fixed settings. The figures are exact for this holdout: both ends equal the value."""
        domain = comparison.domain
        if domain.target is None:
            return Findings(scores=())
        gap = f"{self.name}_gap"
        classify = _classified(domain[domain.target])
        frames = (comparison.sample, comparison.train, comparison.holdout)
        sides = [_task(choose(f, MAX_ROWS, generator=generator), domain, domain.target, classify) for f in frames]
        reason = _shortage(sides)
        if reason:
            return Findings(
                scores=(untold(self.name, reason, better=Better.HIGHER), untold(gap, reason, better=Better.LOWER))
            )
        state = int(generator.integers(2**31))
        with threadpool_limits(limits=1):  # on a busy machine OpenMP's threads wait for each other, not for work
            synthetic, real = (_quality(side, sides[2], classify, state) for side in sides[:2])
        what = "AUC" if classify else "R squared"
        note = f"{what} on the holdout: {synthetic:.4f} learned from the sample, {real:.4f} from training rows"
        value, difference = synthetic, real - synthetic
        scores = (
            Score(name=self.name, value=value, low=value, high=value, better=Better.HIGHER, note=note),
            Score(name=gap, value=difference, low=difference, high=difference, better=Better.LOWER, note=note),
        )
        details = {"target": domain.target, "measure": what, "synthetic": synthetic, "real": real}
        return Findings(scores=scores, details=details)


def _classified(column: Column) -> bool:
    if column.kind in (Kind.FLOAT, Kind.DATETIME):
        return False
    return column.kind is not Kind.INTEGER or column.number(column.high) - column.number(column.low) < FEW_VALUES


def _task(frame: pd.DataFrame, domain: Domain, target: str, classify: bool) -> Task:
    """Rows that have the target; categories as declared codes, numbers as shares of their range."""
    column = domain[target]
    if column.kind in NUMERIC:
        wanted = frame[target].to_numpy() if classify else scaled(frame[target].to_numpy(), column)
    else:
        found, size = codes(frame, column)
        wanted = np.where(found == size - 1, np.nan, found.astype(np.float64))
    known = [_feature(frame, c) for c in domain.modelled if c.name != target]
    features = np.column_stack(known) if known else np.zeros((len(frame), 0))
    present = ~np.isnan(wanted)
    return Task(features=features[present], target=wanted[present])


def _feature(frame: pd.DataFrame, column: Column) -> Floats:
    if column.kind in NUMERIC:
        return scaled(frame[column.name].to_numpy(), column)
    found, size = codes(frame, column)
    return np.where(found == size - 1, np.nan, found.astype(np.float64))


def _shortage(sides: list[Task]) -> str:
    if sides[2].features.shape[1] == 0:
        return "there is no other column to predict the target from"
    if min(len(side.target) for side in sides) < MIN_TARGETS:
        return f"fewer than {MIN_TARGETS} rows with a target in one of the tables"
    if len(np.unique(sides[2].target)) < 2:
        return "the target is constant in the holdout"
    return ""


def _known(learn: Task, test: Task) -> tuple[Task, Task]:
    """Both tasks with 0 in every column of which ``learn`` has no cell: scikit-learn cannot cut such a column, and a
    constant one tells nothing."""
    never = np.isnan(learn.features).all(axis=0)
    first, second = (replace(task, features=np.where(never, 0.0, task.features)) for task in (learn, test))
    return first, second


def _quality(learn: Task, test: Task, classify: bool, state: int) -> float:
    learn, test = _known(learn, test)
    settings = {"max_iter": 60, "early_stopping": False, "random_state": state}
    classes = np.unique(learn.target)
    if not classify:
        model = HistGradientBoostingRegressor(**settings).fit(learn.features, learn.target)
        return float(r2_score(test.target, model.predict(test.features)))
    if len(classes) < 2:
        return 0.5
    model = HistGradientBoostingClassifier(**settings).fit(learn.features, learn.target)
    chances = dict(zip(model.classes_, model.predict_proba(test.features).T, strict=True))
    areas, weights = [], []
    for value, count in zip(*np.unique(test.target, return_counts=True), strict=True):
        chance = chances.get(value, np.zeros(len(test.target)))
        areas.append(roc_auc_score(test.target == value, chance))
        weights.append(count)
    return float(np.average(areas, weights=weights))
