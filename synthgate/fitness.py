"""Whether a policy serves the audience that it names, and fits the domain that it is registered with."""

from synthgate.audience import Audience
from synthgate.domain import Domain
from synthgate.errors import InvalidPolicy
from synthgate.policy import COPIES, COPIES_THRESHOLD, INFERENCE, LINKABILITY, RISKS, Policy


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


def check(policy: Policy, domain: Domain) -> None:
    """The same for a domain: the attacker's columns exist too, and a policy for an audience gates every attack that the
    domain makes possible, and copies. Raises InvalidPolicy."""
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
