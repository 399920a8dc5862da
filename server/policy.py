"""`admit` and `decide`: the two halves of the gate. Pure functions whose default is no.

`admit` looks at public facts alone, before any charge; its refusals may say everything. `decide` reads the report of
the one canonical sample; a score that is missing, inconclusive or not finite refuses, and so does a policy without
rules.
"""

import math
from collections.abc import Iterator

from dp_models.base import Plan
from synthgate import accounted
from synthgate.domain import NUMERIC, Domain
from synthgate.fitness import senseless
from synthgate.policy import EPSILON, INFERENCE, MARGIN, Finding, Outcome, Policy, Rule, Verdict, VerdictKind
from synthgate.report import Better, Report, Score
from synthgate.statement import PrivacyStatement

Z95 = 1.645
"""One-sided 95 %."""
PREDICTED = ("fairness.tstr_gap", "fairness.demographic_parity", "fairness.equal_opportunity")
"""Fairness that is told of models of a target."""
_OF_TARGET = ("utility.tstr", "utility.tstr_gap", "utility.tstr_linear", "utility.tstr_linear_gap")
"""Prediction of ``target`` alone, not of other targets too."""
_COLUMNS = {
    "utility.association": 2, "utility.tv2": 2, "utility.tv2_excess": 2, "utility.tv3": 3, "utility.tv4": 4,
}  # fmt: skip
"""Scores of relations, and how many columns a relation has."""


def half_width(targets: int) -> float:
    """The least half-width that an excess of two shares of ``targets`` units each can have: 1.645 sqrt(1/(2m)).

    An attack's threshold below it could never be passed with confidence, whatever the table.
    """
    return Z95 * math.sqrt(1 / (2 * targets)) if targets > 0 else math.inf


def certified_or_why(policy: Policy, engine: str, *, certified: bool, sandbox: bool) -> str | None:
    """Why an engine off the operator's list may not run; None where it may: on a sandbox account (public data), under a
    policy that does not ask for a certified engine."""
    if certified or (sandbox and not policy.certified_only):
        return None
    if sandbox:
        return f"engine {engine} is not certified, and the policy asks for a certified one (`certified_only`)"
    return f"engine {engine} is not certified by the operator, and the account is no sandbox: choose a certified engine"


def verdicts_allowed(policy: Policy, *, limit: int, granted: int) -> int:
    """How many unaccounted verdicts an account may have in its life, when asked for under ``policy``: the operator's
    ``limit`` for every account, which a policy can lower and never raise, and what an officer ``granted``. Otherwise a
    second dataset with a policy of its own would lift the limit of the first."""
    return min(policy.verdicts_max, limit) + granted


def admit(
    policy: Policy, plan: Plan, domain: Domain, *, certified: bool, sandbox: bool, verdicts: int, allowed: int
) -> tuple[str, ...]:
    """Why the policy refuses the plan on public facts; empty where it does not.

    ``certified`` says whether the plan's engine is on the operator's list, ``verdicts`` how many unaccounted verdicts
    the account has used or set aside, ``allowed`` how many it may (`verdicts_allowed`).
    """
    engine = certified_or_why(policy, plan.engine, certified=certified, sandbox=sandbox)
    return tuple(_refusals(policy, plan, domain, engine, verdicts, allowed))


def _refusals(
    policy: Policy, plan: Plan, domain: Domain, engine: str | None, verdicts: int, allowed: int
) -> Iterator[str]:
    if not policy.rules:
        yield "the policy has no rules, and an empty policy refuses everything: declare at least one rule"
    if plan.budget.epsilon > policy.epsilon_max:
        yield f"epsilon {plan.budget.epsilon:g} is above the policy's limit of {policy.epsilon_max:g}"
    if engine is not None:
        yield engine
    if policy.verdict is VerdictKind.EXACT and verdicts >= allowed:
        yield (
            f"the account has used or set aside {verdicts} of {allowed} unaccounted verdicts; "
            "an officer can grant more with `synthgate ledger amend`"
        )
    domain = policy.attacker.widened(domain)
    yield from filter(None, map(senseless, policy.rules))
    for rule in policy.rules:
        if (missing := _undeclared(rule, domain)) is not None:
            yield f"rule {rule.name} needs {missing}"
    if policy.verdict is VerdictKind.EXACT:
        yield from _uncertain(policy, plan.sizes.attack_targets)
    elif plan.verdict is None:
        yield "the plan leaves nothing for the accounted verdict that the policy asks for; ask again"
    else:
        yield from accounted.beyond(policy.rules, plan.sizes, plan.verdict.sigma)


