"""The gate's default is no: tables of what admits and what does not, and numbers that must never pass."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp_models.base import Plan
from server.policy import admit, decide, half_width
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.events import Gaussian
from synthgate.policy import EPSILON, EXACT_POLICY, Outcome, Policy, Rule
from synthgate.report import Better, Report, Score
from synthgate.statement import PrivacyStatement, Scope

SEX = Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m"))
AGE = Column(name="age", kind=Kind.INTEGER, low=0, high=99)
ILL = Column(name="ill", kind=Kind.BOOLEAN, role=Role.SENSITIVE, secret=True)
DOMAIN = Domain(columns=(SEX, AGE, ILL), target="ill")
SIZES = PublicSizes(rows=20_000, units=20_000)


def plan(epsilon: float = 1.0, sizes: PublicSizes = SIZES) -> Plan:
    return Plan(
        engine="tree",
        because="",
        domain=DOMAIN.digest,
        sizes=sizes,
        budget=PrivacyBudget.spend(epsilon, 1e-7),
        event=Gaussian(5.0),
        parameters={},
    )


def refusals(policy: Policy = EXACT_POLICY, domain: Domain = DOMAIN, **changes: object) -> tuple[str, ...]:
    facts: dict[str, object] = {"certified": True, "sandbox": False, "verdicts": 0, "allowed": 3}
    asked = changes.pop("plan", plan())
    return admit(policy, asked, domain, **(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"policy": replace(EXACT_POLICY, rules=())}, "no rules"),
        ({"plan": plan(3.001)}, "above the policy's limit of 3"),
        ({"certified": False}, "no sandbox"),
        ({"certified": False, "sandbox": True}, "`certified_only`"),
        ({"certified": False, "policy": replace(EXACT_POLICY, certified_only=False)}, "no sandbox"),
        ({"verdicts": 3}, "3 of 3 unaccounted verdicts"),
        ({"verdicts": 4, "allowed": 4}, "4 of 4 unaccounted verdicts"),
        ({"plan": plan(sizes=PublicSizes(rows=800, units=800))}, "holdout of 160 units"),
        ({"domain": Domain(columns=(SEX, AGE))}, "secret: true"),
        ({"domain": Domain(columns=(SEX, ILL))}, "two groups of columns"),
        ({"domain": Domain(columns=(replace(AGE, secret=True),))}, "auxiliary column besides"),
        (
            {"policy": replace(EXACT_POLICY, rules=(Rule(score="utility.tstr", at_least=0.7),)),
             "domain": replace(DOMAIN, target=None)},
            "declared target",
        ),
        (
            {"policy": replace(EXACT_POLICY, rules=(Rule(score="fairness.shares", at_most=0.05),))},
            "declared `protected: true`",
        ),
        (
            {"policy": replace(EXACT_POLICY, rules=(Rule(score="fairness.tstr_gap", at_most=0.05),)),
             "domain": Domain(columns=(replace(SEX, protected=True), AGE))},
            "declared target",
        ),
        (
            {"policy": replace(EXACT_POLICY, rules=(Rule(score="fairness.equal_opportunity", at_most=0.05),)),
             "domain": Domain(columns=(SEX, AGE, replace(ILL, protected=True)), target="ill")},
            "protected column of at least two values besides",
        ),
        (
            {"policy": replace(EXACT_POLICY, rules=(Rule(score="risk.inference.age", at_most=0.09),))},
            "declared `secret: true`",
        ),
        (
            {"policy": replace(EXACT_POLICY, rules=(Rule(score="risk.linkability", at_least=0.0),))},
            "good where it is low; write at_most",
        ),
    ],
)  # fmt: skip
def test_admit_refuses_on_public_facts(changes: dict[str, object], words: str) -> None:
    assert any(words in refusal for refusal in refusals(**changes))  # type: ignore[arg-type]


SAME = Column(name="same", kind=Kind.CATEGORICAL, categories=("a",), protected=True)


@pytest.mark.parametrize(
    ("score", "columns", "target", "words"),
    [
        ("utility.tv2", (AGE,), None, "at least 2 columns"),
        ("utility.tv2_excess", (AGE,), None, "at least 2 columns"),
        ("utility.association", (AGE,), None, "at least 2 columns"),
        ("utility.tv3", (AGE, SEX), None, "at least 3 columns"),
        ("utility.tv4", (AGE, SEX, ILL), None, "at least 4 columns"),
        ("utility.coverage_categories", (AGE,), None, "at least one categorical or boolean"),
        ("utility.coverage_tails", (SEX,), None, "at least one column of numbers"),
        *((s, (ILL,), "ill", "a column besides the target")
          for s in ("utility.tstr", "utility.tstr_gap", "utility.tstr_linear_gap", "utility.tstr_gap_worst")),
        ("utility.tstr", (AGE, SAME), "same", "a target of at least two values"),
        ("utility.tstr_gap", (AGE, replace(SAME, nullable=True)), "same", "a target of at least two values"),
        ("fairness.demographic_parity", (AGE, SAME, ILL), "ill", "protected column of at least two values"),
    ],
)  # fmt: skip
def test_what_no_table_of_the_domain_could_tell_is_refused_before_the_charge(
    score: str, columns: tuple[Column, ...], target: str | None, words: str
) -> None:
    """And a column more, or another target, is all that it takes."""
    high = score.startswith("utility.coverage") or score == "utility.tstr"
    rule = Rule(score=score, at_least=0.1) if high else Rule(score=score, at_most=0.1)
    policy = replace(EXACT_POLICY, rules=(rule,))
    told = refusals(policy, Domain(columns=columns, target=target))
    assert any(r.startswith(f"rule {rule.name} needs ") and words in r for r in told)
    more = tuple(replace(c, protected=True) for c in (SEX, AGE, ILL, replace(AGE, name="born")))
    assert not any("needs" in r for r in refusals(policy, Domain(columns=more, target="ill")))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"plan": plan(3.0)},
        {"verdicts": 3, "allowed": 4},
        {"certified": False, "sandbox": True, "policy": replace(EXACT_POLICY, certified_only=False)},
    ],
)
def test_admit_admits(changes: dict[str, object]) -> None:
    assert refusals(**changes) == ()  # type: ignore[arg-type]


def test_the_half_width_at_the_threshold() -> None:
    # 1.645 sqrt(1/(2m)) = 0.09 at m = 167.04
    assert half_width(167) > 0.09 > half_width(168)
    assert half_width(0) == math.inf


STATEMENT = PrivacyStatement(
    scope=Scope.GENERATOR, end_to_end=False, unit="row", sizes=SIZES, accountant="PLD", event=Gaussian(5.0),
    epsilon=1.0, delta=1e-7, epsilon_substitute_one=2.1, not_covered=(), noise=(), weakened_by=(),
)  # fmt: skip
NAMES = [rule.score for rule in EXACT_POLICY.concrete(DOMAIN) if rule.score != EPSILON]


def score(name: str, value: float = 0.0, **changes: object) -> Score:
    fields: dict[str, object] = {"low": value, "high": value, "better": Better.LOWER} | changes
    return Score(name=name, value=value, **fields)  # type: ignore[arg-type]


def outcome(**changes: Score | None) -> dict[str, Outcome]:
    """The default policy's findings on a report that passes but for ``changes``."""
    scores = {name: score(name) for name in NAMES} | {k.replace("__", "."): v for k, v in changes.items()}
    report = Report(scores=tuple(s for s in scores.values() if s is not None))
    return {f.rule.score: f.outcome for f in decide(EXACT_POLICY, DOMAIN, STATEMENT, report).findings}


