"""Utility by hand, and what is shown of private shares."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.base import Comparison
from evaluation.groups import choose_groups
from evaluation.held_back import MIN_CELL
from evaluation.tables import MISSING, codes
from evaluation.utility.association import Association, strength
from evaluation.utility.marginals import Marginals
from evaluation.utility.shares import parts, shares
from evaluation.utility.tstr import TrainOnSynthetic
from synthgate.domain import Column, Domain, Kind

TWO = Domain(columns=tuple(Column(name=n, kind=Kind.CATEGORICAL, categories=("0", "1")) for n in "ab"))


def _two(*counts: int) -> pd.DataFrame:
    """Rows of (0,0), (0,1), (1,0), (1,1), so many of each."""
    cells = [(a, b) for (a, b), n in zip(("00", "01", "10", "11"), counts, strict=True) for _ in range(n)]
    return pd.DataFrame(cells, columns=["a", "b"], dtype=object)


def _measure(metric: object, domain: Domain, train: pd.DataFrame, holdout: pd.DataFrame, sample: pd.DataFrame) -> dict:
    comparison = Comparison(domain=domain, train=train, holdout=holdout, sample=sample)
    found = metric.measure(comparison, generator=np.random.default_rng(3))  # type: ignore[attr-defined]
    return {s.name: s for s in found.scores} | {"details": found.details}


def test_total_variation_of_a_two_by_two_table() -> None:
    """Training is 40 10 10 40, the sample 25 each: cells differ by .15 four times, so 0.30; the columns agree.
    The holdout, 30 20 20 30, is 0.20 away; the excess is 0.10. Three columns there are not."""
    found = _measure(Marginals(), TWO, _two(40, 10, 10, 40), _two(30, 20, 20, 30), _two(25, 25, 25, 25))
    assert found["utility.tv1"].value == pytest.approx(0.0)
    assert found["utility.tv2"].value == pytest.approx(0.30)
    assert found["utility.tv2_excess"].value == pytest.approx(0.10)
    assert not found["utility.tv3"].conclusive
    assert found["details"]["tv2"] == [["a", "b", 0.3]]
    assert "worst 0.3 for a, b" in found["utility.tv2"].note


def test_groups_are_all_or_a_keyed_choice() -> None:
    draw = np.random.default_rng(1)
    assert choose_groups(4, 2, 10, generator=draw) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for columns in (20, 300):
        some = choose_groups(columns, 3, 200, generator=draw)
        assert len(set(some)) == 200
        assert all(a < b < c < columns for a, b, c in some)


def test_strengths_by_hand() -> None:
    a, b = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    both = (False, False)
    assert strength(a, a, numeric=both) == pytest.approx(1.0)
    assert strength(a, b, numeric=both) == pytest.approx(0.0)
    assert strength(a, 1 - 2 * a, numeric=(True, True)) == pytest.approx(-1.0)
    assert strength(a, np.array([1.0, 3.0, 5.0, 7.0]), numeric=(False, True)) == pytest.approx((16 / 20) ** 0.5)
    assert strength(a, np.zeros(4), numeric=(True, True)) == 0.0


def test_association_of_a_lost_relation_is_its_strength() -> None:
    found = _measure(Association(), TWO, _two(50, 0, 0, 50), _two(1, 0, 0, 1), _two(25, 25, 25, 25))
    assert found["utility.association"].value == pytest.approx(1.0)


def _labelled(size: int, seed: int, *, linked: bool) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.random(size)
    y = x if linked else draw.random(size)
    return pd.DataFrame({"x": x, "y": y, "c": np.where(y > 0.5, "true", "false").astype(object)})


@pytest.mark.parametrize(("target", "measure"), [("c", "AUC"), ("y", "R squared")])
def test_a_learnable_target_is_learned_and_a_broken_sample_shows(target: str, measure: str) -> None:
    other = "y" if target == "c" else "c"
    columns = {
        "x": Column(name="x", kind=Kind.FLOAT, low=0.0, high=1.0),
        "y": Column(name="y", kind=Kind.FLOAT, low=0.0, high=1.0),
        "c": Column(name="c", kind=Kind.BOOLEAN),
    }
    del columns[other]
    domain = Domain(columns=tuple(columns.values()), target=target)
    train, holdout = _labelled(600, 1, linked=True), _labelled(300, 2, linked=True)
    good = _measure(TrainOnSynthetic(), domain, train, holdout, _labelled(600, 3, linked=True))
    bad = _measure(TrainOnSynthetic(), domain, train, holdout, _labelled(600, 3, linked=False))
    assert good["utility.tstr"].value > 0.97
    assert abs(good["utility.tstr_gap"].value) < 0.02
    assert bad["utility.tstr_gap"].value > 0.3
    assert measure in good["utility.tstr"].note


@pytest.mark.parametrize("target", ["c", "x"])
@pytest.mark.parametrize("side", ["train", "sample"])
def test_a_column_without_a_cell_tells_nothing(target: str, side: str) -> None:
    columns = (
        Column(name="x", kind=Kind.FLOAT, low=0.0, high=1.0),
        Column(name="y", kind=Kind.FLOAT, low=0.0, high=1.0, nullable=True),
        Column(name="c", kind=Kind.BOOLEAN),
    )
    tables = {name: _labelled(300, seed, linked=True) for seed, name in enumerate(("train", "holdout", "sample"))}
    tables[side]["y"] = np.nan
    found = _measure(TrainOnSynthetic(), Domain(columns=columns, target=target), **tables)
    assert found["utility.tstr"].value > 0.7


def test_without_a_target_there_is_no_score() -> None:
    found = _measure(TrainOnSynthetic(), TWO, _two(9, 9, 9, 9), _two(9, 9, 9, 9), _two(9, 9, 9, 9))
    assert set(found) == {"details"}


NUMBER = Column(name="n", kind=Kind.INTEGER, low=0, high=7, nullable=True)
FINER = Column(name="n", kind=Kind.INTEGER, low=0, high=11, nullable=True)
WORD = Column(name="w", kind=Kind.CATEGORICAL, categories=tuple("abcdefg"), nullable=True)


@pytest.mark.parametrize("column", [NUMBER, FINER, WORD], ids=["bins", "many bins", "categories"])
@given(counts=st.lists(st.integers(0, 25), min_size=13, max_size=13))
def test_no_shown_cell_holds_fewer_than_ten_people(column: Column, counts: list[int]) -> None:
    size = {NUMBER: 9, FINER: 13, WORD: 8}[column]
    counts = counts[:size]
    train = np.repeat(np.arange(size), counts)
    shown = shares(column, np.arange(size), train)
    cells = parts(column, train)
    people = [sum(counts[i] for i in cell) for cell in cells]
    assert sorted(i for cell in cells for i in cell) == list(range(size))
    assert len(shown["labels"]) == len(set(shown["labels"])) == sum(n >= MIN_CELL for n in people)
    assert len(shown["labels"]) == len(shown["sample"]) == len(shown["train"])
    assert all(value > 0 for value in shown["train"])
    assert (shown["distance"] is None) == (max(people) < MIN_CELL)


def test_shares_by_hand() -> None:
    """Of 100, 30, 62 and 8 people and 4 without a value the 8 and the 4 are held back; the others are 192, rounded on
    a grid of ten of all 204."""
    column = Column(name="n", kind=Kind.INTEGER, low=0, high=3, nullable=True)
    shown = shares(column, np.arange(5), np.repeat(np.arange(5), [100, 30, 62, 8, 4]))
    assert shown["labels"] == ["0", "1", "2"]
    assert shown["train"] == [round(n * 10 / 204, 6) for n in (11, 3, 7)]
    assert shown["sample"] == [0.2, 0.2, 0.2]
    assert shown["held_back"] == pytest.approx(0.4)


def test_neighbours_are_merged_where_there_are_many_bins() -> None:
    """4 and 9 people make one cell, 12 another, and the last 5 are held back."""
    shown = shares(FINER, np.arange(13), np.repeat(np.arange(13), [4, 9, 12, *([0] * 8), 5, 0]))
    assert shown["labels"] == ["0 to 1", "2"]
    assert shown["held_back"] == pytest.approx(10 / 13)


def test_a_rare_value_that_is_released_often_shows() -> None:
    """Training rows hold three, of which nothing is told; the release is half away, less what two such cells
    (no value is one) may hold."""
    column = Column(name="ill", kind=Kind.BOOLEAN)
    released = np.repeat([0, 1], [500, 500])
    for rare in (0, 3, 9):
        shown = shares(column, released, np.repeat([0, 1], [1_000 - rare, rare]))
        assert (shown["labels"], shown["train"], shown["distance"]) == (["false"], [1.0], 0.48), rare


def test_codes_follow_the_declared_bins() -> None:
    frame = pd.DataFrame({"n": [0.0, 6.9, 7.0, np.nan], "w": ["a", "g", "undeclared", MISSING]})
    assert codes(frame, NUMBER)[0].tolist() == [0, 6, 7, 8]
    assert codes(frame, WORD)[0].tolist() == [0, 6, 7, 7]
