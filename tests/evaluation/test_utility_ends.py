"""Ends of figures of use: they hold what they say, they are shown, and no rule reads them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_cases import DOMAIN, document, evaluated, rows
from sklearn.metrics import r2_score, roc_auc_score

from evaluation.base import Comparison
from evaluation.risk.ranking import auc
from evaluation.run import compare
from evaluation.utility.ends import area_influence, areas_influence, ends, fit_influence, told
from evaluation.utility.propensity import Propensity
from synthgate.domain import Column, Kind
from synthgate.report import Report

WIDE = replace(DOMAIN, columns=(*DOMAIN.columns, Column(name="more", kind=Kind.INTEGER, low=0, high=9)))
ALONE = np.arange(400, dtype=np.int64)


def test_an_area_by_hand() -> None:
    """Members 3 and 1 against 2 and 0: of four pairs three are right. 3 beats both others, 1 one of them."""
    moves = area_influence(np.array([True, True, False, False]), np.array([3.0, 1.0, 2.0, 0.0]))
    assert moves.tolist() == [0.5, -0.5, -0.5, 0.5]


@pytest.mark.parametrize("seed", range(3))
def test_influences_foretell_what_the_figure_is_without_a_row(seed: int) -> None:
    """Leaving out row i of n moves the figure by about -influence_i / (n - 1)."""
    draw = np.random.default_rng(seed)
    target = draw.integers(0, 3, 400).astype(float)
    chances = draw.random((400, 3)) + 0.3 * np.eye(3)[target.astype(int)]
    values = draw.normal(size=400)
    predicted = values + draw.normal(size=400)

    def areas(kept: np.ndarray) -> float:
        shares = [(target[kept] == c).mean() for c in range(3)]
        return float(np.dot(shares, [roc_auc_score(target[kept] == c, chances[kept, c]) for c in range(3)]))

    def fit(kept: np.ndarray) -> float:
        return float(r2_score(values[kept], predicted[kept]))

    for figure, moves in ((areas, areas_influence(target, chances)), (fit, fit_influence(values, predicted))):
        assert moves.mean() == pytest.approx(0.0, abs=1e-9)
        whole = figure(ALONE)
        for i in range(0, 400, 40):
            assert figure(np.delete(ALONE, i)) - whole == pytest.approx(-moves[i] / 399, abs=3e-5, rel=0.05)


def _one_sided(truth: float, pairs: list[tuple[float, float]]) -> tuple[float, float]:
    low, high = np.array(pairs).T
    return float((low <= truth).mean()), float((truth <= high).mean())


def test_ends_of_an_area_hold_what_they_say() -> None:
    """2,000 draws: shares of 0.95 within four standard deviations of 0.005, and a little for 200 rows a side."""
    draw, pairs = np.random.default_rng(1), []
    members = np.repeat([True, False], 200)
    for _ in range(2_000):
        figures = draw.normal(size=400) + members
        found = ends(auc(figures[members], figures[~members]), (area_influence(members, figures), ALONE))
        assert found is not None
        pairs.append(found)
    for share in _one_sided(0.7602499, pairs):  # the chance that N(1, 2) is above 0
        assert share == pytest.approx(0.95, abs=0.025)


def test_rows_of_one_unit_are_no_evidence_of_their_own() -> None:
    """Every row five times: taken for independent the ends would be narrower by a factor of sqrt(5)."""
    draw = np.random.default_rng(2)
    moves = draw.normal(size=80)
    units = np.repeat(np.arange(80), 5)
    five, once = (ends(0.0, part) for part in ((np.repeat(moves, 5), units), (moves, np.arange(80))))
    blind = ends(0.0, (np.repeat(moves, 5), ALONE))
    assert five is not None
    assert once is not None
    assert blind is not None
    assert five[1] == pytest.approx(once[1])
    assert blind[1] == pytest.approx(once[1] / 5**0.5, rel=0.01)


def test_what_nothing_moves_has_no_ends() -> None:
    assert ends(1.0, (np.zeros(400), ALONE)) is None


@pytest.fixture(scope="module")
def report() -> Report:
    tables = {"train": (400, 1), "holdout": (300, 2), "sample": (400, 3)}
    frames = {side: _wide(*how) for side, how in tables.items()}
    return compare(Comparison(domain=WIDE, **frames), seed=bytes(16), progress=lambda _: None)


def _wide(size: int, seed: int) -> pd.DataFrame:
    return rows(size, seed).assign(more=np.random.default_rng(seed + 100).integers(0, 10, size).astype(float))


def test_a_table_of_few_columns_shows_no_ends() -> None:
    details = evaluated(400, 300, 400).details
    assert details["utility.tstr"]["intervals"] == details["utility.propensity"]["intervals"] == {}


SHOWN = (
    "utility.tstr", "utility.tstr_gap", "utility.tstr_linear", "utility.tstr_linear_gap", "utility.propensity_auc",
)  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "pair", "expected"),
    [
        (20_000, (0.7012, 0.7188), [0.7, 0.72]),
        (1_000, (0.7012, 0.7188), [0.7, 0.72]),
        (999, (0.7012, 0.7188), [0.7, 0.8]),
        (1_000, (0.98, 1.02), [0.98, 1.0]),
        (1_000, (-0.011, 0.011), [-0.02, 0.02]),
    ],
)
def test_ends_are_rounded_outward(rows: int, pair: tuple[float, float], expected: list[float]) -> None:
    assert told({"a": pair, "b": None}, rows=rows, most=1.0) == {"a": expected}


@pytest.mark.parametrize("name", SHOWN)
def test_ends_are_shown_and_the_rule_reads_the_value(report: Report, name: str) -> None:
    score = report[name]
    assert score.low == score.value == score.high == score.pessimistic
    line = next(line for group in document(report).groups for line in group.lines if line.name == name)
    low, high = (float(end.replace("−", "-")) for end in line.interval.split(" to "))
    assert low <= score.as_shown().value <= high
    assert low < high
    assert "a rule reads the value" in line.note


def test_a_figure_without_honest_ends_shows_none(report: Report) -> None:
    lines = {line.name: line for group in document(report).groups for line in group.lines}
    for name in (
        "utility.tv1",
        "utility.tv2_excess",
        "utility.tstr_gap_worst",
        "utility.kmarginal",
        "utility.pmse_ratio",
    ):
        assert lines[name].interval == ""
        assert "reads the value" not in lines[name].note


@pytest.mark.slow
def test_ends_of_a_propensity_are_a_little_narrow_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models learn from the rows that they are tried on, crosswise, and that is not in the ends. 60 pairs of tables
    of one population, where the truth is a half: 6 of 120 ends should miss it, 10 do."""
    monkeypatch.setattr("evaluation.utility.ends.told", lambda found, **_: found)  # before they are rounded
    missed = 0
    for number in range(60):
        sides = {"train": _wide(600, 1_000 + 2 * number), "sample": _wide(600, 1_001 + 2 * number)}
        made = Comparison(domain=WIDE, holdout=_wide(100, 2), **sides)
        found = Propensity().measure(made, generator=np.random.default_rng(number))
        low, high = found.details["intervals"]["utility.propensity_auc"]
        missed += (low > 0.5) + (high < 0.5)
    assert missed <= 12
