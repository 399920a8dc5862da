"""The document: what is tested, against whom, how hard, what it does not cover, and what it holds back."""

import json
import random
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from report_cases import DOMAIN, EVIL, decided, document, evaluated, statement, verdict
from stored_tables import MIXED, write
from test_evaluate import _rows as mixed_rows

from evaluation import held_back
from evaluation.report import Document, compose, decision_page, page
from evaluation.report.attacks import names
from evaluation.report.document import Status
from evaluation.risk.attack import Tally
from evaluation.run import evaluate
from synthgate.attacker import Attacker
from synthgate.dataset import PublicSizes, SizeOrigin
from synthgate.domain import Column, Kind, Role
from synthgate.events import Opaque
from synthgate.policy import DEFAULT_POLICY, EXACT_POLICY, MARGIN, Outcome, Policy, Verdict
from synthgate.report import Better, Report, Score
from synthgate.statement import Scope


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluated()


def test_its_json_is_a_report_that_clients_read(report: Report) -> None:
    told = json.loads(document(report).to_json())
    back = Report.from_dict(told)
    assert [s.to_dict() for s in back.scores] == [s.as_shown().to_dict() for s in report.scores]
    assert set(back.details) == set(report.details)
    assert told["version"] == 2
    assert told["seconds"] == {}
    assert "do not forward" in told["banner"]


def test_every_risk_says_who_attacks_and_how_hard(report: Report) -> None:
    attacks = {a.name: a for a in document(report).attacks}
    assert list(attacks) == [s.name for s in report.scores if s.name.startswith("risk.")]
    guess = attacks[f"risk.inference.{EVIL}"]
    assert guess.knows == "The attacker knows price in $ \\frac, größe & </style>, שלום עולם."
    assert "about 100 trained units" in guess.strength
    assert "above 0.09" in guess.strength
    assert guess.limit == 0.09
    assert "the remark says which excess would have stood out from chance" in guess.strength
    assert re.search(r"an excess of [0-9.]+ would have stood out from chance", report[guess.name].note)


