"""Train on synthetic, test on real: does a model learned from the sample predict the targets of people it never saw?

C. Esteban, S. Hyland, G. Rätsch, Real-valued (medical) time series generation with recurrent conditional GANs, arXiv
1706.02633. Of two models, both tried on the holdout, one learns from the sample, the other from the training rows;
twice, by gradient boosting and by a linear model (logistic or ridge regression), and for every declared target
(`Domain.targets`). Classification (categorical, boolean, or an integer of at most ten values): area under the ROC
curve, one class against the others, averaged over the classes by their share. Regression: R squared.

The details hold ``intervals`` of quality and gap by each learner: what other people in the holdout would show of the
same two models (`evaluation.utility.ends`). The worst gap has none: it is a largest one, and which it is hangs on the
holdout. They also hold ``target``, ``measure``, ``synthetic`` and ``real`` of the first target under boosting, and
under ``models`` the same of every target and learner.
"""

from math import isnan, nan
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from evaluation.base import Comparison, Findings, Units
from evaluation.exact import exact
from evaluation.held_back import MIN_COLUMNS, places
from evaluation.risk.attack import untold
from evaluation.risk.intervals import Interval
from evaluation.utility import ends
from evaluation.utility.learners import LEARNERS, Tasks, influence, limited, quality, tasks
from evaluation.utility.shown import as_shown
from synthgate.report import DECIMALS, Better, Score

WORST = "utility.tstr_gap_worst"
FEWER = 2
"""Decimals that are shown where fewer than ten rows of holdout or training have one of the declared classes, or none:
an area's digits, and the width of its interval, tell how many. There is no interval then, and what is shown is of other
models than the score is, which neither learn of these rows nor are tried on them."""


