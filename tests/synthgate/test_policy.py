"""The kind of verdict in a policy: accounted where nothing is said, exact where a policy is older than the choice."""

from dataclasses import replace

import pytest

from synthgate.errors import InvalidPolicy
from synthgate.policy import DEFAULT_POLICY, EXACT_POLICY, MARGIN, Policy, Rule, VerdictKind

OLD = {
    "name": "default", "epsilon_max": 3.0, "certified_only": True, "verdicts_max": 3, "approvals": 0,
    "rules": [
        {"score": "risk.singling_out.univariate", "at_most": 0.09},
        {"score": "risk.singling_out.multivariate", "at_most": 0.09},
        {"score": "risk.linkability", "at_most": 0.09}, {"score": "risk.inference.*", "at_most": 0.09},
        {"score": "risk.copies", "at_most": 0.01}, {"score": "utility.tv2_excess", "at_most": 0.20},
    ],
}  # fmt: skip
"""The default policy as the first version stored it: without version, audience, attacker and verdict."""

OLD_DIGEST = "651b3efa998b79569d7adbe1a3e19902f952314b70fdc507c1ed5f48bfdc794c"
"""What that version said of it."""


def test_a_policy_that_says_nothing_is_accounted() -> None:
    assert Policy.from_dict({}) == DEFAULT_POLICY
    assert DEFAULT_POLICY.verdict is VerdictKind.ACCOUNTED
    assert Policy.from_dict({"verdict": "exact"}) == EXACT_POLICY


def test_a_stored_policy_without_the_key_is_exact_and_keeps_its_digest() -> None:
    found = Policy.from_stored(OLD)
    assert (found.verdict, found.digest) == (VerdictKind.EXACT, OLD_DIGEST)
    assert found.to_dict() == {**OLD, "verdict": "exact"}
    stored = EXACT_POLICY.to_dict()
    del stored["verdict"]
    assert Policy.from_stored(stored) == EXACT_POLICY


@pytest.mark.parametrize("policy", [DEFAULT_POLICY, EXACT_POLICY])
def test_policies_are_read_back_as_they_were_written(policy: Policy) -> None:
    assert Policy.from_dict(policy.to_dict()) == Policy.from_stored(policy.to_dict()) == policy


def test_the_kind_of_verdict_is_in_the_digest() -> None:
    assert replace(DEFAULT_POLICY, verdict=VerdictKind.EXACT).digest != DEFAULT_POLICY.digest


@pytest.mark.parametrize(
    "rule",
    [
        Rule(score="utility.tstr", at_least=0.7), Rule(score="utility.tv2_excess", at_most=0.2),
        Rule(score="utility.association", at_most=0.2), Rule(score="utility.tv2", at_least=0.1),
        Rule(score="risk.linkability", at_least=0.0), Rule(score="risk.near_copies", at_most=0.05),
        Rule(score="risk.membership.domias", at_most=0.1), Rule(score="fairness.shares", at_most=0.1),
    ],
    ids=lambda rule: rule.name,
)  # fmt: skip
def test_rules_that_an_accounted_verdict_cannot_decide_are_refused(rule: Rule) -> None:
    with pytest.raises(InvalidPolicy, match=r"cannot decide the rule .*`verdict: exact`"):
        replace(DEFAULT_POLICY, rules=(rule,))
    assert replace(EXACT_POLICY, rules=(rule,)).rules == (rule,)


def test_the_margin_is_no_rule_of_a_policy() -> None:
    for policy in (DEFAULT_POLICY, EXACT_POLICY):
        with pytest.raises(InvalidPolicy, match="margin"):
            replace(policy, rules=(Rule(score=MARGIN, at_most=0.0),))


@pytest.mark.parametrize("verdict", ["", "Exact", 1, None, True])
def test_another_kind_of_verdict_is_refused(verdict: object) -> None:
    with pytest.raises(InvalidPolicy, match="accounted or exact"):
        Policy.from_dict({"verdict": verdict})