def test_everything_good_passes_and_every_rule_is_named() -> None:
    assert outcome() == dict.fromkeys([EPSILON, *NAMES], Outcome.PASSED)
    assert "risk.inference.ill" in NAMES


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (None, Outcome.MISSING),
        (score("risk.copies", 0.0, high=0.0101), Outcome.ABOVE),
        (score("risk.copies", 0.01), Outcome.PASSED),
        (score("risk.copies", 0.0, conclusive=False), Outcome.INCONCLUSIVE),
        (score("risk.copies", math.nan), Outcome.INCONCLUSIVE),
        (score("risk.copies", 0.0, low=-math.inf), Outcome.INCONCLUSIVE),
        (score("risk.copies", 0.02, low=0.03, high=0.001), Outcome.INCONCLUSIVE),
        (score("risk.copies", 0.02, low=0.001, high=0.02, better=Better.HIGHER), Outcome.ABOVE),
        (score("risk.copies", 0.0, conclusive=1), Outcome.INCONCLUSIVE),
    ],
)
def test_a_rule_reads_the_pessimistic_end_of_a_usable_score(changed: Score | None, found: Outcome) -> None:
    assert outcome(risk__copies=changed)["risk.copies"] is found


def test_a_score_that_stands_twice_is_missing() -> None:
    report = Report(scores=(*map(score, NAMES), score("risk.copies")))
    verdict = decide(EXACT_POLICY, DOMAIN, STATEMENT, report)
    assert verdict.reasons == ("risk.copies SCORE_MISSING",)


def test_an_empty_policy_refuses_a_perfect_report() -> None:
    empty = replace(EXACT_POLICY, rules=())
    verdict = decide(empty, DOMAIN, STATEMENT, Report(scores=tuple(map(score, NAMES))))
    assert not verdict.passed
    assert verdict.reasons == ("EMPTY_POLICY",)


@pytest.mark.parametrize("epsilon", [3.0000001, math.inf, math.nan])
def test_the_statement_is_read_not_the_request(epsilon: float) -> None:
    report = Report(scores=tuple(map(score, NAMES)))
    assert not decide(EXACT_POLICY, DOMAIN, replace(STATEMENT, epsilon=epsilon), report).passed


BAD = st.sampled_from([math.nan, math.inf, -math.inf, None, "0", True, 1e9, 0.2501])


@settings(max_examples=500, deadline=None)
@given(bad=BAD, place=st.sampled_from(["value", "high", "all"]), name=st.sampled_from(NAMES[:-1]))
def test_no_faulty_number_passes(bad: object, place: str, name: str) -> None:
    fields = {"value": 0.0, "low": 0.0, "high": 0.0} | (
        dict.fromkeys(("value", "low", "high"), bad) if place == "all" else {place: bad}
    )
    faulty = Score(name=name, better=Better.LOWER, **fields)  # type: ignore[arg-type]
    scores = (*(score(n) for n in NAMES if n != name), faulty)
    assert not decide(EXACT_POLICY, DOMAIN, STATEMENT, Report(scores=scores)).passed
