"""Whether a policy serves the audience that it names, and fits the domain that it is registered with."""

from synthgate.audience import Audience
from synthgate.domain import Domain
from synthgate.errors import InvalidPolicy
from synthgate.policy import COPIES, COPIES_THRESHOLD, INFERENCE, LINKABILITY, RISKS, Policy, Rule


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
    if rule.at_least is None or not rule.score.startswith("risk."):
        return ""
    return (
        f"rule {rule.name} asks for risk instead of bounding it: {rule.score} is good where it is low; write at_most "
        "and the largest value that may pass"
    )


def check_senses(policy: Policy) -> None:
    """Whether every rule on a risk is an upper bound. Raises InvalidPolicy. Not asked when a stored policy is read."""
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
