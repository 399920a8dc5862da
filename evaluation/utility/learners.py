"""Models that learn a target from one table and are tried on another: gradient boosting, and a linear one.

Settings are fixed and the work is limited by counts: rows by their number, the width and the classes of the task. Equal
tables in equal order give equal models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score

from evaluation.held_back import MIN_CELL
from evaluation.risk.attack import MIN_TARGETS, choose
from evaluation.tables import clamped, codes
from evaluation.utility.design import Scale, feature, indicators
from evaluation.utility.ends import areas_influence, fit_influence
from synthgate.domain import NUMERIC, Column, Domain, Kind

MAX_ROWS = 20_000
"""Rows that a model learns from, and is tried on, at most, by keyed choice."""
MAX_CLASSES = 20
"""Classes that are told apart: the most frequent ones of the training rows, the others together as the last."""
TREES = 240
LINEAR_CELLS = 20_000_000
"""Rows times features times classes of a linear model, at most."""
FEW_VALUES = 10

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Features, shape (rows, columns - 1), NaN where missing; the target (class codes, or numbers in their own unit);
    and where in the frame each row stood."""

    features: Floats
    target: Floats
    places: npt.NDArray[np.int64]

    def without(self, classes: npt.NDArray[np.int64]) -> Self:
        """The rows of the other classes."""
        left = ~np.isin(self.target, classes)
        return replace(self, features=self.features[left], target=self.target[left], places=self.places[left])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """One target in the three tables. ``columns`` are those of the features; ``classes`` says how many the target has,
    by its declaration, 0 where it is a number."""

    target: Column
    classes: int
    columns: list[Column]
    sample: Task
    train: Task
    holdout: Task

    @property
    def shortage(self) -> str:
        """Why nothing can be learned or told, or nothing."""
        if not self.columns:
            return "there is no other column to predict the target from"
        if min(len(side.target) for side in (self.sample, self.train, self.holdout)) < MIN_TARGETS:
            return f"fewer than {MIN_TARGETS} rows with a target in one of the tables"
        if self.classify and self.classes - len(self.rare) < 2:
            return f"fewer than two classes of the target have {MIN_CELL} rows in training and in the holdout"
        if not self.classify and min(_varied(side.target) for side in (self.train, self.holdout)) < MIN_CELL:
            return f"fewer than {MIN_CELL} rows differ from the target's most frequent value, in training or holdout"
        return ""

    @property
    def classify(self) -> bool:
        """Whether the target has classes."""
        return self.classes > 0

    @property
    def rare(self) -> npt.NDArray[np.int64]:
        """The declared classes that fewer than ten rows have in training or in the holdout, none at all included."""
        sides = (self.train.target, self.holdout.target)
        counts = [np.bincount(side.astype(np.int64), minlength=self.classes) for side in sides if self.classify]
        return np.flatnonzero(np.minimum.reduce(counts) < MIN_CELL) if counts else np.zeros(0, dtype=np.int64)

    @property
    def seen(self) -> "Tasks | None":
        """What a report is told of: nothing is learned or tried of a rare class. None where no released row is left."""
        rare = self.rare
        if not len(rare):
            return self
        sides = {name: getattr(self, name).without(rare) for name in ("sample", "train", "holdout")}
        return replace(self, **sides) if len(sides["sample"].target) else None

    @property
    def measure(self) -> str:
        """The quality that is told of a model on the holdout."""
        return "AUC" if self.classify else "R squared"


Learner = Callable[[Tasks, Task], Floats]
"""Learns from one task and predicts the holdout: chances of shape (rows, MAX_CLASSES) or values of shape (rows,)."""


def limited(frame: pd.DataFrame, *, generator: np.random.Generator) -> pd.DataFrame:
    """At most MAX_ROWS rows by keyed choice; a smaller frame as it is, so that equal tables stay equal."""
    return frame if len(frame) <= MAX_ROWS else choose(frame, MAX_ROWS, generator=generator)


def tasks(domain: Domain, target: str, frames: Sequence[pd.DataFrame]) -> Tasks:
    """One target in the three ``frames``: sample, training rows, holdout."""
    column = domain[target]
    classify = classified(column)
    known = [c for c in domain.modelled if c.name != target]
    wanted = [_wanted(frame, column, classify) for frame in frames]
    classes = _declared(column) if classify else 0
    if classes > MAX_CLASSES:
        wanted, classes = _fewer_classes(wanted), MAX_CLASSES
    sides = [_task(frame, known, w) for frame, w in zip(frames, wanted, strict=True)]
    return Tasks(target=column, classes=classes, columns=known, sample=sides[0], train=sides[1], holdout=sides[2])


def classified(column: Column) -> bool:
    """Whether a target has classes: categories, truth values, or whole numbers of at most ten values."""
    if column.kind in (Kind.FLOAT, Kind.DATETIME):
        return False
    return column.kind is not Kind.INTEGER or column.number(column.high) - column.number(column.low) < FEW_VALUES


def _declared(column: Column) -> int:
    """How many classes a target declares."""
    if column.kind in NUMERIC:
        return int(column.number(column.high) - column.number(column.low)) + 1
    return len(column.categories) or 2


def _varied(target: Floats) -> int:
    """How many rows have another value than the most frequent one."""
    return len(target) - int(np.unique(target, return_counts=True)[1].max())