def test_two_rules_on_one_score_are_no_document(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = Policy.concrete
    monkeypatch.setattr(Policy, "concrete", lambda policy, domain: twice(policy, domain) * 2)
    with pytest.raises(ValueError, match="two rules read"):
        document(report)


def test_the_three_criteria_follow_the_verdict(report: Report) -> None:
    states = [c.state for c in document(report).criteria]
    assert states == ["good", "good", "good"]
    linked = document(report, verdict({"risk.linkability": Outcome.MISSING}))
    assert [c.state for c in linked.criteria] == ["good", "bad", "good"]
    without = replace(EXACT_POLICY, rules=tuple(r for r in EXACT_POLICY.rules if "inference" not in r.score))
    ungated = document(report, policy=without)
    assert [c.state for c in ungated.criteria] == ["good", "good", "none"]
    assert "no rule" in ungated.criteria[2].answer
    assert "Not tested" in document(Report(scores=()), Verdict(findings=()), policy=without).criteria[2].answer


@pytest.mark.parametrize(("outcome", "state"), [(Outcome.PASSED, "good"), (Outcome.ABOVE, "bad")])
def test_rules_that_one_figure_decided_together_are_not_said_to_be_unread(
    report: Report, outcome: Outcome, state: str
) -> None:
    """Of an accounted verdict: its margin is shown with the limit that it met or did not, the exact scores are not."""
    margin = Score(name=MARGIN, value=-20.0, low=-32.0, high=-8.0, better=Better.LOWER, note="in privacy units")
    judged, claim = replace(report, scores=(margin, *report.scores)), statement(scope=Scope.RELEASE, end_to_end=True)
    found = document(judged, decided(outcome), policy=DEFAULT_POLICY, claim=claim)
    (shown,) = next(group for group in found.groups if group.heading == "Verdict").lines
    assert (shown.label, shown.limit, shown.state) == ("The noisy margin that decides all rules", "≤ 0", state)
    assert {c.state for c in found.criteria} == {state}
    assert found.promise.facts["covers"] == "the release, verdict included"
    assert "Differentially private is the noisy margin" in found.exposed[-1]
    assert all("One noisy margin decided all rules together" in c.answer for c in found.criteria)
    copies = next(a for a in found.attacks if a.name == "risk.copies")
    assert (copies.limit, copies.line.limit, copies.line.outcome) == (0.01, "≤ 0.01", "decided with all others")
    assert ("One noisy margin inside" in found.decision.headline) is (outcome is Outcome.PASSED)
    assert "≤ 0.01" in decision_page(found, "ab" * 32)


def _status(found: Document) -> dict[str, Status]:
    return {check.topic: check.status for check in found.checklist}


def test_the_checklist_claims_no_more_than_there_is(report: Report) -> None:
    usual = _status(document(report))
    assert len(usual) == len(document(report).checklist) == 15
    assert usual["All of the release is accounted for"] is Status.OPEN
    assert usual["Data collection exposure"] is Status.OPEN
    assert usual["Bias"] is Status.OPEN
    assert usual["Implementation of the mechanism"] is Status.PARTLY
    accounted = _status(
        document(report, decided(), claim=statement(scope=Scope.RELEASE, end_to_end=True, weakened_by=()))
    )
    assert accounted["All of the release is accounted for"] is Status.COVERED
    assert accounted["Implementation of the mechanism"] is Status.COVERED
    counted_rows = _status(document(report, decided(), claim=statement(scope=Scope.RELEASE)))
    assert counted_rows["All of the release is accounted for"] is Status.PARTLY
    assert counted_rows["Composition over releases"] is Status.COVERED
    claimed = _status(document(report, claim=statement(event=Opaque(epsilon=1.0, delta=5e-8))))
    assert claimed["Privacy parameters"] is Status.PARTLY
    sandbox = _status(document(report, claim=statement(scope=Scope.NONE)))
    assert sandbox["Privacy parameters"] is Status.OPEN
    counted = statement(sizes=PublicSizes(rows=500, units=500, origin=SizeOrigin.COUNTED))
    assert _status(document(report, claim=counted))["Public information is public"] is Status.PARTLY


def test_it_says_which_numbers_are_not_private(report: Report) -> None:
    assert any("exact comparison" in sentence for sentence in document(report).exposed)
    accounted = document(report, decided(), claim=statement(scope=Scope.RELEASE, end_to_end=True))
    assert not any("exact comparison" in sentence for sentence in accounted.exposed)


def test_all_that_attackers_know_is_listed(report: Report) -> None:
    more = tuple(Column(name=f"c{i}", kind=Kind.BOOLEAN) for i in range(80))
    found = document(report, domain=replace(DOMAIN, columns=(*DOMAIN.columns, *more)))
    known = found.knowledge["known to attackers"].split(", ")
    assert known == [c.name for c in (*DOMAIN.columns, *more)]


def test_what_the_policy_adds_is_shown(report: Report) -> None:
    hidden = replace(DOMAIN.columns[1], role=Role.SENSITIVE)
    domain = replace(DOMAIN, columns=(DOMAIN.columns[0], hidden, *DOMAIN.columns[2:]))
    wider = Policy.from_dict({"attacker": {"also_knows": [hidden.name], "also_secret": ["größe & </style>"]}})
    found = document(report, policy=wider, domain=domain)
    assert found.knowledge["known because the policy says so"] == hidden.name
    assert found.knowledge["looked for because the policy says so"] == "größe & </style>"
    assert set(document(report).knowledge) == {"known to attackers", "looked for", "columns that a question joins"}
    assert document(report).knowledge["columns that a question joins"] == "1, 2, 3, 4"
    joined = document(report, policy=Policy.from_dict({"attacker": {"also_joins": [4]}}))
    assert joined.knowledge["joined because the policy says so"] == "4"
    named = Policy.from_dict({"audience": "world", "version": 4})
    shown = document(report, policy=named)
    assert shown.facts["policy"] == "default, version 4"
    assert "at most 0.05" in shown.decision.audience


def _stored(folder: Path, *, sizes: tuple[int, int, int] = (400, 100, 300)) -> tuple[Report, dict[str, list[Any]]]:
    cells = [mixed_rows(size, random.Random(seed)) for seed, size in enumerate(sizes)]
    # one person in a bin of their own, whom nothing may show
    cells[0]["age"] = [3 if age is not None and age < 12 else age for age in cells[0]["age"]]
    cells[0]["age"][0] = 11
    private = [
        write(folder / f"{i}.parquet", MIXED, c, units=list(range(len(c["age"])))) for i, c in enumerate(cells[:2])
    ]
    plain = {name: [None if v == "\x00other" else v for v in column] for name, column in cells[2].items()}
    sample = write(folder / "sample.parquet", MIXED, plain)
    return evaluate(MIXED, *private, sample, seed=bytes(16), progress=lambda _: None), cells[0]


def _forms(report: Report) -> dict[str, str]:
    passed = Verdict(findings=())
    found = compose(
        report, title="Release", facts={}, verdict=passed, statement=statement(), domain=MIXED, policy=EXACT_POLICY
    )
    return {"json": found.to_json().decode(), "page": page(found), "decision": decision_page(found, "ab" * 32)}


def _day(seconds: float) -> str:
    return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).date().isoformat()


