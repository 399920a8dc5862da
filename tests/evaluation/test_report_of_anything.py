"""Whatever metrics say, whatever names and remarks hold: three forms, nothing active, nothing unseen, no exception."""

import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from report_cases import DOMAIN, EVIL, TURN, statement

from evaluation.report import compose, decision_page, page
from evaluation.report.words import inert
from server.policy import decide
from synthgate.policy import DEFAULT_POLICY, EXACT_POLICY, FIXED_SCORES, INFERENCE, Policy
from synthgate.report import Better, Report, Score
from synthgate.statement import Scope

TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(
    [EVIL, TURN, "\ud800", "{{ 7 * 7 }}", "&amp;", "]]>", "\x00"]
)
"""Lone surrogates and controls included: JSON can carry them."""

NUMBERS = st.floats() | st.floats(-1, 1)
NAMES = st.sampled_from(sorted(FIXED_SCORES)) | st.builds(
    "{}{}".format, st.sampled_from([INFERENCE, "risk.", "utility.", "fairness.", ""]), TEXT
)
SCORES = st.builds(
    Score, name=NAMES, value=NUMBERS, low=NUMBERS, high=NUMBERS, better=st.sampled_from(Better),
    conclusive=st.booleans(), note=TEXT,
)  # fmt: skip
REPORTS = st.builds(Report, scores=st.lists(SCORES, max_size=12, unique_by=lambda s: s.name).map(tuple))
POLICIES = st.sampled_from(
    [
        EXACT_POLICY,
        DEFAULT_POLICY,
        Policy.from_dict(
            {
                "verdict": "exact",
                "audience": "world",
                "attacker": {"also_secret": [DOMAIN.columns[1].name]},
            }
        ),
    ]
)


@settings(max_examples=60, deadline=None)
@given(REPORTS, POLICIES, TEXT, st.dictionaries(TEXT, TEXT, max_size=3), st.sampled_from(Scope))
def test_any_report_becomes_three_inert_forms(
    report: Report, policy: Policy, title: str, facts: dict[str, str], scope: Scope
) -> None:
    claim = statement(scope=scope, end_to_end=scope is Scope.RELEASE)
    verdict = decide(policy, DOMAIN, claim, report)
    document = compose(report, title=title, facts=facts, verdict=verdict, statement=claim, domain=DOMAIN, policy=policy)
    content = document.to_json()
    assert content.isascii()
    assert len(Report.from_dict(json.loads(content)).scores) == len(report.scores)
    for text in (page(document), decision_page(document, "ab" * 32)):
        assert text.encode()
        lines = text.split("\n")
        assert [inert(line) for line in lines] == lines
        assert not re.search(r"<(script|img|iframe|link|form)", text)
        assert ">49<" not in text