def _wanted(frame: pd.DataFrame, column: Column, classify: bool) -> Floats:
    if column.kind not in NUMERIC:
        found, size = codes(frame, column)
        return np.where(found == size - 1, np.nan, found.astype(np.float64))
    cells = frame[column.name].to_numpy()
    return np.clip(np.round(cells - column.number(column.low)), 0, FEW_VALUES) if classify else clamped(cells, column)


def _fewer_classes(wanted: list[Floats]) -> list[Floats]:
    """Class numbers below MAX_CLASSES, of a target that declares more."""
    found, counts = np.unique(wanted[1][~np.isnan(wanted[1])], return_counts=True)
    kept = found[np.argsort(-counts, kind="stable")[: MAX_CLASSES - 1]]
    places = {value: float(i) for i, value in enumerate(kept.tolist())}
    last = float(MAX_CLASSES - 1)
    return [np.array([np.nan if np.isnan(v) else places.get(v, last) for v in w.tolist()]) for w in wanted]


def _task(frame: pd.DataFrame, known: list[Column], wanted: Floats) -> Task:
    features = np.column_stack([feature(frame, c) for c in known]) if known else np.zeros((len(frame), 0))
    present = ~np.isnan(wanted)
    return Task(features=features[present], target=wanted[present], places=np.flatnonzero(present))


def boosted(told: Tasks, learn: Task) -> Floats:
    """Gradient boosting of 60 rounds, fewer where there are more than four classes."""
    test = told.holdout
    never = np.isnan(learn.features).all(axis=0)  # scikit-learn cannot cut a column without a cell
    learn, test = (replace(t, features=np.where(never, 0.0, t.features)) for t in (learn, test))
    classes = len(np.unique(learn.target))
    settings = {"max_iter": min(60, TREES // max(1, classes)), "early_stopping": False, "random_state": 0}
    if not told.classify:
        scale = Scale.of(learn.target)
        model = HistGradientBoostingRegressor(**{**settings, "max_iter": 60})
        return scale.back(model.fit(learn.features, scale.to(learn.target)).predict(test.features))
    if classes < 2:
        return _certain(learn, test)
    return _chances(HistGradientBoostingClassifier(**settings).fit(learn.features, learn.target), test.features)


def linear(told: Tasks, learn: Task) -> Floats:
    """Logistic regression, or ridge regression, on indicator columns that are scaled alike."""
    classes = len(np.unique(learn.target)) if told.classify else 1
    if told.classify and classes < 2:
        return _certain(learn, told.holdout)
    ours, theirs = (indicators(told.columns, t.features, learn.features) for t in (learn, told.holdout))
    if ours.shape[1] == 0:
        return _blind(told, learn)
    design = Scale.of(ours)
    rows = max(MIN_TARGETS, LINEAR_CELLS // (ours.shape[1] * max(1, classes - 1)))
    kept = np.linspace(0, len(ours) - 1, min(rows, len(ours))).astype(int)  # spread out, should the rows have an order
    first, target = design.to(ours)[kept], learn.target[kept]
    if told.classify and len(np.unique(target)) < 2:
        return _certain(learn, told.holdout)
    if told.classify:
        return _chances(LogisticRegression(max_iter=100, tol=1e-3).fit(first, target), design.to(theirs))
    scale = Scale.of(learn.target)
    return scale.back(Ridge(alpha=1.0).fit(first, scale.to(target)).predict(design.to(theirs)))


LEARNERS: dict[str, Learner] = {"boosted": boosted, "linear": linear}


def quality(told: Tasks, predicted: Floats) -> float:
    """Area under the ROC curve, one class against the others, averaged over the classes by their share; R squared."""
    target = told.holdout.target
    if not told.classify:
        scale = Scale.of(target)
        return float(r2_score(scale.to(target), scale.to(predicted)))
    areas, weights = [], []
    for value, count in zip(*np.unique(target, return_counts=True), strict=True):
        areas.append(roc_auc_score(target == value, predicted[:, int(value)]))
        weights.append(count)
    return float(np.average(areas, weights=weights))


def influence(told: Tasks, predicted: Floats) -> Floats:
    """What each row of the holdout adds to `quality`, the model held fixed, shape (rows,)."""
    target = told.holdout.target
    if told.classify:
        return areas_influence(target, predicted)
    scale = Scale.of(target)
    return fit_influence(scale.to(target), scale.to(predicted))


def _chances(model: object, features: Floats) -> Floats:
    out = np.zeros((len(features), MAX_CLASSES))
    out[:, model.classes_.astype(int)] = model.predict_proba(features)  # type: ignore[attr-defined]
    return out


def _blind(told: Tasks, learn: Task) -> Floats:
    """What a table teaches whose features have no cell: the share of every class, or the mean."""
    rows = len(told.holdout.target)
    if not told.classify:
        scale = Scale.of(learn.target)
        return scale.back(np.zeros(rows))
    shares = np.bincount(learn.target.astype(np.int64), minlength=MAX_CLASSES) / len(learn.target)
    return np.tile(shares, (rows, 1))


def _certain(learn: Task, test: Task) -> Floats:
    """What a table of one class teaches."""
    out = np.zeros((len(test.target), MAX_CLASSES))
    out[:, int(learn.target[0])] = 1.0
    return out