def _held_back(report: Report, train: dict[str, list[Any]]) -> None:
    """Raises AssertionError where a form holds a raw value, a query, or a cell of fewer than ten rows."""
    raw = {f"{value:.6f}" for value in train["income"] if value is not None}
    declared = {_day(edge) for edge in MIXED["since"].edges}
    raw |= {value.date().isoformat() for value in train["since"] if value is not None} - declared
    for name, text in _forms(report).items():
        assert not [value for value in raw if value in text], name
        assert not any(mark in text for mark in ("col(", "pl.", " == ", ".is_between")), name
    size = len(train["age"])
    for share in report.details["utility.marginals"]["shares"]:
        assert all(value * size >= 9.999 for value in share["train"]), share["column"]


@pytest.mark.guarantee("report-holds-back")
def test_no_raw_value_no_query_and_no_small_cell(tmp_path: Path) -> None:
    _held_back(*_stored(tmp_path))


@pytest.mark.guarantee("report-holds-back")
def test_a_report_with_small_cells_is_convicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_back, "MIN_CELL", 1)
    with pytest.raises(AssertionError, match="age"):
        _held_back(*_stored(tmp_path))


@pytest.mark.guarantee("report-holds-back")
def test_a_note_that_quotes_a_row_is_convicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Tally.score
    _, train = _stored(tmp_path)
    value = next(value for value in train["income"] if value is not None)

    def quoting(tally: Tally, name: str, **given: Any) -> Any:
        return whole(tally, name, **(given | {"remarks": (f"income {value:.6f} was singled out",)}))

    monkeypatch.setattr(Tally, "score", quoting)
    with pytest.raises(AssertionError, match="json"):
        _held_back(*_stored(tmp_path))


def test_an_attacker_with_nothing_to_add_changes_nothing() -> None:
    assert Attacker().widened(MIXED) is MIXED


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ([], "no column"),
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (["c"] * 13, ", ".join("c" * 12) + " and 1 more"),
        (["x" * 100] * 4, f"{'x' * 100}, {'x' * 100} and 2 more"),
        (["x" * 300] * 2, f"{'x' * 300} and 1 more"),
    ],
)
def test_names_in_a_sentence(columns: list[str], told: str) -> None:
    assert names(columns) == told
