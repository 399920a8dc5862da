"""Scores, verdicts and epsilon in words that a reader without the paper at hand understands."""

import math

from synthgate.plain import belief as belief
from synthgate.plain import inert as inert
from synthgate.plain import percent as percent
from synthgate.plain import promise as promise
from synthgate.policy import COPIES, EPSILON, INFERENCE, MARGIN, NEAR_COPIES, Finding, Outcome, Rule, Verdict
from synthgate.report import Report, Score
from synthgate.statement import PrivacyStatement

LABELS = {
    EPSILON: "Epsilon",
    MARGIN: "The noisy margin that decides all rules",
    "risk.singling_out.univariate": "Singling out, one column",
    "risk.singling_out.multivariate": "Singling out, several columns",
    "risk.linkability": "Linking two halves",
    COPIES: "Verbatim copies",
    NEAR_COPIES: "Near copies, within one bin",
    "risk.membership.domias": "Telling members by density",
    "risk.membership.domias_tpr": "Members told by density at 1 % false alarms",
    "risk.membership.domias_outliers": "Telling members by density, outliers",
    "risk.membership.nearest": "Telling members by the nearest row",
    "risk.membership.nearest_tpr": "Members told by the nearest row at 1 % false alarms",
    "risk.membership.nearest_outliers": "Telling members by the nearest row, outliers",
    "utility.tv1": "Single columns",
    "utility.tv2": "Pairs of columns",
    "utility.tv3": "Triples of columns",
    "utility.tv2_excess": "Pairs, beyond fresh real people",
    "utility.association": "Strength of relations",
    "utility.tstr": "Prediction, learned from the sample",
    "utility.tstr_gap": "Prediction, lost against real rows",
    "utility.tv4": "Fours of columns",
    "utility.tstr_linear": "Prediction, linear model learned from the sample",
    "utility.tstr_linear_gap": "Prediction, linear model, lost against real rows",
    "utility.tstr_gap_worst": "Prediction, most lost over targets and models",
    "utility.kmarginal": "NIST's k-marginal score (of 1,000)",
    "utility.equals_percent": "Equals a sample of so many per cent",
    "utility.ranges": "Range queries, mean error",
    "utility.propensity_auc": "Telling sample from training rows",
    "utility.pmse_ratio": "Propensity error over its expectation",
    "utility.tv1_worst": "The worst column",
    "utility.coverage_categories": "Categories that are there",
    "utility.coverage_tails": "Tails that are there",
    "utility.violations": "Rows that break the declaration",
    "fairness.shares": "Shares of protected groups",
    "fairness.representation": "The least represented group",
    "fairness.tstr_gap": "Prediction, most lost by a group",
    "fairness.demographic_parity": "Demographic parity, beyond real rows",
    "fairness.equal_opportunity": "Equal opportunity, beyond real rows",
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
    """Three decimals (three digits where it is huge), a real minus sign; a dash for what could not be told."""
    if not math.isfinite(value):
        return "–"
    value = round(value, 3) + 0.0  # no minus before a zero
    return f"{value:.3f}".replace("-", "−") if abs(value) < 1e6 else f"{value:.3g}".replace("-", "−")


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
