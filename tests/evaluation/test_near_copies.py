"""Near copies: what is near, by hand; jitter is convicted and strangers are not; persons count once."""

import numpy as np
import pandas as pd
import pytest
from population import DOMAIN, comparison, jittered, people

from evaluation.base import Comparison
from evaluation.risk.near_copies import BOUND, NearCopies, reduced
from synthgate.domain import Column, Domain, Kind
from synthgate.policy import EXACT_POLICY, NEAR_COPIES
from synthgate.report import Score

TWO = Domain(
    columns=(
        Column(name="n", kind=Kind.FLOAT, low=0.0, high=32.0, nullable=True),
        Column(name="c", kind=Kind.CATEGORICAL, categories=("x", "y"), nullable=True),
    )
)


def _score(tables: Comparison, **limits: int) -> Score:
    (score,) = NearCopies(**limits).measure(tables, generator=np.random.default_rng(3)).scores
    return score


def _tables(size: int = 800, *, seed: int = 1) -> list[pd.DataFrame]:
    rows = people(3 * size, seed=seed)
    return [rows.iloc[i * size : (i + 1) * size].reset_index(drop=True) for i in range(3)]


def test_the_bound_that_the_note_speaks_of_is_the_default_policys() -> None:
    assert [rule.at_most for rule in EXACT_POLICY.rules if rule.score == NEAR_COPIES] == [BOUND]


@pytest.mark.parametrize(
    ("released", "near"),
    [
        ((5.5, "x"), True),  # the same bin, of one unit's width
        ((4.0, "x"), True),  # the bin below
        ((6.9, "x"), True),  # the bin above
        ((7.0, "x"), False),  # two bins above
        ((5.5, "y"), False),
        ((5.5, None), False),
        ((None, "x"), False),
    ],
)
def test_what_is_near_by_hand(released: tuple[float | None, str | None], near: bool) -> None:
    """A trained unit at (5.5, x), 39 others and the holdout far off; one released row."""
    train = pd.DataFrame({"n": [5.5] + [30.0] * 39, "c": ["x"] * 40})
    holdout = train.assign(n=20.0)
    cell, word = released
    sample = pd.DataFrame({"n": [np.nan if cell is None else cell], "c": [word or "\x00missing"]})
    score = _score(Comparison(domain=TWO, train=train, holdout=holdout, sample=sample))
    assert (score.value > 0) == near, score.note


def test_jitter_by_one_bin_is_convicted_and_strangers_are_not() -> None:
    train, holdout, fresh = _tables()
    assert _score(comparison(train, holdout, jittered(train, seed=1))).low > 0.9
    tenth = pd.concat([jittered(train.iloc[:80], seed=1), fresh.iloc[80:]], ignore_index=True)
    assert _score(comparison(train, holdout, tenth)).low > BOUND
    assert _score(comparison(train, holdout, fresh)).high < BOUND


def test_where_the_control_is_the_training_table_there_is_no_excess() -> None:
    train, _, fresh = _tables()
    assert _score(comparison(train, train, jittered(train, seed=1))).value == 0.0
    assert _score(comparison(train, train, fresh)).value == 0.0


def test_rows_that_are_near_to_many_are_nobodys() -> None:
    """Two columns in a handful of bins: fresh rows and copies look alike, and the note says that nothing convicts."""
    draw = np.random.default_rng(1)
    rows = pd.DataFrame({"n": draw.normal(16, 1, 9_000), "c": draw.choice(["x", "y"], 9_000).astype(object)})
    train, holdout, fresh = (rows.iloc[i * 3_000 : (i + 1) * 3_000].reset_index(drop=True) for i in range(3))
    for sample in (fresh, train):
        score = _score(Comparison(domain=TWO, train=train, holdout=holdout, sample=sample))
        assert score.high < BOUND
        assert "convicts none" in score.note


def test_a_person_counts_once_however_many_rows_are_near() -> None:
    """Three equal rows a person, all released jittered: the figure is that of one row a person."""
    train, holdout, _ = _tables(300)
    once = _score(comparison(train, holdout, jittered(train, seed=1)))
    thrice = [frame.loc[np.repeat(np.arange(300), 3)].reset_index(drop=True) for frame in (train, holdout)]
    units = np.repeat(np.arange(300), 3)
    score = _score(
        Comparison(
            domain=DOMAIN,
            train=thrice[0],
            holdout=thrice[1],
            sample=jittered(train, seed=1),
            train_units=units,
            holdout_units=units,
        )
    )
    assert score.note.split("(")[0] == once.note.split("(")[0]


def test_limits_choose_whole_units_by_key() -> None:
    train, holdout, fresh = _tables(300)
    units = np.repeat(np.arange(100), 3)
    tables = Comparison(
        domain=DOMAIN, train=train, holdout=holdout, sample=fresh, train_units=units, holdout_units=units
    )
    some = reduced(tables, 40, generator=np.random.default_rng(1))
    assert some.units == (40, 40)
    assert len(some.train) == len(some.holdout) == 120
    assert len(some.sample) == 40
    assert _score(tables, most=40).conclusive
