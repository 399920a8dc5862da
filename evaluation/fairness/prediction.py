"""Prediction by groups: whom does a model learned from the release serve worse than one learned from real rows?

Two models by gradient boosting for every declared target, one from the sample, one from the training rows, both tried
on the holdout (as in `evaluation.utility.tstr`), looked at by protected groups with fairlearn:

    fairness.tstr_gap             how much more often the first is wrong about a group than the second, at most over
                                  groups; for a numeric target the mean absolute error as a share of the declared range
    fairness.demographic_parity   the largest difference between groups of being predicted the favourable class, by the
                                  first model, less that by the second
    fairness.equal_opportunity    the same among those who have the favourable class

All three are differences from what real rows teach: 0 where the release teaches the same, negative where it is fairer.
The favourable class is ``true``, or the second of two declared categories; of more, the five most frequent in turn, and
the worst counts.
For a numeric target it is more than the training rows' mean. Groups count with 100 rows of the holdout, for equal
opportunity with 50 that have the class. Details: ``models``, with what is above by target and grouping.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from fairlearn.metrics import MetricFrame, demographic_parity_difference, equal_opportunity_difference
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.fairness.groups import Grouping, groupings
from evaluation.risk.attack import untold
from evaluation.utility.learners import Tasks, boosted, limited, tasks
from synthgate.domain import Kind
from synthgate.report import Score

MIN_GROUP = 100
MIN_FAVOURED = 50
MAX_GROUPINGS = 20
MAX_CLASSES = 5

NAMES = ("fairness.tstr_gap", "fairness.demographic_parity", "fairness.equal_opportunity")

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Found = dict[str, dict[str, float]]


class GroupPrediction:
    """The scores ``fairness.tstr_gap``, ``.demographic_parity`` and ``.equal_opportunity``. None without a protected
    column or without a target."""

    name = "fairness.prediction"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact for this holdout: both ends equal the value."""
        domain = comparison.domain
        if not domain.protected or domain.target is None:
            return Findings(scores=())
        sides = (comparison.sample, comparison.train, comparison.holdout)
        frames = [limited(frame, generator=generator) for frame in sides]
        found: Found = {name: {} for name in NAMES}
        models: list[dict[str, Any]] = []
        shortage = ""
        for target in domain.targets:
            told = tasks(domain, target, frames)
            if told.shortage:
                shortage = shortage or f"target {target}: {told.shortage}"
                continue
            with threadpool_limits(limits=1):
                predicted = [boosted(told, side) for side in (told.sample, told.train)]
            grouped = groupings(domain, (frames[2],), without=target)[:MAX_GROUPINGS]
            models += [_compare(told, predicted, grouping, found) for grouping in grouped]
        scores = tuple(_score(name, found[name], shortage) for name in NAMES)
        return Findings(scores=scores, details={"models": models})


def _compare(told: Tasks, predicted: list[Floats], grouping: Grouping, found: Found) -> dict[str, Any]:
    """One target by one grouping; what can be told is also put in ``found``."""
    places = grouping.places[0][told.holdout.places]
    what = f"{told.target.name} by {', '.join(grouping.columns)}"
    entry: dict[str, Any] = {"target": told.target.name, "columns": list(grouping.columns), "groups": []}
    losses = [_losses(told, p) for p in predicted]
    large = _large(places, MIN_GROUP)
    if len(large):
        inside = np.isin(places, large)
        means = [_by_group(loss[inside], places[inside]) for loss in losses]
        entry["groups"] = [[grouping.labels[g], round(means[0][g], 6), round(means[1][g], 6)] for g in large.tolist()]
        for group in large.tolist():
            found[NAMES[0]][f"{told.target.name} of {grouping.labels[group]}"] = means[0][group] - means[1][group]
    for name, least, rate in (
        (NAMES[1], MIN_GROUP, demographic_parity_difference),
        (NAMES[2], MIN_FAVOURED, equal_opportunity_difference),
    ):
        told_of = [_differences(v, places, least, rate, name == NAMES[2]) for v in _favoured(told, predicted)]
        pairs = [pair for pair in told_of if pair is not None]
        if pairs:
            worst = max(pairs, key=lambda pair: pair[0] - pair[1])
            entry[name.partition(".")[2]] = [round(x, 6) for x in worst]
            found[name][what] = worst[0] - worst[1]
    return entry


def _losses(told: Tasks, predicted: Floats) -> Floats:
    """Of every tested row: 1 where the class is wrong, or the error as a share of the declared range."""
    if not told.classify:
        return np.asarray(np.abs(predicted - told.holdout.target), dtype=np.float64)
    wrong: Floats = (predicted.argmax(axis=1) != told.holdout.target).astype(np.float64)
    return wrong


def _favoured(told: Tasks, predicted: list[Floats]) -> Iterator[tuple[Codes, list[Codes]]]:
    """Who has a favourable class, and who is predicted it by either model; once for each such class."""
    target = told.holdout.target
    if not told.classify:
        bound = float(told.train.target.mean())
        yield (target > bound).astype(int), [(p > bound).astype(int) for p in predicted]
        return
    found, counts = np.unique(target, return_counts=True)
    classes = found[np.argsort(-counts, kind="stable")[:MAX_CLASSES]]
    if told.target.kind is Kind.BOOLEAN or len(told.target.categories) == 2:
        classes = np.array([1.0])
    for value in classes.tolist():
        yield (target == value).astype(int), [(p.argmax(axis=1) == value).astype(int) for p in predicted]


def _differences(
    favoured: tuple[Codes, list[Codes]], places: Codes, least: int, rate: Any, favoured_alone: bool
) -> tuple[float, float] | None:
    """A rate's largest difference between groups under both models; None where fewer than two groups are large."""
    truth, predicted = favoured
    large = _large(places[truth == 1] if favoured_alone else places, least)
    if len(large) < 2:
        return None
    inside = np.isin(places, large)
    ours, theirs = (float(rate(truth[inside], p[inside], sensitive_features=places[inside])) for p in predicted)
    return ours, theirs


def _large(places: Codes, least: int) -> Codes:
    found, counts = np.unique(places, return_counts=True)
    return np.asarray(found[counts >= least], dtype=np.int64)


def _by_group(losses: Floats, places: Codes) -> dict[int, float]:
    frame = MetricFrame(metrics=_mean, y_true=losses, y_pred=losses, sensitive_features=places)
    return {int(group): float(value) for group, value in frame.by_group.items()}


def _mean(losses: Floats, _: Floats) -> float:
    return float(np.mean(losses))


def _score(name: str, found: dict[str, float], shortage: str) -> Score:
    if shortage or not found:
        return untold(name, shortage or "the holdout has no two protected groups that are large enough")
    worst = max(found, key=lambda what: found[what])
    return exact(name, found[worst], note=f"of {len(found)}; {worst}")
