"""What the membership attacks reached, beside the most that any attack can reach under the release's epsilon.

The ceiling (`evaluation.risk.ceiling`) is that of the statement's epsilon and delta, between a table with one unit and
the table with empty records in its place: trained units and held-out ones differ by just that, for each is dealt by a
key that no other unit has a part in. It holds on average over fresh noise; a report has seen one draw. No rule reads
it: a figure above it is a question to whoever keeps the engine, not a verdict.
"""

import math
from collections.abc import Iterator

from evaluation.report import words
from evaluation.report.document import Ceiling, Membership
from evaluation.risk.ceiling import auc_ceiling, ceiling
from evaluation.risk.intervals import wilson
from synthgate.policy import MEMBERSHIP
from synthgate.report import DECIMALS, Report, Score
from synthgate.statement import PrivacyStatement, Scope

DETAILS = "risk.membership"
WITHIN, ABOVE, BEYOND = "within the ceiling", "above it, chance may explain it", "beyond it: investigate"
STATES = {WITHIN: "good", ABOVE: "none", BEYOND: "bad"}
UNTOLD = "could not be told"


def membership(report: Report, statement: PrivacyStatement) -> Membership:
    """Both attacks beside their ceilings. Without an attack, or without a promise, there are no lines."""
    scores = [score for name in MEMBERSHIP if (score := report.get(name)) is not None]
    if statement.scope is Scope.NONE:
        return Membership(about="Nothing is promised, so there is no ceiling.", summary="", lines=())
    lines = tuple(_lines(report, scores, statement))
    return Membership(about=_about(statement), summary=_summary(lines), lines=lines)


def _lines(report: Report, scores: list[Score], statement: PrivacyStatement) -> Iterator[Ceiling]:
    told = report.details.get(DETAILS, {})
    rate, others = told.get("fpr", 0.01), told.get("attacks", 0)
    for score in scores:
        area = not score.name.endswith("_tpr")
        most = auc_ceiling(statement.epsilon, statement.delta)
        allowed = most
        if not area:
            most = ceiling(statement.epsilon, statement.delta, rate)
            # the strangers who pass the threshold are a sample as well, so their true rate may be a little above
            allowed = ceiling(statement.epsilon, statement.delta, max(rate, wilson(int(rate * others), others)[1]))
        label = f"{words.label(score.name)}, area under the curve" if area else words.label(score.name)
        if not score.usable:
            yield Ceiling(name=score.name, label=label, value=None, low=None, high=None, most=most, finding=UNTOLD,
                          state="none")  # fmt: skip
            continue
        value, low, high = (round(n + 0.5 * area, DECIMALS) for n in (score.value, score.low, score.high))
        finding = WITHIN if value <= most else BEYOND if low > allowed else ABOVE
        yield Ceiling(name=score.name, label=label, value=value, low=low, high=high, most=most, finding=finding,
                      state=STATES[finding])  # fmt: skip


def _about(statement: PrivacyStatement) -> str:
    area = auc_ceiling(statement.epsilon, statement.delta)
    share = ceiling(statement.epsilon, statement.delta, 0.01)
    return (
        "A ceiling is the most that anybody can reach who tries to tell who was trained on, whatever they know and "
        f"compute, if epsilon is what the statement says. At epsilon {statement.epsilon:.4g} that is an area under the "
        f"curve of {upwards(area)} (0.5 is guessing), and {words.percent(share)} % of the people trained on where 1 % "
        "of strangers are taken for them. Attacks that are known stay far below as a rule. A figure above its ceiling "
        "does not fit: chance in this one draw of the noise, people who are not independent, or an engine that keeps "
        "less than it promises. No rule reads this."
    )


def upwards(share: float) -> str:
    """Three decimals, rounded up: a ceiling is not told too low."""
    return f"{math.ceil(share * 1_000 - 1e-9) / 1_000:.3f}"


def _summary(lines: tuple[Ceiling, ...]) -> str:
    """One sentence for whoever decides; nothing without a figure."""
    told = [line for line in lines if line.value is not None]
    if not told:
        return ""
    if odd := [line for line in told if line.finding != WITHIN]:
        first = next((line for line in odd if line.finding == BEYOND), odd[0])
        return (
            f"{len(odd)} of {len(told)} figures lie above the ceiling that epsilon implies, among them: {first.label}, "
            f"{words.number(first.value or 0.0)} where {upwards(first.most)} is the most ({first.finding})."
        )
    return f"all {len(told)} figures, as coarse as they are shown, lie within the ceiling that epsilon implies."
