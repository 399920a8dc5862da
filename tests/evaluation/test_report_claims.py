"""What a report says hangs on how the verdict came about, on the account, the engine, the unit: each claim under every
configuration that it depends on."""

import math
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from report_cases import DOMAIN, decided, document, evaluated, statement, verdict
from scipy.stats import norm

from evaluation.report import Document, House, compose, decision_page, page
from evaluation.report.attacks import CONVICTS_NONE, NEAR_MOST
from evaluation.risk.attack import Tally
from evaluation.risk.near_copies import MAX_ROWS
from synthgate.accounted import (
    Z95,
    Repeats,
    allowed,
    allowed_copies,
    allowed_rows,
    attack_targets,
    convictable,
    copy_targets,
    slack,
)
from synthgate.dataset import PublicSizes
from synthgate.events import Opaque
from synthgate.policy import (
    COPIES,
    DEFAULT_POLICY,
    EPSILON,
    EXACT_POLICY,
    MARGIN,
    NEAR_COPIES,
    Finding,
    Outcome,
    Policy,
    Rule,
    Verdict,
)
from synthgate.report import Better, Report, Score
from synthgate.statement import Scope

SIGMA = 15.0
SIZES = PublicSizes(rows=20_000, units=20_000)
OWN = House(audited=True, tick_s=15.0)


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluated()


def accounted(
    report: Report,
    outcome: Outcome,
    *,
    scope: Scope = Scope.RELEASE,
    house: House = OWN,
    policy: Policy = DEFAULT_POLICY,
) -> Document:
    reach = Z95 * SIGMA
    value = {Outcome.PASSED: -90.0, Outcome.ABOVE: 4.0}.get(outcome, math.nan)
    margin = Score(name=MARGIN, value=value, low=value - reach, high=value + reach, better=Better.LOWER)
    judged = replace(report, scores=(margin, *report.scores))
    claim = statement(scope=scope, end_to_end=scope is Scope.RELEASE, sizes=SIZES, weakened_by=())
    return compose(
        judged, title="t", facts={}, verdict=decided(outcome), statement=claim, domain=DOMAIN, policy=policy,
        house=house,
    )  # fmt: skip


def exact(report: Report, *, scope: Scope = Scope.GENERATOR, policy: Policy = EXACT_POLICY) -> Document:
    return document(report, policy=policy, claim=statement(scope=scope, sizes=SIZES))


def said(found: Document, topic: str) -> tuple[str, str]:
    check = next(check for check in found.checklist if check.topic == topic)
    return str(check.status), check.text


def strength(found: Document, name: str) -> str:
    return next(attack.strength for attack in found.attacks if attack.name == name)


@pytest.mark.parametrize(("kind", "scope"), product(("exact", "accounted"), Scope))
def test_the_kind_of_a_verdict_is_told_by_the_verdict(report: Report, kind: str, scope: Scope) -> None:
    """A sandbox has accounted verdicts, and exact ones."""
    noisy = kind == "accounted"
    found = accounted(report, Outcome.PASSED, scope=scope) if noisy else exact(report, scope=scope)
    assert found.decision.accounted is noisy
    assert any("exact comparison" in sentence for sentence in found.exposed) is not noisy
    assert ("Verdicts are counted" in said(found, "Composition over releases")[1]) is not noisy
    text = page(found)
    assert ("A rule reads the right end of the bar" in text) is not noisy
    assert ("one noisy margin decided, of counts of its own" in text) is noisy
    inside = scope is Scope.RELEASE and noisy
    assert ("inside the epsilon" in found.decision.headline) is (noisy and scope is not Scope.NONE)
    assert ("The verdict is part of the epsilon" in said(found, "All of the release is accounted for")[1]) is inside
    assert ("the noisy margin, and so the verdict" in found.exposed[-1]) is inside


@pytest.mark.parametrize("outcome", Outcome)
def test_criteria_of_an_accounted_verdict_follow_its_margin(report: Report, outcome: Outcome) -> None:
    found = accounted(report, outcome)
    states = {c.state for c in found.criteria}
    assert states == {"good" if outcome is Outcome.PASSED else "bad"}
    failed = any("which of them failed" in c.answer for c in found.criteria)
    assert failed is (outcome is Outcome.ABOVE)
    unclear = any("doubt refuses" in c.answer for c in found.criteria)
    assert unclear is (outcome not in (Outcome.PASSED, Outcome.ABOVE))


def test_too_large_an_epsilon_does_not_say_that_the_margin_refused(report: Report) -> None:
    margin = decided(Outcome.PASSED).findings[1]
    both = Verdict(findings=(Finding(rule=Rule(score=EPSILON, at_most=0.5), outcome=Outcome.ABOVE), margin))
    score = Score(name=MARGIN, value=-90, low=-114, high=-66, better=Better.LOWER)
    claim = statement(scope=Scope.RELEASE, end_to_end=True)
    found = document(replace(report, scores=(score, *report.scores)), both, policy=DEFAULT_POLICY, claim=claim)
    assert not found.decision.passed
    assert not any("refused" in c.answer for c in found.criteria)


