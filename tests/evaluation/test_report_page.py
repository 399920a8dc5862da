"""The report as pages: nothing active, nothing foreign, everything escaped, the same bytes again."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from report_cases import EVIL, TURN, document, evaluated, statement, verdict

from evaluation.report import Document, decision_page, page, words
from evaluation.report.words import belief, inert, percent, promise
from synthgate.policy import EPSILON, EXACT_POLICY, Outcome, Policy, Verdict
from synthgate.report import Better, Report, Score
from synthgate.statement import Scope

FORMS: dict[str, Callable[[Document], str]] = {
    "page": page,
    "decision": lambda document: decision_page(document, "ab" * 32),
}
FORBIDDEN = {"script", "img", "iframe", "object", "embed", "link", "form", "image", "a", "input", "button", "base"}


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluated()


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.targets += [str(value) for name, value in attrs if name in {"href", "src", "xlink:href"}]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_inert_and_whole(report: Report, form: str) -> None:
    text = FORMS[form](document(report))
    seen = _Seen()
    seen.feed(text)
    assert not seen.tags & FORBIDDEN
    assert "style" not in seen.attributes
    assert not any(name.startswith("on") for name in seen.attributes)
    assert all(target.startswith("#") for target in seen.targets)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {t[1:] for t in seen.targets} <= set(ids)


@pytest.mark.parametrize("form", FORMS)
def test_the_content_policy_admits_this_style_alone(report: Report, form: str) -> None:
    text = FORMS[form](document(report))
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in text


@pytest.mark.parametrize("form", FORMS)
def test_names_are_escaped_everywhere(report: Report, form: str) -> None:
    text = FORMS[form](document(report, verdict({f"risk.inference.{EVIL}": Outcome.ABOVE})))
    assert EVIL not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "&lt;b&gt;compares&lt;/b&gt;" in text
    assert "<script" not in text


@pytest.mark.parametrize("form", FORMS)
def test_no_character_acts_unseen(report: Report, form: str) -> None:
    text = FORMS[form](document(report))
    assert inert(text.replace("\n", "")) == text.replace("\n", "")
    assert "\\u202e" in text
    assert document(report).to_json().decode("ascii").count("\\u202e") > 0


@pytest.mark.parametrize("form", FORMS)
def test_without_the_filter_a_name_would_turn_the_page(
    report: Report, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "inert", lambda text: text)
    assert TURN in FORMS[form](document(report))


@pytest.mark.parametrize("text", ["größe", "שלום", "数", "a b", "$x$", "e\u0301"])
def test_what_is_seen_stays(text: str) -> None:
    assert inert(text) == text


def test_the_same_inputs_give_the_same_bytes_whatever_the_clock(report: Report) -> None:
    slower = Report(scores=report.scores, details=report.details, seconds=dict.fromkeys(report.seconds, 99.0))
    first, second = document(report), document(Report.from_dict(json.loads(json.dumps(slower.to_dict()))))
    assert first.to_json() == second.to_json()
    for form in FORMS.values():
        assert form(first) == form(second)


@pytest.mark.parametrize("form", FORMS)
def test_a_passing_verdict_and_the_banner_come_first(report: Report, form: str) -> None:
    text = FORMS[form](document(report))
    assert "exact comparisons with private records; not differentially private; do not forward" in text
    body = text[text.index("</header>") :]
    assert body.index(">Passed<") < min(body.index("<dl>"), body.find("<svg") % len(body))
    assert "All 10 rules of the policy hold" in text
    assert "at most 73.2 % sure" in text
    assert "a chance of 1 in 20,000,000 (delta 5e-08)" in text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("score", "outcome", "told"),
    [
        (EPSILON, Outcome.ABOVE, "Epsilon: 1 does not meet ≤ 3."),
        ("risk.copies", Outcome.ABOVE, "Verbatim copies: the upper end"),
        ("risk.copies", Outcome.INCONCLUSIVE, "could not be told"),
        ("risk.linkability", Outcome.MISSING, "no such score, and doubt refuses"),
    ],
)
def test_a_refusal_says_why(report: Report, form: str, score: str, outcome: Outcome, told: str) -> None:
    text = FORMS[form](document(report, verdict({score: outcome})))
    assert ">Refused<" in text
    assert ">Passed<" not in text
    assert told in text


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_policy_and_an_empty_report_are_rendered_as_a_refusal(form: str) -> None:
    empty = Policy(name="none", epsilon_max=1, certified_only=True, verdicts_max=0, approvals=0, rules=())
    text = FORMS[form](document(Report(scores=()), Verdict(findings=()), policy=empty))
    assert "an empty policy refuses" in text
    assert "<svg" not in text


@pytest.mark.parametrize("form", FORMS)
def test_inconclusive_scores_are_shown_as_such(form: str) -> None:
    few = document(evaluated(3, 2, 5))
    text = FORMS[form](few)
    assert not re.search(r"\bnan\b|\binf\b", text)
    assert b"NaN" not in few.to_json()


def test_an_inconclusive_score_tells_no_figure() -> None:
    scores = tuple(
        Score(name=name, value=0.1234, low=0.1, high=0.2, better=Better.LOWER, conclusive=sure, note="why")
        for name, sure in (("fairness.tstr_gap", False), ("fairness.shares", True))
    )
    found = document(Report(scores=scores))
    told, sure = (next(x for g in found.groups for x in g.lines if x.name == s.name) for s in scores)
    assert (told.value, told.interval, told.outcome, told.note) == ("–", "", "could not be told", "why")
    assert (sure.value, sure.interval, sure.outcome) == ("0.123", "0.100 to 0.200", "not gated")


def test_every_target_and_way_of_learning_is_shown() -> None:
    models = [
        {"target": "a<b>", "learner": "boosted", "measure": "AUC", "synthetic": 0.8125, "real": 0.9125},
        {"target": "pay", "learner": "linear", "measure": "R2", "synthetic": None, "real": 0.5},
        {"target": "odd"},
    ]
    text = page(document(Report(scores=(), details={"utility.tstr": {"models": models}})))
    assert "a&lt;b&gt;" in text
    assert 'data-label="from the sample">0.812<' in text
    assert 'data-label="from the sample">–<' in text
    assert text.count('data-label="from training rows"') == 2


def test_what_others_measure_is_rendered_by_its_group() -> None:
    scores = [
        Score(name=name, value=0.5, low=0.4, high=0.6, better=Better.HIGHER)
        for name in ("risk.membership.auc", "utility.coverage", "fairness.parity.<b>", "unheard.of")
    ]
    details = {"utility.marginals": {"odd": 1}, "utility.tstr": {"targets": []}, "risk.membership": {"x": math.nan}}
    text = page(document(Report(scores=tuple(scores), details=details), verdict()))
    for heading in ("Risk", "Utility", "Fairness", "Other"):
        assert f"<h3>{heading}</h3>" in text
    for score in scores:
        assert score.name.replace("<b>", "&lt;b&gt;") in text


def test_a_decision_page_names_its_report_and_leaves_room_for_a_name(report: Report) -> None:
    text = decision_page(document(report, policy=_with(approvals=2)), "ab" * 32)
    assert "ab" * 32 in text
    assert "It waits for 2 officers to approve it." in text
    assert "Date, signature" in text
    refused = decision_page(document(report, verdict({"risk.copies": Outcome.ABOVE})), "ab" * 32)
    assert "Date, signature" not in refused
    assert len(text) < len(page(document(report))) / 3


def _with(**changes: object) -> Policy:
    return Policy.from_dict(EXACT_POLICY.to_dict() | changes)


@pytest.mark.parametrize(("epsilon", "sure"), [(0.0, 0.5), (math.log(3), 0.75), (1.0, 0.7310586), (3.0, 0.9525741)])
def test_belief(epsilon: float, sure: float) -> None:
    assert belief(epsilon) == pytest.approx(sure)


@pytest.mark.parametrize(("before", "after"), [(0.01, 3 / 102), (0.1, 0.25), (0.9, 27 / 28)])
def test_belief_from_another_start(before: float, after: float) -> None:
    assert belief(math.log(3), before) == pytest.approx(after)


@pytest.mark.parametrize(
    ("share", "told"), [(0.5, "50"), (0.7310586, "73.2"), (0.9992, "more than 99.9"), (0.25, "25")]
)
def test_a_belief_is_rounded_up(share: float, told: str) -> None:
    assert percent(share) == told


def test_a_sandbox_promises_nothing(report: Report) -> None:
    sandbox = statement(scope=Scope.NONE)
    assert "no privacy guarantee" in promise(sandbox)
    shown = document(report, claim=sandbox)
    assert shown.promise.beliefs == ()
    assert "Differentially private is nothing." in shown.exposed