def _uncertain(policy: Policy, targets: int) -> Iterator[str]:
    for rule in policy.rules:
        if rule.is_attack and rule.at_most is not None and half_width(targets) > rule.at_most:
            yield (
                f"rule {rule.name} cannot be passed with a public holdout of {targets} units: uncertainty alone is "
                f"{half_width(targets):.3f}; a larger table or another policy is needed"
            )


def _undeclared(rule: Rule, domain: Domain) -> str | None:
    """What the domain would have to declare for the rule's score to be told of any table; None where it does."""
    return _narrow(rule, domain) or _attacker_lacks(rule, domain) or _unpredictable(rule, domain)


def _narrow(rule: Rule, domain: Domain) -> str | None:
    columns = _COLUMNS.get(rule.score, 1)
    if len(domain.modelled) < columns:
        return f"at least {columns} columns"
    numeric = [column.kind in NUMERIC for column in domain.modelled]
    if rule.score == "utility.coverage_categories" and all(numeric):
        return "at least one categorical or boolean column"
    if rule.score == "utility.coverage_tails" and not any(numeric):
        return "at least one column of numbers or moments"
    return None


def _attacker_lacks(rule: Rule, domain: Domain) -> str | None:
    if rule.score == INFERENCE + "*" and not domain.secrets:
        return "at least one column declared `secret: true`"
    if rule.score.startswith(INFERENCE):
        name = rule.score.removeprefix(INFERENCE)
        if name not in ("*", *domain.secrets):
            return "a column of that name declared `secret: true`"
        secrets = domain.secrets if name == "*" else (name,)
        if any(not set(domain.auxiliary) - {secret} for secret in secrets):
            return "at least one auxiliary column besides each secret"
    if rule.score == "risk.linkability" and not all(domain.halves):
        return "two groups of columns under `link`"
    return None


def _unpredictable(rule: Rule, domain: Domain) -> str | None:
    if rule.score.startswith("fairness.") and not domain.protected:
        return "at least one column declared `protected: true`"
    if not rule.score.startswith(("utility.tstr", *PREDICTED)):
        return None
    if domain.target is None:
        return "a declared target"
    if len(domain.modelled) < 2:
        return "a column besides the target, to predict it from"
    several = {column.name for column in domain.modelled if len(column.categories) != 1}
    targets = [target for target in domain.targets if target in several]
    if not targets or (rule.score in _OF_TARGET and domain.target not in several):
        return "a target of at least two values"
    groups = {name for name in domain.protected if name in several or domain[name].nullable}
    if rule.score in PREDICTED and not any(groups - {target} for target in targets):
        return "a protected column of at least two values besides the target"
    return None


def decide(policy: Policy, domain: Domain, statement: PrivacyStatement, report: Report) -> Verdict:
    """The verdict on one canonical sample: every concrete rule, read at the score's pessimistic end; where the policy
    asks for an accounted verdict, the noisy margin of all of them.

    The bound on epsilon reads the statement of what ran, not the request.
    """
    rules = policy.concrete(domain)
    if policy.verdict is VerdictKind.ACCOUNTED:
        rules = (*rules[:1], Rule(score=MARGIN, at_most=0.0)) if rules else ()
    return Verdict(findings=tuple(Finding(rule=rule, outcome=_outcome(rule, statement, report)) for rule in rules))


def _outcome(rule: Rule, statement: PrivacyStatement, report: Report) -> Outcome:
    if rule.score == EPSILON:
        epsilon = statement.epsilon
        score: Score | None = Score(name=EPSILON, value=epsilon, low=epsilon, high=epsilon, better=Better.LOWER)
    else:
        score = report.get(rule.score)
    if score is None:
        return Outcome.MISSING
    if not score.usable:
        return Outcome.INCONCLUSIVE
    if rule.at_most is not None and not max(score.pessimistic, score.value) <= rule.at_most:
        return Outcome.ABOVE
    if rule.at_least is not None and not min(score.pessimistic, score.value) >= rule.at_least:
        return Outcome.BELOW
    return Outcome.PASSED
