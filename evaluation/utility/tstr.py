"""Train on synthetic, test on real: does a model learned from the sample predict the targets of people it never saw?

C. Esteban, S. Hyland, G. Rätsch, Real-valued (medical) time series generation with recurrent conditional GANs, arXiv
1706.02633. Of two models, both tried on the holdout, one learns from the sample, the other from the training rows;
twice, by gradient boosting and by a linear model (logistic or ridge regression), and for every declared target
(`Domain.targets`). Classification (categorical, boolean, or an integer of at most ten values): area under the ROC
curve, one class against the others, averaged over the classes by their share. Regression: R squared.

The details hold ``target``, ``measure``, ``synthetic`` and ``real`` of the first target under boosting, and under
``models`` the same of every target and learner.
"""

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.risk.attack import untold
from evaluation.utility.learners import LEARNERS, Tasks, limited, quality, tasks
from synthgate.report import Better, Score

WORST = "utility.tstr_gap_worst"


class TrainOnSynthetic:
    """``utility.tstr``, ``utility.tstr_gap`` (train on real minus it), both also ``.._linear``, of the first target;
    ``utility.tstr_gap_worst`` over targets and learners. None without a target."""

    name = "utility.tstr"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Fixed settings. The figures are exact for this holdout: both ends equal the value."""
        domain = comparison.domain
        if domain.target is None:
            return Findings(scores=())
        sides = (comparison.sample, comparison.train, comparison.holdout)
        frames = [limited(frame, generator=generator) for frame in sides]
        models: list[dict[str, Any]] = []
        shortages: dict[str, str] = {}
        with threadpool_limits(limits=1):  # on a busy machine OpenMP's threads wait for each other, not for work
            for target in domain.targets:
                told = tasks(domain, target, frames)
                if told.shortage:
                    shortages[target] = told.shortage
                else:
                    models += [_compared(told, learner) for learner in LEARNERS]
        scores: list[Score] = []
        for learner in LEARNERS:
            found = next((m for m in models if m["target"] == domain.target and m["learner"] == learner), None)
            scores += _scores(learner, found, shortages.get(domain.target, ""))
        scores.append(_worst(models, shortages))
        first = next((m for m in models if m["target"] == domain.target), None)
        details = {} if first is None else {**first, "models": models}
        return Findings(scores=tuple(scores), details=details)


def _compared(told: Tasks, learner: str) -> dict[str, Any]:
    synthetic, real = (quality(told, LEARNERS[learner](told, side)) for side in (told.sample, told.train))
    found = {"target": told.target.name, "learner": learner, "measure": told.measure}
    return {**found, "synthetic": synthetic, "real": real}


def _scores(learner: str, found: dict[str, Any] | None, reason: str) -> tuple[Score, Score]:
    name = "utility.tstr" if learner == "boosted" else f"utility.tstr_{learner}"
    if found is None:
        return untold(name, reason, better=Better.HIGHER), untold(f"{name}_gap", reason)
    synthetic, real = found["synthetic"], found["real"]
    note = f"{found['measure']} on the holdout: {synthetic:.4f} learned from the sample, {real:.4f} from training rows"
    return exact(name, synthetic, better=Better.HIGHER, note=note), exact(f"{name}_gap", real - synthetic, note=note)


def _worst(models: list[dict[str, Any]], shortages: dict[str, str]) -> Score:
    if shortages:
        return untold(WORST, f"target {next(iter(shortages))}: {next(iter(shortages.values()))}")
    worst = max(models, key=lambda m: m["real"] - m["synthetic"])
    note = f"of {len(models)} pairs of models; {worst['measure']} of {worst['target']}, {worst['learner']}"
    return exact(WORST, worst["real"] - worst["synthetic"], note=note)
