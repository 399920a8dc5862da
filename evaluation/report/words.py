"""Scores, verdicts and epsilon in words that a reader without the paper at hand understands."""

import math
import unicodedata

from synthgate.policy import COPIES, EPSILON, INFERENCE, MARGIN, NEAR_COPIES, Finding, Outcome, Rule, Verdict
from synthgate.report import Report, Score
from synthgate.statement import PrivacyStatement, Scope

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

UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})

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


def belief(epsilon: float, before: float = 0.5) -> float:
    """How sure an attacker who was ``before`` sure can become: p e^epsilon / (1 - p + p e^epsilon), in [p, 1]."""
    return before / (before + (1 - before) * math.exp(-epsilon))


def percent(share: float) -> str:
    """A chance in per cent, rounded up to a tenth; never 100."""
    return "more than 99.9" if share > 0.999 else f"{math.ceil(share * 1_000 - 1e-9) / 10:.1f}".removesuffix(".0")


def inert(text: str) -> str:
    """The text with every character escaped that is not seen but acts: controls, line and paragraph separators, and
    marks of direction, which could let a name read as another."""
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in UNSEEN else c for c in text)


def promise(statement: PrivacyStatement) -> str:
    """Epsilon in plain words."""
    if statement.scope is Scope.NONE:
        return "This release carries no privacy guarantee: it comes from a sandbox for public data."
    shown = percent(belief(statement.epsilon))
    seen = "what was released, or that nothing was" if statement.scope is Scope.RELEASE else "the generator's output"
    return (
        f"An attacker who was 50 % sure that a given unit ({statement.unit}) was in the training data, and who knows "
        f"everything about everybody else, can be at most {shown} % sure after seeing {seen}, but for a chance of 1 in "
        f"{round(1 / statement.delta):,} (delta {statement.delta:g})."
    )