class TrainOnSynthetic:
    """``utility.tstr``, ``utility.tstr_gap`` (train on real minus it), both also ``.._linear``, of the first target;
    ``utility.tstr_gap_worst`` over targets and learners. None without a target."""

    name = "utility.tstr"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Fixed settings. The figures are exact for this holdout: both ends equal the value, and rules read that."""
        domain = comparison.domain
        if domain.target is None:
            return Findings(scores=())
        sides = (comparison.sample, comparison.train, comparison.holdout)
        frames = [limited(frame, generator=generator) for frame in sides]
        models: list[dict[str, Any]] = []
        shortages: dict[str, str] = {}
        intervals: dict[str, Interval | None] = {}
        units, smaller = _units(comparison, frames[2]), min(len(frame) for frame in frames[1:])
        with threadpool_limits(limits=1):  # on a busy machine OpenMP's threads wait for each other, not for work
            for target in domain.targets:
                told = tasks(domain, target, frames)
                if told.shortage:
                    shortages[target] = told.shortage
                    continue
                for learner in LEARNERS:
                    compared, around = _compared(told, learner, units)
                    models.append(compared)
                    intervals |= around if target == domain.target else {}
        scores: list[Score] = []
        for learner in LEARNERS:
            found = next((m for m in models if m["target"] == domain.target and m["learner"] == learner), None)
            scores += _scores(learner, found, shortages.get(domain.target, ""))
        scores.append(_worst(models, shortages))
        least = min((m["decimals"] for m in models), default=DECIMALS)
        told_of = [_shown(m) for m in models]
        first = next((m for m in told_of if m["target"] == domain.target), None)
        qualities = {name: pair for name, pair in intervals.items() if not name.endswith("_gap")}
        reach = ends.told(intervals, rows=smaller) | ends.told(qualities, rows=smaller, most=1.0)
        details = {} if first is None else {**first, "models": told_of, "intervals": reach}
        seen = _seen(models, domain.target)
        coarser = {s.name: round(seen[s.name], least) for s in scores if s.usable and least < DECIMALS}
        return Findings(scores=as_shown(scores, coarser), details=details)


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    """One pair of models as the details tell it."""
    pair = zip(("synthetic", "real"), found["seen"], strict=True)
    qualities = {side: None if isnan(quality) else round(quality, found["decimals"]) for side, quality in pair}
    return {name: value for name, value in found.items() if name not in ("decimals", "seen")} | qualities


def _seen(models: list[dict[str, Any]], target: str) -> dict[str, float]:
    """What stands behind the figures that are shown, by score."""
    gaps = [real - synthetic for synthetic, real in (found["seen"] for found in models)]
    out = {WORST: max((gap for gap in gaps if not isnan(gap)), default=nan)}
    for found, gap in zip(models, gaps, strict=True):
        if found["target"] == target:
            name = _name(found["learner"])
            out |= {name: found["seen"][0], f"{name}_gap": gap}
    return out


def _units(comparison: Comparison, limited_to: pd.DataFrame) -> Units | None:
    """The unit of every row of the holdout that models are tried on; None where rows of units were left out."""
    units = comparison.holdout_units
    if len(limited_to) == len(units):
        return units
    alone = comparison.units[1] == len(units)
    return np.arange(len(limited_to), dtype=np.int64) if alone else None


def _compared(told: Tasks, learner: str, units: Units | None) -> tuple[dict[str, Any], dict[str, Interval | None]]:
    """Both models' qualities, and the intervals around the first's and around what it lacks."""
    predicted = [LEARNERS[learner](told, side) for side in (told.sample, told.train)]
    synthetic, real = (quality(told, p) for p in predicted)
    found: dict[str, Any] = {"target": told.target.name, "learner": learner, "measure": told.measure}
    sides, few, seen = (told.train.target, told.holdout.target), len(told.rare) > 0, (synthetic, real)
    if few:
        left = told.seen
        seen = (nan, nan) if left is None else _qualities(left, learner)
    decimals = FEWER if few else DECIMALS
    small = len(told.columns) + 1 < MIN_COLUMNS
    if small:
        decimals = min(decimals, places(min(map(len, sides))))
    found |= {"synthetic": synthetic, "real": real, "decimals": decimals, "seen": seen}
    if units is None or few or small:
        return found, {}
    name, units = _name(learner), units[told.holdout.places]
    ours, theirs = (influence(told, p) for p in predicted)
    around = {
        name: ends.ends(synthetic, (ours, units)),
        f"{name}_gap": ends.ends(real - synthetic, (theirs - ours, units)),
    }
    return found, around


def _qualities(told: Tasks, learner: str) -> tuple[float, float]:
    """How good a model learned from the sample is, and one learned from the training rows."""
    ours, theirs = (quality(told, LEARNERS[learner](told, side)) for side in (told.sample, told.train))
    return ours, theirs


def _name(learner: str) -> str:
    return "utility.tstr" if learner == "boosted" else f"utility.tstr_{learner}"


def _scores(learner: str, found: dict[str, Any] | None, reason: str) -> tuple[Score, Score]:
    name = _name(learner)
    if found is None:
        return untold(name, reason, better=Better.HIGHER), untold(f"{name}_gap", reason)
    synthetic, real = found["synthetic"], found["real"]
    ours, theirs = ("–" if isnan(quality) else f"{quality:.{found['decimals']}f}" for quality in found["seen"])
    note = f"{found['measure']} on the holdout: {ours} learned from the sample, {theirs} from training rows"
    return exact(name, synthetic, better=Better.HIGHER, note=note), exact(f"{name}_gap", real - synthetic, note=note)


def _worst(models: list[dict[str, Any]], shortages: dict[str, str]) -> Score:
    if shortages:
        return untold(WORST, f"target {next(iter(shortages))}: {next(iter(shortages.values()))}")
    worst = max(model["real"] - model["synthetic"] for model in models)
    told = [model for model in models if not isnan(model["seen"][0])]
    first = max(told, key=lambda model: model["seen"][1] - model["seen"][0], default=None)
    which = f"; {first['measure']} of {first['target']}, {first['learner']}" if first else ""
    return exact(WORST, worst, note=f"of {len(models)} pairs of models{which}")
