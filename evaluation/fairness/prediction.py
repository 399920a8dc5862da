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

Every target, grouping and class is searched by counting; what the scores then say of the worst is fairlearn's, whose
cost grows with every group.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from fairlearn.metrics import MetricFrame, demographic_parity_difference, equal_opportunity_difference
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.fairness.groups import Grouping, groupings
from evaluation.held_back import coarse, part
from evaluation.risk.attack import untold
from evaluation.utility.learners import Tasks, boosted, limited, tasks
from evaluation.utility.shown import as_shown
from synthgate.domain import Kind
from synthgate.report import DECIMALS, Score

MIN_GROUP = 100
MIN_FAVOURED = 50
MAX_CLASSES = 5

GAP, PARITY, OPPORTUNITY = "fairness.tstr_gap", "fairness.demographic_parity", "fairness.equal_opportunity"
NAMES = (GAP, PARITY, OPPORTUNITY)

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One score of one target by one grouping, for tested rows in large groups: who has the favourable class and who is
    predicted it by either model, or the losses of both; ``excess`` is what counting found, of ``group`` or between all,
    ``shown`` the same of counts rounded to ten.
    """

    what: str
    excess: float
    shown: float
    places: Codes
    models: tuple[Any, Any]
    truth: Any = None
    group: int = 0


Looks = dict[str, list[Look]]
"""By name of score: whatever was looked at. The worst counts, and the worst of what is shown is shown."""


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
        looks: Looks = {}
        seen: Looks = {}
        models: list[dict[str, Any]] = []
        shortage = ""
        for target in domain.targets:
            told = tasks(domain, target, frames)
            if told.shortage:
                shortage = shortage or f"target {target}: {told.shortage}"
                continue
            models += _compared(told, groupings(domain, (frames[2],), without=target), looks, seen)
        scores = tuple(_score(name, looks.get(name, []), seen.get(name, []), shortage) for name in NAMES)
        shown = {s.name: max((look.shown for look in seen.get(s.name, [])), default=None) for s in scores}
        return Findings(scores=as_shown(scores, shown), details={"models": models})


def _compared(told: Tasks, grouped: list[Grouping], looks: Looks, seen: Looks) -> list[dict[str, Any]]:
    """One target by all groupings, for the details. What rules read goes to ``looks``, what is shown to ``seen``: other
    models where the target has classes of which nothing is told."""
    entries: list[dict[str, Any]] = []
    for side, into in ((told, (looks, seen)),) if not len(told.rare) else ((told, (looks,)), (told.seen, (seen,))):
        found: Looks = {}
        if side is not None:
            with threadpool_limits(limits=1):
                predicted = (boosted(side, side.sample), boosted(side, side.train))
            entries = [_compare(side, predicted, grouping, found) for grouping in grouped]
        for name, own in found.items():
            for each in into:
                each.setdefault(name, []).extend(own)
    return entries if told.seen is not None else []


def _compare(told: Tasks, predicted: tuple[Floats, Floats], grouping: Grouping, looks: Looks) -> dict[str, Any]:
    """One target by one grouping, for the details; the worst of it is put in ``looks``."""
    places = grouping.places[0][told.holdout.places]
    entry: dict[str, Any] = {"target": told.target.name, "columns": list(grouping.columns), "groups": []}
    large = _large(places, MIN_GROUP)
    if len(large):
        inside = np.isin(places, large)
        losses = tuple(_losses(told, p)[inside] for p in predicted)
        means = [rates(loss, places[inside]) for loss in losses]
        rounded = [_rounded(mean, places[inside], of=len(places), counted=told.classify) for mean in means]
        entry["groups"] = [[grouping.labels[g], rounded[0][g], rounded[1][g]] for g in means[0]]
        worst = max(means[0], key=lambda g: means[0][g] - means[1][g])
        gap = means[0][worst] - means[1][worst]
        seen = {g: rounded[0][g] - rounded[1][g] for g in means[0]}
        told_worst = max(seen, key=lambda g: seen[g])
        what = f"{told.target.name} of {grouping.labels[told_worst]}"
        look = Look(
            what=what,
            excess=gap,
            shown=seen[told_worst],
            places=places[inside],
            models=(losses[0], losses[1]),
            group=worst,
        )
        looks.setdefault(GAP, []).append(look)
    what = f"{told.target.name} by {', '.join(grouping.columns)}"
    for name in (PARITY, OPPORTUNITY):
        found = [_differ(name, what, truth, pair, places) for truth, pair in _favoured(told, predicted)]
        told_of = [f for f in found if f is not None]
        if told_of:
            looks.setdefault(name, []).extend(look for look, _, _ in told_of)
            _, ours, theirs = max(told_of, key=lambda f: f[0].shown)
            entry[name.partition(".")[2]] = [ours, theirs]
    return entry


def _differ(
    name: str, what: str, truth: Codes, predicted: tuple[Codes, Codes], places: Codes
) -> tuple[Look, float, float] | None:
    """A look, and the largest difference of rates under both models as it is shown, among those who count; None with
    fewer than two groups."""
    counted = truth == 1 if name == OPPORTUNITY else np.ones(len(truth), dtype=bool)
    large = _large(places[counted], MIN_FAVOURED if name == OPPORTUNITY else MIN_GROUP)
    if len(large) < 2:
        return None
    inside = np.isin(places, large)
    chosen = inside & counted
    means = [rates(p[chosen].astype(np.float64), places[chosen]) for p in predicted]
    ours, theirs = (spread(mean) for mean in means)
    seen = [round(spread(_rounded(mean, places[chosen], of=int(counted.sum()))), DECIMALS) for mean in means]
    models = (predicted[0][inside], predicted[1][inside])
    look = Look(
        what=what,
        excess=ours - theirs,
        shown=seen[0] - seen[1],
        places=places[inside],
        models=models,
        truth=truth[inside],
    )
    return look, seen[0], seen[1]


def _rounded(means: dict[int, float], places: Codes, *, of: int, counted: bool = True) -> dict[int, float]:
    """Rates of groups as they are shown: of counts and sizes (among ``of``) rounded to ten, or means
    of what is not ``counted``."""
    sizes = dict(zip(*(found.tolist() for found in np.unique(places, return_counts=True)), strict=True))
    return {
        group: part(round(mean * sizes[group]), sizes[group], of=of) if counted else coarse(mean, sizes[group])
        for group, mean in means.items()
    }


def rates(values: Floats, places: Codes) -> dict[int, float]:
    """The mean of every group."""
    found, where = np.unique(places, return_inverse=True)
    means = np.bincount(where, weights=values) / np.bincount(where)
    return {int(group): float(mean) for group, mean in zip(found, means, strict=True)}


def spread(by_group: dict[int, float]) -> float:
    """The largest difference of two groups."""
    return max(by_group.values()) - min(by_group.values())


def _losses(told: Tasks, predicted: Floats) -> Floats:
    """Of every tested row: 1 where the class is wrong, or the error as a share of the declared range."""
    if not told.classify:
        low, high = (told.target.number(bound) for bound in (told.target.low, told.target.high))
        return np.asarray(np.abs(predicted - told.holdout.target) / (high - low), dtype=np.float64)
    wrong: Floats = (predicted.argmax(axis=1) != told.holdout.target).astype(np.float64)
    return wrong


def _favoured(told: Tasks, predicted: tuple[Floats, Floats]) -> Iterator[tuple[Codes, tuple[Codes, Codes]]]:
    """Who has a favourable class, and who is predicted it by either model; once for each such class."""
    target = told.holdout.target
    ours, theirs = predicted
    if not told.classify:
        bound = float(told.train.target.mean())
        yield (target > bound).astype(int), ((ours > bound).astype(int), (theirs > bound).astype(int))
        return
    found, counts = np.unique(target, return_counts=True)
    classes = found[np.argsort(-counts, kind="stable")[:MAX_CLASSES]]
    if told.target.kind is Kind.BOOLEAN or len(told.target.categories) == 2:
        classes = np.array([1.0])
    for value in classes.tolist():
        pair = ((ours.argmax(axis=1) == value).astype(int), (theirs.argmax(axis=1) == value).astype(int))
        yield (target == value).astype(int), pair


def _large(places: Codes, least: int) -> Codes:
    found, counts = np.unique(places, return_counts=True)
    return np.asarray(found[counts >= least], dtype=np.int64)


def told_by_fairlearn(name: str, look: Look) -> float:
    """What fairlearn says of a look: the first model's figure less the second's."""
    if name == GAP:
        frames = [MetricFrame(metrics=_mean, y_true=m, y_pred=m, sensitive_features=look.places) for m in look.models]
        return float(frames[0].by_group[look.group] - frames[1].by_group[look.group])
    rate = demographic_parity_difference if name == PARITY else equal_opportunity_difference
    ours, theirs = (float(rate(look.truth, m, sensitive_features=look.places)) for m in look.models)
    return ours - theirs


def _mean(losses: Floats, _: Floats) -> float:
    return float(np.mean(losses))


def _score(name: str, found: list[Look], shown: list[Look], shortage: str) -> Score:
    if shortage or not found:
        return untold(name, shortage or "too few protected groups are large enough in the holdout")
    worst, seen = max(found, key=lambda look: look.excess), max(shown, key=lambda look: look.shown, default=None)
    note = f"the worst of {len(shown)}: {seen.what}" if seen else ""
    return exact(name, told_by_fairlearn(name, worst), note=note)