@pytest.mark.parametrize("sealed", [False, True])
def test_nothing_is_promised_of_an_attack_that_finds_everybody(sealed: bool) -> None:
    """A secret that is missing everywhere is guessed of strangers as of anybody."""
    tally = Tally(attacks=1_000, main=1_000, control=1_000, naive=1_000)
    report = Report(scores=(tally.score("risk.linkability"),))
    found = accounted(report, Outcome.PASSED) if sealed else exact(report)
    told = strength(found, "risk.linkability")
    assert "no excess could have shown" in told
    assert "95 of 100" not in told


def test_copies_of_an_accounted_verdict_point_at_the_share_that_it_convicts(report: Report) -> None:
    told = strength(accounted(report, Outcome.PASSED), COPIES)
    assert "The remark on the noisy margin says which shares" in told
    assert "Where the true excess" not in told
    assert "Where the true excess is above 0.09" in strength(accounted(report, Outcome.PASSED), "risk.linkability")
    assert "noisy margin says" not in strength(accounted(report, Outcome.INCONCLUSIVE), COPIES)


@pytest.mark.parametrize(
    "repeats",
    [
        Repeats(released=12_000, again=0, distinct=0, twice=0),
        Repeats(released=12_000, again=900, distinct=400, twice=300),
        Repeats(released=12_000, again=900, distinct=150, twice=5),
    ],
)
def test_what_is_said_of_copies_holds(repeats: Repeats) -> None:
    """A release with as many copies passes in at most 5 of 100 draws, by either of the two shares."""
    rule = Rule(score=COPIES, at_most=0.01)
    for rows in (12_000, 20_000, 50_000, 100_000):
        sizes = PublicSizes(rows=rows, units=rows)
        told = [float(n) / 100 for n in re.findall(r"([0-9.]+) %", convictable((rule,), sizes, SIGMA, repeats))]
        assert rows != 12_000 or len(told) == (1 if repeats.twice > 100 else 2)
        looked = (copy_targets(sizes), allowed_copies), (sizes.train_units, allowed_rows)
        for share, (units, most) in zip(told, looked, strict=False):
            found = math.ceil(share * units - 1e-6)
            assert norm.cdf((most(rule, sizes, SIGMA, repeats) - found) / SIGMA - Z95) <= 0.0501


@pytest.mark.parametrize(("limit", "strangers"), [(0.05, 0.0), (0.09, 0.4), (0.15, 0.8)])
def test_what_is_said_of_attacks_holds(limit: float, strangers: float) -> None:
    """Targets with an excess of the limit are refused in 95 of 100 tables, by simulation of 4,000."""
    rule = Rule(score="risk.linkability", at_most=limit)
    targets, draw = attack_targets(SIZES), np.random.default_rng(5)
    main, control = (draw.binomial(targets, p, 4_000) for p in (strangers + limit, strangers))
    margin = main - control - allowed(rule, SIZES) + draw.normal(0, SIGMA, 4_000)
    assert np.mean(margin + Z95 * SIGMA <= 0) <= 0.05
    assert slack(targets) > 0


@pytest.mark.parametrize(("limit", "strangers"), [(0.05, 0.0), (0.09, 0.3)])
def test_what_is_said_of_singling_out_is_of_units(report: Report, limit: float, strangers: float) -> None:
    """An accounted verdict counts each unit once, so that it can pass where questions go far beyond the limit: what is
    promised is of units, and holds where the verdict counts as many of them as it says."""
    policy = replace(DEFAULT_POLICY, rules=tuple(_at(rule, limit) for rule in DEFAULT_POLICY.rules))
    for name in ("risk.singling_out.univariate", "risk.singling_out.multivariate"):
        told = strength(accounted(report, Outcome.PASSED, policy=policy), name)
        assert "Where the true excess" not in told
        assert f"share of units that a question singles out, each counted once, is more than {limit:g} above" in told
        assert "another figure than the one shown here" in told
        assert "Where the true excess is above 0.09" in strength(exact(report), name)
    targets, draw = attack_targets(SIZES), np.random.default_rng(6)
    main, control = (draw.binomial(targets, p, 4_000) for p in (strangers + limit, strangers))
    rule = Rule(score="risk.singling_out.univariate", at_most=limit)
    margin = main - control - allowed(rule, SIZES) + draw.normal(0, SIGMA, 4_000)
    assert np.mean(margin + Z95 * SIGMA <= 0) <= 0.05


def _at(rule: Rule, limit: float) -> Rule:
    return replace(rule, at_most=limit) if rule.score.startswith("risk.singling_out") else rule


