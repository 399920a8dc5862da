"""The copies rule: by hand, and by rates. Copies are refused, tables that copied nobody pass, coarse ones too."""

from collections.abc import Iterator
from math import prod

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("statsmodels")

import coarse_tables
from coarse_tables import CATEGORIES
from rand_hie import DOMAIN, independent, people, split

from evaluation.base import Comparison
from evaluation.risk.copies import BOUND, Copies
from synthgate.domain import Column, Domain, Kind
from synthgate.policy import COPIES, EXACT_POLICY
from synthgate.report import Score

FLOATS = Domain(columns=tuple(Column(name=n, kind=Kind.FLOAT, low=0.0, high=1.0) for n in "abcd"))


def _floats(size: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).random((size, 4)), columns=list("abcd"))


def _score(
    domain: Domain,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    sample: pd.DataFrame,
    *,
    units: tuple[np.ndarray, np.ndarray] = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)),
) -> Score:
    comparison = Comparison(
        domain=domain, train=train, holdout=holdout, sample=sample, train_units=units[0], holdout_units=units[1]
    )
    (score,) = Copies().measure(comparison, generator=np.random.default_rng(7)).scores
    return score


def _refused(score: Score) -> bool:
    return not score.usable or score.high > BOUND


def _copied(base: pd.DataFrame, train: pd.DataFrame, count: int) -> pd.DataFrame:
    return pd.concat([train.iloc[:count], base.iloc[count:]], ignore_index=True)


def test_the_bound_that_the_note_and_the_precision_speak_of_is_the_default_policys() -> None:
    assert [rule.at_most for rule in EXACT_POLICY.rules if rule.score == COPIES] == [BOUND]


def test_copies_by_hand() -> None:
    """4,000 released rows, 200 units a side, 50 rows on both sides (so rows are not unique). Released: 10 rows of
    trained units, 2 of held-out ones, 4 that a trained and a held-out unit share (half of each): (12 - 4) / 4,000."""
    train, holdout = _floats(200, 1), _floats(200, 2)
    shared = pd.concat([train.iloc[:50], holdout.iloc[50:]], ignore_index=True)
    sample = pd.concat([train.iloc[60:70], holdout.iloc[60:62], train.iloc[:4], _floats(3984, 3)], ignore_index=True)
    score = _score(FLOATS, train, shared, sample)
    assert score.value == pytest.approx(0.002)
    assert (
        "exposure: about 10 released rows of trained units, fewer than 10 of held-out ones (by distinct rows"
        in score.note
    )
    variance = 10 + 2 + 8 * 0.5**2
    half = 1.645**2 / 2 + 1.645 * (variance + 1.645**2 / 4) ** 0.5
    assert score.high == pytest.approx(0.002 + half / 4000, abs=1e-6)


def test_unique_rows_are_compared_with_all_training_rows() -> None:
    """8 of 1,000 released rows are those of 800 trained units: 0.01 of the training rows, however small the holdout."""
    train, holdout = _floats(800, 1), _floats(200, 2)
    score = _score(FLOATS, train, holdout, _copied(_floats(1000, 3), train, 8))
    assert score.value == pytest.approx(0.01)
    assert "all training" in score.note
    sample = pd.concat([holdout.iloc[:5], train.iloc[:20], _floats(975, 3)], ignore_index=True)
    assert _score(FLOATS, train, holdout, sample).value == pytest.approx((20 - 4 * 5) / 800)


def test_a_table_without_any_rare_row_is_told_and_passes() -> None:
    domain = Domain(columns=tuple(Column(name=n, kind=Kind.CATEGORICAL, categories=("x", "y")) for n in "abcd"))
    draw = np.random.default_rng(1)
    rows = pd.DataFrame(draw.choice(np.array(["x", "y"], dtype=object), (12_000, 4)), columns=list("abcd"))
    score = _score(domain, rows[:4800], rows[4800:6000], rows[6000:])
    assert score.usable
    assert score.value == 0.0
    assert score.high < 0.001
    assert "convicts none" in score.note


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("share", [0.8, 0.4, 0.1])
def test_verbatim_second_rows_of_trained_units_are_refused(share: float, copies: int) -> None:
    """Two rows a person; the release holds second ones. Fresh people pass."""
    units = np.repeat(np.arange(800), 2), np.repeat(np.arange(200), 2)
    train, holdout, fresh = _floats(1600, 1), _floats(400, 2), _floats(2000, 3)
    taken = train.iloc[1::2].iloc[: round(share * 800)]
    sample = pd.concat([*[taken] * copies, fresh.iloc[len(taken) * copies :]], ignore_index=True)
    assert _refused(_score(FLOATS, train, holdout, sample, units=units))
    assert not _refused(_score(FLOATS, train, holdout, fresh, units=units))


