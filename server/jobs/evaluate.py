"""Evaluate: attack and measure one canonical sample beside the private rows, and draw an accounted verdict about it.

Spec: the paths ``train``, ``holdout`` and ``sample``, and what attackers know, look for and join as `Attacker.spec`
says it: ``domain``, and where they are there ``declared`` and ``joins``. The secret keys all randomness.
Writes ``report.json`` (Report.to_dict()), and before it ``verdict.json`` where there is a margin. Result: ``sha256``
and ``bytes`` of the report, ``sample_sha256`` of the very bytes that were judged, ``seconds``.

With ``plan`` (Plan.to_json()), ``rules`` (concrete ones, Rule.to_dict()) and ``journal`` (a path) the report has the
noisy margin of these rules too, which alone decides. Its noise is the operating system's, and journalled before it is
used, so that the same attempt run again decides the same. The exact margin leaves in no form. It is drawn and written
down (``margin``: Score.to_dict(), ``sample_sha256``) before an exact metric looks at a row, and from then on nothing
that metrics do changes what is decided: one that fails tells nothing, and what kills the worker leaves the file behind.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dp_models.base import Noise, Plan, VerdictShare
from dp_models.mechanisms.attempt import AttemptNoise
from dp_models.mechanisms.journal import Journal
from evaluation.base import Comparison
from evaluation.margin import margin
from evaluation.run import compare, load
from server.jobs import worker
from server.jobs.keys import Label, subkey
from server.jobs.worker import Progress
from synthgate.accounted import Z95, convictable
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition
from synthgate.policy import MARGIN, Rule
from synthgate.report import Better, Score

REPORT, VERDICT = "report.json", "verdict.json"


def evaluate(spec: Mapping[str, Any], *, folder: Path, secret: bytes, progress: Progress) -> dict[str, Any]:
    """Write the report; deciding on it is the gate's work. Raises FailedPrecondition where other noise was drawn for a
    verdict than the plan's, or a replay draws something else."""
    start, seed = time.perf_counter(), subkey(secret, Label.EVALUATION)
    paths = (Path(spec[name]) for name in ("train", "holdout", "sample"))
    progress("reading")
    declared = Domain.from_dict(spec["declared"]) if spec.get("declared") else None
    joins = tuple(spec.get("joins", ()))
    comparison = load(Domain.from_dict(spec["domain"]), *paths, joins=joins, declared=declared)
    judged, verdict = hashlib.sha256(Path(spec["sample"]).read_bytes()).hexdigest(), tuple[Score, ...]()
    if "plan" in spec:
        progress("verdict")
        verdict = (_verdict(comparison, spec, seed=seed, secret=secret),)
        worker.write_json(folder / VERDICT, {"margin": verdict[0].to_dict(), "sample_sha256": judged})
    report = compare(comparison, seed=seed, progress=progress, tolerant=bool(verdict))
    worker.write_json(folder / REPORT, replace(report, scores=(*verdict, *report.scores)).to_dict())
    content = (folder / REPORT).read_bytes()
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "sample_sha256": judged,
        "seconds": time.perf_counter() - start,
    }


def noisy(exact: int, share: VerdictShare, noise: Noise) -> Score:
    """The margin with the noise that the plan paid for. Its pessimistic end is at most 0 where the release passes."""
    value = int(noise.discrete_gaussian(np.array([exact]), sigma=share.sigma, sensitivity=1)[0])
    reach = Z95 * share.sigma
    return Score(
        name=MARGIN, value=value, low=value - reach, high=value + reach, better=Better.LOWER,
        note=f"in privacy units, with noise of {share.sigma:g}; the release passes where the upper end is at most 0",
    )  # fmt: skip


def _verdict(comparison: Comparison, spec: Mapping[str, Any], *, seed: bytes, secret: bytes) -> Score:
    """The noisy margin, drawn once for an attempt and its replays. Raises FailedPrecondition."""
    plan, rules = Plan.from_json(spec["plan"]), tuple(Rule(**rule) for rule in spec["rules"])
    if plan.verdict is None:
        raise FailedPrecondition("the plan leaves nothing for an accounted verdict; ask for a new release")
    exact = margin(comparison, rules, plan.sizes, sigma=plan.verdict.sigma, seed=seed)
    with Journal(Path(spec["journal"]), subkey(secret, Label.VERDICT_JOURNAL)) as journal:
        noise = AttemptNoise(journal, subkey(secret, Label.VERDICT_STREAMS))
        found = noisy(exact.value, plan.verdict, noise)
        noise.finish()
    if noise.event != plan.verdict.event:
        raise FailedPrecondition("the verdict drew other noise than its plan priced; it was thrown away")
    told = convictable(rules, plan.sizes, plan.verdict.sigma, exact.repeats)
    return replace(found, note="; ".join(filter(None, (found.note, told))))


if __name__ == "__main__":
    worker.main(evaluate)
