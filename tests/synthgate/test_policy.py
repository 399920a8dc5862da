"""The kind of verdict in a policy: accounted where nothing is said, exact where a policy is older than the choice."""

from dataclasses import replace

import pytest

from synthgate.domain import Column, Domain, Kind
from synthgate.errors import InvalidPolicy
from synthgate.fitness import check
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


DOMAIN = Domain(columns=tuple(Column(name=n, kind=Kind.BOOLEAN, secret=n in "bc") for n in "abc"))
LOOSE, STRICT = Rule(score="risk.inference.*", at_most=0.5), Rule(score="risk.inference.b", at_most=0.02)


@pytest.mark.parametrize("rules", [(LOOSE, STRICT), (STRICT, LOOSE)], ids=["loose first", "strict first"])
@pytest.mark.parametrize("policy", [DEFAULT_POLICY, EXACT_POLICY], ids=lambda policy: str(policy.verdict))
def test_of_two_rules_on_one_score_the_strictest_stands(policy: Policy, rules: tuple[Rule, ...]) -> None:
    """Where the later one counted, a rule for all columns lifted the stricter one of a single column."""
    concrete = replace(policy, rules=rules).concrete(DOMAIN)
    bounds = {rule.score: rule.at_most for rule in concrete}
    assert len(concrete) == len(bounds) == 3
    assert (bounds["risk.inference.b"], bounds["risk.inference.c"]) == (0.02, 0.5)


def test_the_strictest_stands_on_either_side() -> None:
    """A stored policy may hold bounds that make no sense together; none of them is lost."""
    rules = (Rule(score="risk.inference.*", at_least=0.1), STRICT, Rule(score="risk.inference.c", at_least=0.05))
    told = {rule.name for rule in replace(EXACT_POLICY, rules=rules).concrete(DOMAIN)}
    assert told == {
        "privacy.epsilon <= 3", "risk.inference.b <= 0.02", "risk.inference.b >= 0.1", "risk.inference.c >= 0.1",
    }  # fmt: skip


@pytest.mark.parametrize("score", ["risk.linkability", "risk.copies", "risk.inference.*", "risk.membership.nearest"])
def test_a_lower_bound_on_a_risk_is_refused_at_registration(score: str) -> None:
    """`at_least: 0` passes every table that leaks. Policies that are stored are read all the same."""
    policy = replace(EXACT_POLICY, rules=(*EXACT_POLICY.rules[-1:], Rule(score=score, at_least=0.0)))
    with pytest.raises(InvalidPolicy, match=r"is good where it is low; write at_most"):
        check(policy, DOMAIN)
    assert Policy.from_stored(policy.to_dict()) == policy


@pytest.mark.parametrize(
    ("score", "bound"),
    [("risk.linkability", 1.0), ("risk.inference.*", 2.0), ("risk.copies", 1.0), ("risk.membership.domias", 0.5),
     ("risk.membership.nearest_tpr", 1.0), ("utility.tv2", 1.0), ("utility.propensity_auc", 1.0),
     ("fairness.shares", 1.5)],
)  # fmt: skip
def test_an_upper_bound_that_no_table_breaks_is_refused_at_registration(score: str, bound: float) -> None:
    policy = replace(EXACT_POLICY, rules=(Rule(score=score, at_most=bound),))
    with pytest.raises(InvalidPolicy, match="refuses nothing"):
        check(policy, DOMAIN)
    assert Policy.from_stored(policy.to_dict()) == policy
    check(replace(policy, rules=(Rule(score=score, at_most=min(bound, 1.0) - 0.01),)), DOMAIN)


@pytest.mark.parametrize("score", ["utility.kmarginal", "utility.coverage_tails", "fairness.representation"])
def test_a_lower_bound_that_no_table_breaks_is_refused_at_registration(score: str) -> None:
    with pytest.raises(InvalidPolicy, match="refuses nothing"):
        check(replace(EXACT_POLICY, rules=(Rule(score=score, at_least=0.0),)), DOMAIN)


@pytest.mark.parametrize(("score", "side"), [("utility.kmarginal", "at_most"), ("utility.tv2", "at_least")])
def test_a_bound_on_the_wrong_side_of_utility_is_refused_at_registration(score: str, side: str) -> None:
    with pytest.raises(InvalidPolicy, match="asks for what is bad"):
        check(replace(EXACT_POLICY, rules=(Rule(score=score, **{side: 0.4}),)), DOMAIN)


def test_a_lower_bound_on_utility_makes_sense() -> None:
    check(replace(EXACT_POLICY, rules=(Rule(score="utility.kmarginal", at_least=800),)), DOMAIN)
    check(EXACT_POLICY, DOMAIN)
    check(DEFAULT_POLICY, DOMAIN)
