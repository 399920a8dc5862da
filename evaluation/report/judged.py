"""How a verdict came about, and what the gateway says of itself: the configuration that a report's sentences follow."""

import math
from dataclasses import dataclass

from synthgate.accounted import Z95
from synthgate.policy import MARGIN, Outcome, Verdict
from synthgate.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Whether one noisy margin decided all rules (else each rule its exact score), which is told by the verdict and by
    nothing else: a sandbox has accounted verdicts too. ``outcome`` is the margin's, ``sigma`` the scale of its noise in
    units, NaN where there is none."""

    accounted: bool
    outcome: Outcome | None = None
    sigma: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What no report, verdict or statement tells: whether the engine is one that the gateway's own tests attack
    (``audited``), and the seconds of the tick on which releases are published (None where that is not known)."""

    audited: bool = False
    tick_s: float | None = None


UNKNOWN = House()


def judged(verdict: Verdict, report: Report) -> Judged:
    """How ``verdict`` came about; ``report`` holds the exact scores."""
    found = next((f for f in verdict.findings if f.rule.score == MARGIN), None)
    score = report.get(MARGIN)
    if found is None:
        return Judged(accounted=False)
    known = score is not None and score.usable
    sigma = (score.high - score.low) / (2 * Z95) if score is not None and known else math.nan
    return Judged(accounted=True, outcome=found.outcome, sigma=sigma)
