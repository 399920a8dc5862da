"""Scores, verdicts and epsilon in words that a reader without the paper at hand understands."""

import math

from synthgate.policy import COPIES, EPSILON, INFERENCE, MARGIN, Finding, Outcome, Rule, Verdict
from synthgate.report import Report, Score
from synthgate.statement import PrivacyStatement, Scope

LABELS = {
    EPSILON: "Epsilon",
    MARGIN: "Noisy margin of all rules, in units",
    "risk.singling_out.univariate": "Singling out, one column",
    "risk.singling_out.multivariate": "Singling out, several columns",
    "risk.linkability": "Linking two halves",
    COPIES: "Verbatim copies",
    "utility.tv1": "Single columns",
    "utility.tv2": "Pairs of columns",
    "utility.tv3": "Triples of columns",
    "utility.tv2_excess": "Pairs, beyond fresh real people",
    "utility.association": "Strength of relations",
    "utility.tstr": "Prediction, learned from the sample",
    "utility.tstr_gap": "Prediction, lost against real rows",
}

OUTCOMES = {
    Outcome.PASSED: "holds",
    Outcome.ABOVE: "too high",
    Outcome.BELOW: "too low",
    Outcome.MISSING: "no such score",
    Outcome.INCONCLUSIVE: "could not be told",
}


def label(name: str) -> str:
    """A score's name in words."""
    if name.startswith(INFERENCE):
        return f"Guessing {name.removeprefix(INFERENCE)}"
    return LABELS.get(name, name)


def limit(rule: Rule | None) -> str:
    """A rule's bound."""
    if rule is None:
        return "none"
    return f"≤ {rule.at_most:g}" if rule.at_most is not None else f"≥ {rule.at_least:g}"


def number(value: float) -> str:
    """Four decimals, a real minus sign; a dash for what could not be told."""
    return f"{value:.4f}".replace("-", "−") if math.isfinite(value) else "–"


def interval(score: Score) -> str:
    """Both one-sided ends, or nothing where nothing was estimated."""
    if score.low == score.high:
        return ""
    return f"{number(score.low)} to {number(score.high)}" if math.isfinite(score.low) else ""


def reason(finding: Finding, report: Report, statement: PrivacyStatement) -> str:
    """Why one rule refused, in a sentence."""
    score = report.get(finding.rule.score)
    what = label(finding.rule.score)
    if finding.rule.score == EPSILON:
        return f"{what}: {statement.epsilon:.4g} does not meet {limit(finding.rule)}."
    if finding.outcome in (Outcome.ABOVE, Outcome.BELOW) and score is not None:
        end = "upper" if finding.outcome is Outcome.ABOVE else "lower"
        return f"{what}: the {end} end {number(score.pessimistic)} does not meet {limit(finding.rule)}."
    if finding.outcome is Outcome.INCONCLUSIVE and score is not None:
        return f"{what}: could not be told ({score.note or 'the figures are not finite'}), and doubt refuses."
    return f"{what}: {OUTCOMES[finding.outcome]}, and doubt refuses."


def refusals(verdict: Verdict, report: Report, statement: PrivacyStatement) -> list[str]:
    """Every reason of a refusal; empty where the verdict has passed."""
    if not verdict.findings:
        return ["The policy has no rule for the data, and an empty policy refuses."]
    return [reason(f, report, statement) for f in verdict.findings if f.outcome is not Outcome.PASSED]


def belief(epsilon: float) -> float:
    """How sure an attacker who was 50 % sure can become, e^epsilon / (1 + e^epsilon), in [0.5, 1]."""
    return 1 / (1 + math.exp(-epsilon))


def promise(statement: PrivacyStatement) -> str:
    """Epsilon in plain words."""
    if statement.scope is Scope.NONE:
        return "This release carries no privacy guarantee: it comes from a sandbox for public data."
    sure = 100 * belief(statement.epsilon)
    shown = "more than 99.9" if sure > 99.9 else f"{math.ceil(sure * 10) / 10:.1f}".removesuffix(".0")
    return (
        f"An attacker who was 50 % sure that a given unit ({statement.unit}) was in the training data, and who knows "
        f"everything about everybody else, can be at most {shown} % sure after seeing the generator's output, up to a "
        f"probability of {statement.delta:g} that this fails."
    )
