"""The attacks on small tables: theorems, and numbers that can be checked by hand."""

from math import inf

import numpy as np
import pandas as pd
import pytest

from evaluation.base import Comparison, Metric
from evaluation.held_back import about
from evaluation.risk.attack import Tally, targets
from evaluation.risk.copies import Copies
from evaluation.risk.inference import Inference
from evaluation.risk.intervals import independent_difference
from evaluation.risk.linkability import Linkability
from evaluation.risk.neighbours import nearest
from evaluation.risk.singling_out import SinglingOut
from evaluation.tables import MISSING
from synthgate.dataset import PublicSizes, attack_targets
from synthgate.domain import Column, Domain, Kind
from synthgate.report import Score

FLOATS = Domain(
    columns=tuple(Column(name=n, kind=Kind.FLOAT, low=0.0, high=1.0, secret=n == "d") for n in "abcd"),
)
COARSE = Domain(
    columns=tuple(Column(name=n, kind=Kind.CATEGORICAL, categories=("x", "y"), secret=n == "d") for n in "abcd"),
)


def _floats(size: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).random((size, 4)), columns=list("abcd"))


def _coarse(size: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).choice(["x", "y"], (size, 4)).astype(object), columns=list("abcd"))


def _scores(
    metric: Metric, domain: Domain, train: pd.DataFrame, holdout: pd.DataFrame, sample: pd.DataFrame
) -> list[Score]:
    comparison = Comparison(domain=domain, train=train, holdout=holdout, sample=sample)
    return list(metric.measure(comparison, generator=np.random.default_rng(7)).scores)


ATTACKS: list[Metric] = [SinglingOut(), Linkability(), Inference(), Copies()]


@pytest.mark.parametrize("metric", [Linkability(), Inference(), Copies()], ids=lambda m: m.name)
def test_a_sample_of_training_rows_is_attacked_with_success_near_one(metric: Metric) -> None:
    train = _floats(200, 1)
    (score,) = _scores(metric, FLOATS, train, _floats(200, 2), train)
    assert score.value > 0.85
    assert score.low > 0.8


def test_a_sample_of_training_rows_singles_out() -> None:
    train = _floats(200, 1)
    for score in _scores(SinglingOut(), FLOATS, train, _floats(200, 2), train):
        assert score.low > 0.2, score


@pytest.mark.parametrize("metric", ATTACKS, ids=lambda m: m.name)
def test_where_the_control_is_the_training_table_there_is_no_excess(metric: Metric) -> None:
    rows = _floats(200, 1)
    for score in _scores(metric, FLOATS, rows, rows, rows):
        assert score.value == 0.0
        assert score.conclusive


@pytest.mark.parametrize("metric", ATTACKS, ids=lambda m: m.name)
def test_strangers_in_the_sample_are_no_excess(metric: Metric) -> None:
    for score in _scores(metric, FLOATS, _floats(800, 1), _floats(400, 2), _floats(800, 3)):
        assert score.low <= 0.0 <= score.high <= 0.09, score


def test_a_tally_by_hand() -> None:
    """56 of 80 against 48 of 80 is an excess of a tenth; the naive guess was better than the attack."""
    score = Tally(attacks=80, main=56, control=48, naive=60).score("risk.linkability", remarks=("by hand", ""))
    assert score.value == pytest.approx(0.1)
    assert score.low < 0.1 < score.high
    for words in (
        "80 attacks",
        "about 60 on trained",
        "about 50 on control",
        "about 60 by",
        "uninformative",
        "by hand",
        "ratio",
    ):
        assert words in score.note


def test_targets_are_equally_many_on_both_sides_and_come_from_their_own() -> None:
    train, holdout = _floats(300, 1), _floats(100, 2)
    comparison = Comparison(domain=FLOATS, train=train, holdout=holdout, sample=train)
    both = targets(comparison, generator=np.random.default_rng(0))
    assert len(both.main) == len(both.control) == len(both) == 100
    assert set(both.main["a"]) < set(train["a"])
    assert set(both.control["a"]) == set(holdout["a"])


