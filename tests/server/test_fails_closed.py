"""The gate fails closed: reports that pass but for one fault, 5,000 of them, and none passes.

Every vector takes the report and statement that pass (the control), and breaks one thing that a rule needs: a number,
a type, a flag, a direction, presence, uniqueness, the statement's epsilon, or the policy. Gates with planted faults go
through the same vectors and are convicted.
"""

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from server.policy import decide
from synthgate.policy import EPSILON, EXACT_POLICY, Outcome, Policy
from synthgate.report import Better, Report, Score
from synthgate.statement import PrivacyStatement
from tests.server.test_policy import DOMAIN, STATEMENT

VECTORS = 5_000
RULES = {rule.score: rule for rule in EXACT_POLICY.concrete(DOMAIN)}
GATED = [name for name in RULES if name != EPSILON]
Case = tuple[str, Policy, PrivacyStatement, Report]
Gate = Callable[[Policy, PrivacyStatement, Report], bool]


def good(name: str) -> Score:
    """A score at the good side of its rule, whichever side that is."""
    rule = RULES[name]
    value = 0.0 if rule.at_least is None else rule.at_least
    return Score(name=name, value=value, low=value, high=value, better=Better.LOWER)


def beyond(name: str, by: float) -> float:
    """A number on the wrong side of the rule's threshold."""
    rule = RULES[name]
    return rule.at_most + by if rule.at_most is not None else (rule.at_least or 0.0) - by


def passing() -> dict[str, Score]:
    return {name: good(name) for name in GATED}


NO_NUMBERS: tuple[Any, ...] = (
    math.nan, -math.nan, math.inf, -math.inf, None, "0", "", "nan", b"0", True, False, [], [0.0], {}, (), 0j, 1e-3j,
    object(), Ellipsis, Better.LOWER,
)  # fmt: skip


def faults(draw: random.Random) -> Iterator[Case]:
    """One faulty case after the other, without end."""
    while True:
        name = draw.choice(GATED)
        kind, scores, statement, policy = draw.choice(KINDS), passing(), STATEMENT, EXACT_POLICY
        if kind == "no number":
            field = draw.choice(["value", "low", "high", "all"])
            bad = draw.choice(NO_NUMBERS)
            changes = dict.fromkeys(("value", "low", "high") if field == "all" else (field,), bad)
            scores[name] = replace(scores[name], **changes)
        elif kind == "beyond the threshold":
            bad = beyond(name, 10 ** draw.uniform(-9, 6))
            ends = {"low": min(bad, good(name).value), "high": max(bad, good(name).value)}
            better = draw.choice(list(Better))
            told = ends | {"value": bad, "better": better}
            if draw.random() < 0.5 and RULES[name].at_most is not None:
                told |= {"value": ends["low"], "better": Better.LOWER}
            scores[name] = replace(scores[name], **told)
        elif kind == "ends out of order":
            gap = 10 ** draw.uniform(-9, 3)
            value = scores[name].value
            scores[name] = replace(scores[name], low=value + gap, high=value - gap)
        elif kind == "not conclusive":
            scores[name] = replace(scores[name], conclusive=draw.choice([False, None, 0, 1, "true", "", []]))
        elif kind == "missing":
            del scores[name]
        elif kind == "another name":
            scores[name] = replace(scores[name], name=draw.choice([name.upper(), name + " ", "", name + ".x"]))
        elif kind == "epsilon":
            bad = draw.choice([*NO_NUMBERS, EXACT_POLICY.epsilon_max + 10 ** draw.uniform(-6, 6)])
            statement = replace(statement, epsilon=bad)
        elif kind == "empty policy":
            policy = replace(policy, rules=())
        twice = (replace(scores[name], value=draw.random()),) if kind == "twice" else ()
        yield kind, policy, statement, Report(scores=(*scores.values(), *twice))


KINDS = (
    "no number", "beyond the threshold", "ends out of order", "not conclusive", "missing", "another name", "epsilon",
    "empty policy", "twice",
)  # fmt: skip


def sound(policy: Policy, statement: PrivacyStatement, report: Report) -> bool:
    return decide(policy, DOMAIN, statement, report).passed


def passed(gate: Gate, vectors: int) -> list[str]:
    """The kinds of faulty cases that a gate lets pass."""
    drawn = faults(random.Random(5_000))
    return [case[0] for case in (next(drawn) for _ in range(vectors)) if gate(*case[1:])]


@pytest.mark.guarantee("fails-closed")
def test_no_faulty_vector_passes(record_property: Callable[[str, object], None]) -> None:
    assert sound(EXACT_POLICY, STATEMENT, Report(scores=tuple(passing().values()))), "the control passes"
    assert passed(sound, VECTORS) == []
    record_property("reached", f"{VECTORS:,} faulty vectors of {len(KINDS)} kinds, none passed; the control passes")


@pytest.mark.guarantee("fails-closed")
def test_no_faulty_report_passes_after_a_round_through_json(record_property: Callable[[str, object], None]) -> None:
    """A worker hands its report over as JSON: what that cannot hold must not become something that passes."""
    drawn, read = faults(random.Random(1)), 0
    for _ in range(VECTORS):
        _, policy, statement, report = next(drawn)
        try:
            told = Report.from_dict(json.loads(json.dumps(report.to_dict())))
        except (TypeError, ValueError):
            continue
        read += 1
        assert not sound(policy, statement, told)
    assert read > VECTORS / 2
    record_property("reached", f"{read:,} faulty reports read back from JSON, none passed")


def no_worse(policy: Policy, statement: PrivacyStatement, report: Report) -> bool:
    """Planted: refuses what is above, instead of passing what is not."""
    scores = {s.name: s for s in report.scores}
    for rule in policy.concrete(DOMAIN):
        score = scores.get(rule.score)
        limit = math.inf if rule.at_most is None else rule.at_most
        if score is not None and isinstance(score.value, float) and score.value > limit:
            return False
    return True


def skips(policy: Policy, statement: PrivacyStatement, report: Report) -> bool:
    """Planted: a rule whose score is missing is not applied."""
    scores = {s.name for s in report.scores} | {EPSILON}
    findings = decide(policy, DOMAIN, statement, report).findings
    return bool(findings) and all(f.outcome is Outcome.PASSED for f in findings if f.rule.score in scores)


def trusts_the_request(policy: Policy, _statement: PrivacyStatement, report: Report) -> bool:
    """Planted: reads what was asked for instead of the statement of what ran."""
    return sound(policy, STATEMENT, report)


@pytest.mark.guarantee("fails-closed")
@pytest.mark.parametrize("gate", [no_worse, skips, trusts_the_request], ids=lambda gate: gate.__name__)
def test_planted_gates_are_convicted(gate: Gate) -> None:
    assert gate(EXACT_POLICY, STATEMENT, Report(scores=tuple(passing().values())))
    assert passed(gate, 1_000) != []
