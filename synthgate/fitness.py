"""Whether a policy serves the audience that it names, and fits the domain that it is registered with."""

from math import inf

from synthgate.audience import Audience
from synthgate.domain import Domain
from synthgate.errors import InvalidPolicy
from synthgate.policy import COPIES, COPIES_THRESHOLD, INFERENCE, LINKABILITY, MEMBERSHIP, RISKS, Policy, Rule

GOOD_HIGH = {
    "utility.kmarginal": 0.0, "utility.equals_percent": 0.0, "utility.coverage_categories": 0.0,
    "utility.coverage_tails": 0.0, "fairness.representation": 0.0, "utility.tstr": -inf, "utility.tstr_linear": -inf,
}  # fmt: skip
"""The scores that are good where they are high, and the least value that each can take."""
AREAS = frozenset(name for name in MEMBERSHIP if not name.endswith("_tpr"))
"""Areas under a curve less a half."""
SHARES = frozenset(
    {"utility.tv1", "utility.tv2", "utility.tv3", "utility.tv4", "utility.tv1_worst", "utility.tv2_excess",
     "utility.ranges", "utility.propensity_auc", "utility.violations", "fairness.shares"}
)  # fmt: skip
"""The scores beside risks that are good where they are low and never above 1."""


def allowed(audience: Audience, score: str) -> float | None:
    """The largest bound that a rule on ``score`` may have for the audience; None where it says nothing about it."""
    if score == COPIES:
        return COPIES_THRESHOLD
    return audience.threshold if score in RISKS or score.startswith(INFERENCE) else None


def check_audience(policy: Policy) -> None:
    """Whether no rule on an attack or on copies is looser than the audience allows. Raises InvalidPolicy."""
    for rule in policy.rules if policy.audience else ():
        most = allowed(policy.audience, rule.score) if policy.audience else None
        if most is not None and (rule.at_most is None or rule.at_most > most):
            raise InvalidPolicy(
                f"rule {rule.name}: audience {policy.audience} allows at most {most:g}; tighten the rule, or declare "
                "another audience"
            )


def senseless(rule: Rule) -> str:
    """Why a rule refuses no table that it should, and what to write instead; empty where it makes sense."""
    if rule.score in GOOD_HIGH:
        good, ought, wrong = "high", "at_least and the least", rule.at_least is None
        worst = GOOD_HIGH[rule.score]
        loose = rule.at_least is not None and rule.at_least <= worst
    else:
        good, ought, wrong = "low", "at_most and the largest", rule.at_most is None
        worst = worst_of(rule.score)
        loose = rule.at_most is not None and rule.at_most >= worst
    if wrong:
        asks = "risk" if rule.score.startswith("risk.") else "what is bad"
        return (
            f"rule {rule.name} asks for {asks} instead of bounding it: {rule.score} is good where it is {good}; write "
            f"{ought} value that may pass"
        )
    return (
        f"rule {rule.name} refuses nothing, for no value is beyond {worst:g}; tighten it, or leave it out"
        if loose
        else ""
    )


def worst_of(score: str) -> float:
    """The largest value that a score which is good where it is low can take; infinite where there is none."""
    if score.startswith("risk."):
        return 0.5 if score in AREAS else 1.0
    return 1.0 if score in SHARES else inf


def check_senses(policy: Policy) -> None:
    """Whether every rule can refuse what it is for. Raises InvalidPolicy. Not asked when a stored policy is read."""
    if found := [why for rule in policy.rules if (why := senseless(rule))]:
        raise InvalidPolicy(found[0])


def check(policy: Policy, domain: Domain) -> None:
    """The same for a domain: rules make sense and the attacker's columns exist too, and a policy for an audience gates
    every attack that the domain makes possible, and copies. Raises InvalidPolicy."""
    check_senses(policy)
    domain = policy.attacker.widened(domain)
    if policy.audience is None:
        return
    check_audience(policy)
    gated = {rule.score for rule in policy.rules}
    wanted = [COPIES, *(score for score in RISKS if score != LINKABILITY or all(domain.halves))]
    wanted += [INFERENCE + secret for secret in domain.secrets if INFERENCE + "*" not in gated]
    for score in wanted:
        if score not in gated:
            raise InvalidPolicy(
                f"audience {policy.audience} needs a rule on {score}; add it with at_most: "
                f"{allowed(policy.audience, score):g} or less, or leave `rules` out"
            )