def test_a_row_that_a_unit_has_twice_is_one_of_its_rows() -> None:
    units = np.repeat(np.arange(800), 2), np.repeat(np.arange(200), 2)
    train, holdout = (_floats(size, seed).loc[np.repeat(np.arange(size), 2)] for size, seed in ((800, 1), (200, 2)))
    score = _score(FLOATS, train, holdout, _copied(_floats(2000, 3), train.iloc[::2], 160), units=units)
    assert score.value == pytest.approx(160 / 1600)
    assert "exposure: about 160 released" in score.note


def test_few_rows_released_often_are_told_by_rows() -> None:
    """60 training rows, each 100 times: a hundredth of the people, all of the release."""
    train, holdout, sample = split(people(), (4730, 1182, 0), seed=1)
    sample = pd.concat([train.iloc[:60]] * 100, ignore_index=True)
    score = _score(DOMAIN, train, holdout, sample)
    assert "for repeats" in score.note
    assert score.value > 0.2


def _draws(sizes: tuple[int, ...], rows: int, draws: int, *, skewed: bool) -> Iterator[tuple[bool, bool, bool]]:
    """Whether fresh rows, independent columns, and fresh rows with a tenth of copies are refused."""
    domain = coarse_tables.domain(sizes)
    for seed in range(draws):
        train, holdout, fresh = coarse_tables.three(sizes, rows, seed=seed, skewed=skewed)
        samples = fresh, independent(train, rows, seed=seed), _copied(fresh, train, rows // 10)
        first, second, third = (_refused(_score(domain, train, holdout, sample)) for sample in samples)
        yield first, second, third


@pytest.mark.parametrize("skewed", [False, True], ids=["even", "skewed"])
@pytest.mark.parametrize("name", ["4 columns, 640 cells", "8 columns, 115,200 cells"])
def test_innocent_coarse_tables_pass(name: str, skewed: bool) -> None:
    rates = list(_draws(CATEGORIES[name], 6_000, 4, skewed=skewed))
    assert not any(fresh or shuffled for fresh, shuffled, _ in rates)
    assert all(copied for _, _, copied in rates) == (prod(CATEGORIES[name]) > 100_000)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [6_000, 20_000])
@pytest.mark.parametrize("skewed", [False, True], ids=["even", "skewed"])
@pytest.mark.parametrize("name", CATEGORIES)
def test_how_often_innocent_coarse_tables_are_refused(name: str, skewed: bool, rows: int) -> None:
    """Twenty draws a setting. With a rate of 5 % more than four of twenty are refused once in 380 times; the even 8,640
    cells at 6,000 rows, 0.7 rows a cell, are the worst there is, with 8 % expected. What copies cost there is told."""
    rates = np.array(list(_draws(CATEGORIES[name], rows, 20, skewed=skewed))).sum(axis=0).tolist()
    print(f"{name}, {'skewed' if skewed else 'even'}, {rows:,} rows, refused of 20: fresh {rates[0]}, independent "
          f"columns {rates[1]}, a tenth copied {rates[2]}")  # fmt: skip
    assert max(rates[:2]) <= 4
    if len(CATEGORIES[name]) == 12:
        assert rates[2] == 20


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("rows", [6_000, 20_000])
def test_how_often_copies_of_unique_rows_are_refused(rows: int, share: float) -> None:
    """All of twenty where a hundredth of the training rows was copied, none of twenty where nobody was."""
    refused = 0
    for seed in range(20):
        train, holdout, fresh = (_floats(n, 3 * seed + i) for i, n in enumerate((rows * 4 // 5, rows // 5, rows)))
        refused += _refused(_score(FLOATS, train, holdout, _copied(fresh, train, round(share * len(train)))))
    assert refused == (20 if share else 0)


@pytest.mark.slow
def test_how_often_a_tenth_of_copied_people_is_refused() -> None:
    """RAND HIE, independent columns: innocent ones pass, and 10 % of the training rows copied in are refused."""
    rows, innocent, copied = people(), 0, 0
    for seed in range(20):
        train, holdout = split(rows, (4730, 1182), seed=seed)
        base = independent(train, 5912, seed=seed)
        innocent += _refused(_score(DOMAIN, train, holdout, base))
        copied += _refused(_score(DOMAIN, train, holdout, _copied(base, train, 473)))
    assert (innocent, copied) == (0, 20)
