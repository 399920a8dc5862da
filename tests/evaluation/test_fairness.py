"""Fairness: what a release does to protected groups, planted and seen; what its details may not give away."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tied_people import PEOPLE, compared, measured, people

from evaluation import held_back
from evaluation.base import Comparison
from evaluation.fairness import prediction, shares
from evaluation.fairness.groups import groupings
from evaluation.fairness.prediction import GroupPrediction
from evaluation.fairness.rebalanced import rebalanced
from evaluation.fairness.shares import GroupShares
from synthgate.domain import Column, Domain, Kind

TWO = Domain(
    columns=(
        Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m"), protected=True),
        Column(name="ill", kind=Kind.BOOLEAN, protected=True),
    )
)


def _two(*counts: int) -> pd.DataFrame:
    """Rows of (f, false), (f, true), (m, false), (m, true), so many of each."""
    cells = [(s, i) for (s, i), n in zip((s + i for s in "fm" for i in "01"), counts, strict=True) for _ in range(n)]
    frame = pd.DataFrame(cells, columns=["sex", "ill"], dtype=object)
    frame["ill"] = np.where(frame["ill"] == "1", "true", "false").astype(object)
    return frame


def _shares(train: pd.DataFrame, sample: pd.DataFrame) -> Any:
    return measured(GroupShares(), Comparison(domain=TWO, train=train, holdout=train, sample=sample))


def test_shares_of_groups_and_intersections_by_hand() -> None:
    """Men who are ill are 0.3 of the training rows and 0.1 of the release; the margins differ by 0.1 at most."""
    found, details = _shares(_two(400, 100, 200, 300), _two(400, 200, 300, 100))
    assert found["fairness.shares"].value == pytest.approx(0.2)
    assert "sex=m, ill=true" in found["fairness.shares"].note
    assert found["fairness.representation"].value == pytest.approx(1 / 3)
    assert [g["columns"] for g in details.details["groupings"]] == [["sex"], ["ill"], ["sex", "ill"]]
    assert details.details["groupings"][0]["groups"] == [["sex=f", 0.6, 0.5], ["sex=m", 0.4, 0.5]]


def test_a_group_that_few_have_is_told_only_with_the_other_small_ones() -> None:
    found, details = _shares(_two(500, 4, 492, 4), _two(500, 400, 50, 50))
    assert found["fairness.shares"].shown == (0.45, 0.45, 0.45), "which ill=false alone tells, too"
    assert found["fairness.shares"].value == pytest.approx(0.45 - 0.008)
    labels = {label for g in details.details["groupings"] for label, _, _ in g["groups"]}
    assert "sex=f, ill=true" not in labels
    assert "ill=true" not in labels


def _given_away(train: pd.DataFrame, details: Any) -> set[str]:
    """Cells of fewer than ten training rows that the details show, or that margin less intersection gives exactly."""
    told = {tuple(g["columns"]): {label: n for label, _, n in g["groups"]} for g in details["groupings"]}
    rows = len(train)
    true = {f"sex={s}, ill={i}": int(((train["sex"] == s) & (train["ill"] == i)).sum()) for s in "fm" for i in TRUTH}
    small = {label for label, n in true.items() if 0 < n < 10}
    shown = small & set(told["sex", "ill"])
    for s in "fm":
        for i, other in zip(TRUTH, reversed(TRUTH), strict=True):
            margin, cell = told["sex",].get(f"sex={s}"), told["sex", "ill"].get(f"sex={s}, ill={i}")
            hidden = f"sex={s}, ill={other}"
            if margin is not None and cell is not None and hidden in small:
                guess = round((margin - cell) * rows, 3)
                if guess == true[hidden]:
                    shown.add(hidden)
    return shown


TRUTH = ("false", "true")
CELLS = st.integers(0, 40)


@settings(max_examples=60, deadline=None)
@given(st.tuples(CELLS, CELLS, CELLS, CELLS).filter(any))
def test_no_small_cell_is_shown_or_left_over(counts: tuple[int, int, int, int]) -> None:
    train = _two(*counts)
    assert _given_away(train, _shares(train, train)[1].details) == set()


def _exact(ours: Any, theirs: Any, *, rows: int) -> Any:
    """Planted: shares of all training rows, not rounded."""
    found = held_back.beside(ours, theirs, rows=rows)
    return None if found is None else replace(found, train=theirs[found.shown] / rows)


@pytest.mark.parametrize("planted", ["small cells shown", "exact counts"])
def test_planted_leaks_are_convicted(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train = _two(300, 7, 200, 100)
    assert _given_away(train, _shares(train, train)[1].details) == set()
    if planted == "small cells shown":
        monkeypatch.setattr(shares, "MIN_CELL", 1)
        monkeypatch.setattr(held_back, "MIN_CELL", 1)
    else:
        monkeypatch.setattr(shares, "beside", _exact)
    assert _given_away(train, _shares(train, train)[1].details) == {"sex=f, ill=true"}


def _unfair(seed: int) -> pd.DataFrame:
    """A release in which no woman is rich."""
    sample = people(2_000, seed)
    sample.loc[sample["sex"] == "f", "rich"] = "false"
    return sample


def test_a_release_that_teaches_bias_is_convicted() -> None:
    """The bounds are six standard deviations (over 12 draws) above what fresh people score: 0.35 and 0.16."""
    found, details = measured(GroupPrediction(), compared(_unfair(3)))
    fair = measured(GroupPrediction(), compared(people(2_000, 3)))[0]
    assert found["fairness.equal_opportunity"].value > 0.35 > fair["fairness.equal_opportunity"].value
    assert found["fairness.tstr_gap"].value > 0.16 > fair["fairness.tstr_gap"].value
    assert found["fairness.demographic_parity"].value > fair["fairness.demographic_parity"].value
    assert "sex" in found["fairness.equal_opportunity"].note
    entry = next(m for m in details.details["models"] if m["columns"] == ["sex"] and m["target"] == "rich")
    assert {label for label, _, _ in entry["groups"]} == {"sex=f", "sex=m"}
    assert all(0 <= loss <= 1 for _, *losses in entry["groups"] for loss in losses)


@settings(max_examples=20)
@given(st.integers(0, 2**31))
def test_counting_and_fairlearn_agree(seed: int) -> None:
    draw = np.random.default_rng(seed)
    places = draw.integers(0, 4, 200)
    truth, *models = (draw.integers(0, 2, 200) for _ in range(3))
    truth[:8], places[:8] = 1, np.arange(8) % 4
    losses = draw.random((2, 200))
    for name in prediction.NAMES:
        if name == prediction.GAP:
            pair, chosen = (losses[0], losses[1]), np.ones(200, dtype=bool)
            by_group = [prediction.rates(loss, places) for loss in losses]
            expected = by_group[0][2] - by_group[1][2]
        else:
            pair, chosen = (models[0], models[1]), truth == 1 if name == prediction.OPPORTUNITY else truth >= 0
            ours, theirs = (prediction.rates(m[chosen].astype(float), places[chosen]) for m in models)
            expected = prediction.spread(ours) - prediction.spread(theirs)
        look = prediction.Look(what="", excess=0.0, shown=0.0, places=places, models=pair, truth=truth, group=2)
        assert prediction.told_by_fairlearn(name, look) == pytest.approx(expected)


def test_half_of_the_women_missing_shows() -> None:
    sample = people(4_000, 5)
    keep = (sample["sex"] == "m") | (np.arange(len(sample)) % 4 == 0)
    found, _ = measured(GroupShares(), compared(sample[keep].reset_index(drop=True)))
    assert found["fairness.shares"].value > 0.25
    assert found["fairness.representation"].value < 0.58


def test_numeric_groups_are_cut_at_declared_bins() -> None:
    frame = people(500, 1)
    age = groupings(PEOPLE, (frame,))[1]
    assert list(age.labels.values()) == ["age=18 to 40", "age=40 to 65", "age=65 to 97"]
    assert age.counts(0) == {
        0: int((frame["age"] < 40).sum()),
        1: int(frame["age"].between(40, 64).sum()),
        2: int((frame["age"] >= 65).sum()),
    }
    wide = Domain(columns=(Column(name="age", kind=Kind.INTEGER, low=18, high=98, protected=True, nullable=True),))
    frame.loc[0, "age"] = np.nan
    labels = list(groupings(wide, (frame,))[0].labels.values())
    assert labels == ["age=18 to 38", "age=38 to 58", "age=58 to 78", "age=78 to 98", "age=missing"]


def test_a_target_is_not_grouped_by_itself() -> None:
    domain = replace(PEOPLE, columns=(*PEOPLE.columns[:5], replace(PEOPLE.columns[5], protected=True)))
    _, details = measured(GroupPrediction(), compared(people(2_000, 3), domain=domain))
    assert not any(m["target"] in m["columns"] for m in details.details["models"])


def test_without_protected_columns_or_targets_there_is_no_score() -> None:
    bare = Domain(columns=tuple(replace(c, protected=False) for c in PEOPLE.columns), target="rich")
    comparison = compared(people(100, 3), domain=bare)
    assert measured(GroupShares(), comparison)[0] == measured(GroupPrediction(), comparison)[0] == {}
    untargeted = compared(people(100, 3), domain=replace(PEOPLE, target=None, other_targets=()))
    assert measured(GroupPrediction(), untargeted)[0] == {}


def test_groups_that_are_too_small_are_inconclusive() -> None:
    found, _ = measured(GroupPrediction(), compared(people(300, 3), train=300, holdout=prediction.MIN_GROUP - 1))
    assert not any(score.usable for score in found.values())


def test_rebalancing_by_hand() -> None:
    """Three in four are women, of whom a third are ill, as all men are: with as many men two thirds are. The weights
    are 2/3 and 2, so 12 rows count as 12^2 / (9 * 4/9 + 3 * 4) = 9."""
    sample = _two(6, 3, 0, 3)
    entry = rebalanced(sample, TWO)[0]
    told = {label: (before, after) for label, before, after in entry["groups"]}
    assert told["sex=f"] == (0.75, 0.5)
    assert told["ill=true"] == (0.5, pytest.approx(2 / 3, abs=1e-6))
    assert entry["effective_rows"] == 9.0


def test_what_no_released_row_has_cannot_be_weighted() -> None:
    assert rebalanced(_two(5, 5, 0, 0), TWO)[0] == {"column": "sex", "absent": ["m"]}


def test_rebalancing_reads_no_private_row() -> None:
    sample = people(500, 3)
    one, other = (measured(GroupShares(), compared(sample, train=size))[1].details for size in (400, 900))
    assert one["rebalanced"] == other["rebalanced"]
    assert one["groupings"] != other["groupings"]
