"""The report as a page: nothing active, nothing foreign, everything escaped, the same bytes again."""

import base64
import hashlib
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from evaluation.base import Comparison
from evaluation.report import render
from evaluation.report.words import belief, promise
from evaluation.run import compare
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.events import Gaussian
from synthgate.policy import EPSILON, EXACT_POLICY, MARGIN, Finding, Outcome, Rule, Verdict
from synthgate.report import Better, Report, Score
from synthgate.statement import PrivacyStatement, Scope

EVIL = "<img src=x onerror=alert(1)>"
DOMAIN = Domain(
    columns=(
        Column(name=EVIL, kind=Kind.CATEGORICAL, categories=("<script>", "b$x$"), secret=True),
        Column(name="price in $ \\frac", kind=Kind.FLOAT, low=0.0, high=1.0),
        Column(name="größe & </style>", kind=Kind.INTEGER, low=0, high=5),
    ),
    target=EVIL,
)
STATEMENT = PrivacyStatement(
    scope=Scope.GENERATOR,
    end_to_end=False,
    unit="a person",
    sizes=PublicSizes(rows=500, units=500),
    accountant="PLD",
    event=Gaussian(4.809),
    epsilon=1.0,
    delta=5e-8,
    epsilon_substitute_one=2.0,
    not_covered=("The verdict <b>compares</b> exactly.",),
    weakened_by=("Floats.",),
)


def _rows(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            EVIL: draw.choice(np.array(["<script>", "b$x$"], dtype=object), size),
            "price in $ \\frac": draw.random(size),
            "größe & </style>": draw.integers(0, 6, size).astype(float),
        }
    )


@pytest.fixture(scope="module")
def report() -> Report:
    comparison = Comparison(domain=DOMAIN, train=_rows(300, 1), holdout=_rows(100, 2), sample=_rows(300, 3))
    return compare(comparison, seed=bytes(16), progress=lambda _: None)


def _verdict(outcomes: dict[str, Outcome]) -> Verdict:
    rules = EXACT_POLICY.concrete(DOMAIN)
    return Verdict(findings=tuple(Finding(rule=r, outcome=outcomes.get(r.score, Outcome.PASSED)) for r in rules))


def _page(report: Report, verdict: Verdict, statement: PrivacyStatement = STATEMENT) -> str:
    return render(
        report,
        title=f"Release {EVIL}",
        facts={"dataset": EVIL, "engine": "tree"},
        verdict=verdict,
        statement=statement,
        domain=DOMAIN,
    )


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


def test_the_page_is_inert_and_whole(report: Report) -> None:
    page = _page(report, _verdict({}))
    seen = _Seen()
    seen.feed(page)
    assert not seen.tags & {"script", "img", "iframe", "object", "embed", "link", "form", "image", "a"}
    assert "style" not in seen.attributes
    assert not any(name.startswith("on") for name in seen.attributes)
    assert all(target.startswith("#") for target in seen.targets)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {"http://www.w3.org/2000/svg"}
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {t[1:] for t in seen.targets} <= set(ids)
    assert page.count("<svg") == 4


def test_the_content_policy_admits_this_style_alone(report: Report) -> None:
    page = _page(report, _verdict({}))
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page


def test_names_are_escaped_everywhere(report: Report) -> None:
    page = _page(report, _verdict({f"risk.inference.{EVIL}": Outcome.ABOVE}))
    assert EVIL not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "&lt;b&gt;compares&lt;/b&gt;" in page


def test_the_same_inputs_give_the_same_bytes_whatever_the_clock(report: Report) -> None:
    slower = Report(scores=report.scores, details=report.details, seconds=dict.fromkeys(report.seconds, 99.0))
    reread = Report.from_dict(slower.to_dict())
    assert _page(report, _verdict({})) == _page(reread, _verdict({}))


def test_a_passing_verdict_and_the_banner_come_first(report: Report) -> None:
    page = _page(report, _verdict({}))
    assert "exact comparisons with private records; not differentially private; do not forward" in page
    assert page.index("Passed") < page.index("<svg")
    assert "All 7 rules of the policy hold" in page
    assert "at most 73.2 % sure" in page


@pytest.mark.parametrize(
    ("score", "outcome", "words"),
    [
        (EPSILON, Outcome.ABOVE, "Epsilon: 1 does not meet ≤ 3."),
        ("risk.copies", Outcome.ABOVE, "Verbatim copies: the upper end"),
        ("risk.copies", Outcome.INCONCLUSIVE, "could not be told"),
        ("risk.linkability", Outcome.MISSING, "no such score, and doubt refuses"),
    ],
)
def test_a_refusal_says_why(report: Report, score: str, outcome: Outcome, words: str) -> None:
    page = _page(report, _verdict({score: outcome}))
    assert "Refused" in page
    assert words in page


def test_an_empty_policy_and_an_empty_report_are_rendered_as_a_refusal() -> None:
    page = _page(Report(scores=()), Verdict(findings=()))
    assert "an empty policy refuses" in page
    assert "<svg" not in page


def test_inconclusive_scores_are_drawn_as_such() -> None:
    few = Comparison(domain=DOMAIN, train=_rows(3, 1), holdout=_rows(2, 2), sample=_rows(5, 3))
    page = _page(compare(few, seed=bytes(16), progress=lambda _: None), _verdict({}))
    assert "nan" not in page.lower().replace("finance", "")


@pytest.mark.parametrize(("epsilon", "sure"), [(0.0, 0.5), (math.log(3), 0.75), (1.0, 0.7310586), (3.0, 0.9525741)])
def test_belief(epsilon: float, sure: float) -> None:
    assert belief(epsilon) == pytest.approx(sure)


def test_a_sandbox_promises_nothing() -> None:
    fields = {name: getattr(STATEMENT, name) for name in STATEMENT.__slots__}
    assert "no privacy guarantee" in promise(PrivacyStatement(**(fields | {"scope": Scope.NONE})))


def test_the_page_of_an_accounted_verdict_says_that_one_margin_decided(report: Report) -> None:
    margin = Score(name=MARGIN, value=-20.0, low=-32.0, high=-8.0, better=Better.LOWER, note="in privacy units")
    rules = (Rule(score=EPSILON, at_most=3.0), Rule(score=MARGIN, at_most=0.0))
    verdict = Verdict(findings=tuple(Finding(rule=rule, outcome=Outcome.PASSED) for rule in rules))
    judged = replace(report, scores=(margin, *report.scores))
    page = _page(judged, verdict, replace(STATEMENT, scope=Scope.RELEASE, end_to_end=True))
    assert "One noisy margin decided all rules" in page
    assert "the release, verdict included" in page
    assert "each at the pessimistic end" not in page
    assert "Noisy margin of all rules" in page
    failed = Verdict(findings=(Finding(rule=rules[1], outcome=Outcome.ABOVE),))
    assert "upper end −8.0000 does not meet ≤ 0" in _page(judged, failed)