def _visits(people: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Two rows a person: a first one that all know, and a second one."""
    return _floats(2 * people, seed), np.repeat(np.arange(people), 2)


def test_a_target_is_a_keyed_row_of_its_unit_and_not_the_first() -> None:
    (train, units), (holdout, held) = _visits(300, 1), _visits(100, 2)
    comparison = Comparison(
        domain=FLOATS, train=train, holdout=holdout, sample=train, train_units=units, holdout_units=held
    )
    assert comparison.units == (300, 100)
    both = targets(comparison, generator=np.random.default_rng(0))
    assert len(both) == 100
    places = {value: i for i, value in enumerate(train["a"])}
    chosen = [places[value] for value in both.main["a"]]
    assert len({place // 2 for place in chosen}) == 100, "a unit is a target once"
    assert 30 <= sum(place % 2 for place in chosen) <= 70, "second rows are targets as often as first ones"


def test_the_released_rows_never_reduce_the_targets() -> None:
    """A release larger than an attack searches: the targets stay as many as `admit` reckons with, and the note says
    which part was searched."""
    train, holdout, sample = _floats(900, 1), _floats(250, 2), _floats(1200, 3)
    public = PublicSizes(rows=1250, units=1250)
    assert public.attack_targets == 250 == attack_targets(len(holdout))
    attacks: list[Metric] = [SinglingOut(released=300), Linkability(released=300), Inference(released=300)]
    for metric in attacks:
        for score in _scores(metric, FLOATS, train, holdout, sample):
            assert f"{public.attack_targets} attacks" in score.note
            assert "300 of 1,200 released rows were searched" in score.note
            assert score.conclusive


def test_attacks_have_at_most_two_thousand_targets() -> None:
    assert PublicSizes(rows=9_000, units=9_000).attack_targets == 1_800
    assert PublicSizes(rows=100_000_000, units=100_000_000).attack_targets == 2_000
    assert PublicSizes(rows=5_000, units=2_500, max_rows=2).attack_targets == 500


def test_distances_use_declared_ranges_not_observed_ones() -> None:
    """a spans 0 to 1 and b 0 to 100: from (0.5, 50) the row (0.5, 80) is 0.3 away, the row (0.9, 50) 0.4. By the
    observed ranges (0.4 and 30) both would be 1 away."""
    domain = Domain(
        columns=(
            Column(name="a", kind=Kind.FLOAT, low=0.0, high=1.0),
            Column(name="b", kind=Kind.FLOAT, low=0.0, high=100.0),
        )
    )
    candidates = pd.DataFrame({"a": [0.9, 0.5], "b": [50.0, 80.0]})
    assert nearest(pd.DataFrame({"a": [0.5], "b": [50.0]}), candidates, domain, ("a", "b")).tolist() == [1]


def test_a_null_is_nearest_to_a_null() -> None:
    domain = Domain(
        columns=(
            Column(name="a", kind=Kind.FLOAT, low=0.0, high=1.0, nullable=True),
            Column(name="b", kind=Kind.CATEGORICAL, categories=("x",), nullable=True),
        )
    )
    candidates = pd.DataFrame({"a": [0.5, np.nan, np.nan], "b": ["x", MISSING, "x"]})
    queries = pd.DataFrame({"a": [np.nan, np.nan, 0.4], "b": ["x", MISSING, "x"]})
    assert nearest(queries, candidates, domain, ("a", "b")).tolist() == [2, 1, 0]


def test_a_numeric_guess_is_right_within_five_per_cent_of_the_released_spread() -> None:
    """Secrets rise from 0 to 118 in steps of 2, and the densest half of what is released is 60 long: 2.9 may be
    off."""
    domain = Domain(
        columns=(
            Column(name="key", kind=Kind.FLOAT, low=0.0, high=1.0),
            Column(name="secret", kind=Kind.FLOAT, low=-50.0, high=500.0, secret=True),
        )
    )
    private = pd.DataFrame({"key": np.linspace(0, 1, 60), "secret": 2.0 * np.arange(60)})
    for off, expected in ((2.9, "all but fewer than 10"), (3.1, "fewer than 10")):
        sample = private.assign(secret=private["secret"] + off)
        (score,) = _scores(Inference(), domain, private, private, sample)
        assert f"successes: {expected} on trained units" in score.note


def test_what_lacks_columns_or_units_is_told_as_inconclusive() -> None:
    sensitive = Domain(
        columns=tuple(
            Column(name=n, kind=Kind.FLOAT, low=0.0, high=1.0, secret=n == "d", role="sensitive")  # type: ignore[arg-type]
            for n in "abcd"
        )
    )
    rows = _floats(100, 1)
    for metric in (Linkability(), Inference()):
        (score,) = _scores(metric, sensitive, rows, rows, rows)
        assert not score.conclusive
        assert not score.usable
        assert score.note
    for metric in ATTACKS:
        for score in _scores(metric, FLOATS, rows, rows.iloc[:29], rows):
            assert not score.usable


@pytest.mark.parametrize("attacks", [30, 300, 1_217, 2_000])
@pytest.mark.parametrize("control", [0, 3, 9, 10, 14, 29])
def test_the_excess_that_is_said_to_stand_out_does(attacks: int, control: int) -> None:
    """For every number of controls that the report leaves open, and it is the least one for one of them."""
    said = Tally(attacks=attacks, main=0, control=control, naive=0).stands_out
    left = [c for c in range(attacks + 1) if about(c, attacks) == about(control, attacks)]
    more = round(said * attacks) if said < inf else attacks + 1
    for n, enough in ((more, True), (more - 1, False)):
        low = min(independent_difference(min(attacks, c + n), c, (attacks, attacks))[0] for c in left)
        assert (low > 0) is enough or n > attacks


def test_a_remark_does_not_say_too_small_an_excess() -> None:
    """Beside five right guesses of 1,217, 0.0058 is needed, and beside nine more: the report tells neither number."""
    note = Tally(attacks=1_217, main=3, control=3, naive=3).score("risk.linkability").note
    said = float(note.split("an excess of ")[1].split()[0])
    assert said >= 0.0058
    most = Tally(attacks=30, main=30, control=30, naive=30).score("risk.linkability").note
    assert "no excess could have stood out from chance" in most