def test_a_sealed_report_does_not_speak_of_approvals_to_come(report: Report) -> None:
    """Nobody reads it while they are awaited."""
    asked = replace(DEFAULT_POLICY, approvals=1)
    found = accounted(report, Outcome.PASSED, policy=asked)
    text = decision_page(found, "ab" * 32)
    for never in ("waits for", "Approve or reject", "asks for no approval", "Date, signature"):
        assert never not in found.decision.headline + text, never
    assert "This report was sealed until nothing was left to decide" in text
    assert "waits for 1 officer" in exact(report, policy=replace(EXACT_POLICY, approvals=1)).decision.headline


def test_strength_says_on_how_many_it_was_tried_and_decided(report: Report) -> None:
    noisy, usual = accounted(report, Outcome.PASSED), exact(report)
    assert "Tried on about 2,000 trained units" in strength(usual, "risk.linkability")
    assert "The verdict attacked" not in strength(usual, "risk.linkability")
    assert f"The verdict attacked {attack_targets(SIZES):,} units" in strength(noisy, "risk.linkability")
    assert "At most about 2,000 questions were asked" in strength(usual, "risk.singling_out.univariate")
    assert (
        f"The verdict looked {copy_targets(SIZES):,} units of either side up, and rare rows of all units"
        in strength(noisy, COPIES)
    )
    assert "All rows of all units" in strength(usual, COPIES)
    near = strength(usual, NEAR_COPIES)
    assert "All rows" not in near
    assert "At most 20,000 units of either side and 20,000 released rows" in near
    assert NEAR_MOST == MAX_ROWS


def test_an_attack_that_convicts_nobody_does_not_say_that_it_does(report: Report) -> None:
    coarse = [replace(s, note=f"x; {CONVICTS_NONE}") if s.name == COPIES else s for s in report.scores]
    told = strength(exact(replace(report, scores=tuple(coarse))), COPIES)
    assert "no share of copied rows is sure to be refused" in told
    assert "95 of 100" not in told


CLAIMED = Opaque(epsilon=1.0, delta=5e-8)


@pytest.mark.parametrize(
    ("claim", "house", "status", "words"),
    [
        ({}, OWN, "covered", "attack this engine with known mistakes"),
        ({"weakened_by": ("Floats.",)}, OWN, "in part", "What weakens this run: Floats."),
        ({}, House(), "not covered", "The gateway's own tests do not attack it"),
        ({"event": CLAIMED}, OWN, "not covered", "do not attack it"),
        ({"scope": Scope.NONE}, OWN, "not covered", "engines that nobody certified"),
    ],
)
def test_who_attacked_the_mechanism(
    report: Report, claim: dict[str, object], house: House, status: str, words: str
) -> None:
    found = compose(
        report, title="t", facts={}, verdict=verdict(), statement=statement(**({"weakened_by": ()} | claim)),
        domain=DOMAIN, policy=EXACT_POLICY, house=house,
    )  # fmt: skip
    told, text = said(found, "Implementation of the mechanism")
    assert (told, words in text) == (status, True)


def test_times_are_blurred_and_not_constant(report: Report) -> None:
    told = said(accounted(report, Outcome.PASSED), "Side channels")[1]
    assert "on a tick of 15 seconds" in told
    assert "does not make it constant" in told
    assert "no duration" not in told


def test_a_sandbox_claims_nothing(report: Report) -> None:
    for found in (accounted(report, Outcome.PASSED, scope=Scope.NONE), exact(report, scope=Scope.NONE)):
        claims = {
            "Privacy parameters", "Variant of the definition", "Unit of privacy", "Composition over releases",
            "All of the release is accounted for", "Implementation of the mechanism", "Synthetic data",
        }  # fmt: skip
        assert {check.topic for check in found.checklist if str(check.status) == "not covered"} >= claims
        assert found.promise.facts["epsilon at delta"] == "none is claimed"
        assert found.exposed[-1] == "Differentially private is nothing."


@pytest.mark.parametrize("approvals", [0, 2])
def test_the_decision_page_asks_for_a_signature_where_one_is_wanted(report: Report, approvals: int) -> None:
    text = decision_page(exact(report, policy=replace(EXACT_POLICY, approvals=approvals)), "ab" * 32)
    assert ("Approve or reject" in text) is (approvals > 0)
    assert ("asks for no approval" in text) is (approvals == 0)


@pytest.mark.parametrize("unit", ["one row; a person only if", "one value of the id column, at most 3 of its rows"])
def test_rows_are_not_called_persons(report: Report, unit: str) -> None:
    found = document(report, claim=statement(unit=unit))
    assert ("the person is not as well" in said(found, "Unit of privacy")[1]) is unit.startswith("one row")
    assert unit in found.promise.sentence
