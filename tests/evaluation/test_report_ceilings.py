"""Membership in the report: every figure beside the ceiling of epsilon, and one above it stands out."""

import json
import math

import numpy as np
import pytest
from report_cases import DOMAIN, document, evaluated, rows, statement

from evaluation.base import Comparison
from evaluation.report import decision_page, page
from evaluation.report.ceilings import ABOVE, BEYOND, WITHIN, membership
from evaluation.risk.membership import Membership
from synthgate.policy import MEMBERSHIP
from synthgate.report import Better, Report, Score
from synthgate.statement import Scope

AREA, SHARE = "risk.membership.domias", "risk.membership.domias_tpr"
CEILING = {  # at epsilon 1, by hand: 1/2 + (e - 1) / (2 (e + 1)), and e / 100
    AREA: 0.5 + 0.5 * (math.e - 1) / (math.e + 1),
    SHARE: math.e / 100,
}


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluated(2_000, 2_000, 2_000)


def figure(name: str, low: float, value: float, high: float) -> Report:
    """One figure as an attack gives it: an area less the half that guessing gives."""
    off = 0.5 if name == AREA else 0.0
    score = Score(name=name, value=value - off, low=low - off, high=high - off, better=Better.LOWER)
    return Report(scores=(score,), details={"risk.membership": {"fpr": 0.01, "attacks": 2_000}})


def test_every_figure_stands_beside_its_ceiling_in_all_forms(report: Report) -> None:
    found = document(report)
    assert [line.name for line in found.membership.lines] == list(MEMBERSHIP)
    for line in found.membership.lines:
        assert line.most == pytest.approx(CEILING[SHARE if line.name.endswith("_tpr") else AREA], abs=1e-6)
    area = found.membership.lines[0]
    assert area.value == pytest.approx(report[AREA].as_shown().value + 0.5)
    assert json.loads(found.to_json())["membership"]["lines"][0]["most"] == pytest.approx(area.most)
    text = page(found)
    assert "beside the ceiling that epsilon implies" in text
    assert "an area under the curve of 0.732" in text
    assert "2.8 % of the people trained on where 1 %" in text
    assert text.count('data-label="ceiling"') == 6
    assert 'data-label="ceiling">0.732<' in text
    assert f"all {len(found.membership.lines)} figures, as coarse as they are shown, lie" in decision_page(
        found, "ab" * 32
    )


@pytest.mark.parametrize(
    ("name", "ends", "finding"),
    [
        (AREA, (0.48, 0.50, 0.52), WITHIN),
        (AREA, (0.70, 0.73, 0.76), WITHIN),
        (AREA, (0.70, 0.74, 0.78), ABOVE),
        (AREA, (0.74, 0.78, 0.82), BEYOND),
        (SHARE, (0.005, 0.010, 0.015), WITHIN),
        (SHARE, (0.020, 0.030, 0.040), ABOVE),
        # above e / 100, but 20 of 2,000 strangers may stand for 1.4 %, where 3.9 % are allowed
        (SHARE, (0.029, 0.035, 0.042), ABOVE),
        (SHARE, (0.045, 0.055, 0.065), BEYOND),
    ],
)
def test_a_figure_above_its_ceiling_stands_out(name: str, ends: tuple[float, float, float], finding: str) -> None:
    found = membership(figure(name, *ends), statement())
    (line,) = found.lines
    assert (line.finding, line.state) == (finding, {WITHIN: "good", ABOVE: "none", BEYOND: "bad"}[finding])
    assert ("lie above the ceiling" in found.summary) is (finding is not WITHIN)


def test_the_training_table_itself_is_beyond_the_ceiling_and_strangers_are_not() -> None:
    """The planted fault: an engine that promises epsilon 1 and gives the training rows away."""
    train, holdout = rows(400, 1), rows(400, 2)
    for sample, finding in ((train, BEYOND), (rows(400, 3), WITHIN)):
        seen = Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=sample)
        told = Membership().measure(seen, generator=np.random.default_rng(1))
        found = membership(Report(scores=told.scores, details={"risk.membership": told.details}), statement())
        assert {line.name: line.finding for line in found.lines}["risk.membership.nearest"] == finding


def test_without_a_promise_or_an_attack_there_is_no_ceiling(report: Report) -> None:
    sandbox = document(report, claim=statement(scope=Scope.NONE))
    assert sandbox.membership.lines == ()
    assert "Ceiling" not in page(sandbox)
    none = membership(Report(scores=()), statement())
    assert (none.lines, none.summary) == ((), "")
    few = document(evaluated(3, 2, 5)).membership
    assert {line.finding for line in few.lines} == {"could not be told"}
    assert few.summary == ""
