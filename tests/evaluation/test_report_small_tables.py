"""Tables of two columns, of which a few people have a rare value: no number of the document tells how many.

Wider ones are open (docs/adr/0073). Whoever knows all other rows makes the document for each count under ten. A figure
of several columns may have one step of its last decimal in between, which leaves two sets of counts, and never more.
What singling out counts is left out here: a question that matches one row alone tells of that row, and in a table of
two columns naive questions ask for the rare value over and over (docs/adr/0073).
"""

import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from test_report_small_cells import RELEASES, _document, _numbers

from evaluation.base import Comparison
from evaluation.held_back import coarse
from evaluation.run import compare
from evaluation.tables import normalise
from synthgate.domain import Column, Domain, Kind

COUNTS = (0, 1, 4, 9)
COLUMNS = (
    Column(name="hiv", kind=Kind.BOOLEAN, secret=True, protected=True),
    Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m"), protected=True),
)


def _table(domain: Domain, rows: int, rare: int, seed: int) -> Any:
    draw = np.random.default_rng(seed)
    them = np.zeros(rows, dtype=bool)
    them[draw.permutation(rows)[:rare]] = True
    cells = {
        "hiv": them.tolist(),
        "sex": draw.choice(["f", "m"], rows).tolist(),
    }
    return normalise({c.name: cells[c.name] for c in domain.columns}, domain)


def _told(released: int, train: int, held: int) -> dict[str, str]:
    domain = Domain(columns=COLUMNS, target="sex")
    tables = {"train": (1_600, train, 1), "holdout": (400, held, 2), "sample": (2_000, released, 3)}
    frames = {name: _table(domain, *how) for name, how in tables.items()}
    report = compare(Comparison(domain=domain, **frames), seed=bytes(32), progress=lambda _: None)
    document = _document(report)
    told = dict(_numbers({part: document[part] for part in ("scores", "details")}))
    return {place: number for place, number in told.items() if "singling_out" not in place}


def _steps(released: int) -> Iterator[tuple[str, list[str | None]]]:
    """Every number that leaves more than two sets of counts, or sets that are no run of counts."""
    for pairs in ([(count, 1) for count in COUNTS], [(3, count) for count in COUNTS]):
        told = [_told(released, *pair) for pair in pairs]
        for place in sorted(set().union(*told)):
            found = [each.get(place) for each in told]
            if sum(left != right for left, right in pairwise(found)) > 1:
                yield place, found


@pytest.mark.guarantee("report-holds-back")
@pytest.mark.parametrize("released", RELEASES)
def test_no_number_has_two_steps_among_counts_under_ten(released: int) -> None:
    assert dict(_steps(released)) == {}


@pytest.mark.guarantee("report-holds-back")
def test_exact_scores_have_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the document with the scores that rules read."""
    monkeypatch.setattr(sys.modules["evaluation.report.compose"], "shown", lambda report: report)
    found = {place for place, _ in _steps(2)}
    assert {".scores.utility.tv1.value", ".scores.utility.tv2_excess.value"} <= found


def test_reports_of_several_releases_narrow_a_joint_cell() -> None:
    """How many of ten counts of a pair of values are left, on average of 300 trials, where all others are known."""
    draw = np.random.default_rng(0)

    def joint(count: int) -> Any:
        return np.array([count, 500 - count, 500 - count, count]) / 1_000

    left = {}
    for reports in (1, 3, 10):
        trials = []
        for _ in range(300):
            truth, counts = int(draw.integers(10)), set(range(10))
            for _ in range(reports):
                released = draw.multinomial(1_250, joint(5)) / 1_250
                told = [coarse(float(np.abs(released - joint(count)).sum()) / 2, 1_000) for count in range(10)]
                counts &= {count for count in range(10) if told[count] == told[truth]}
            trials.append(len(counts))
        left[reports] = float(np.mean(trials))
    assert left == pytest.approx({1: 7.9, 3: 5.2, 10: 2.2}, abs=0.3)
