"""The margin of an accounted verdict: one privacy unit moves it by at most 1, and it says what the rules say."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest

from evaluation import per_unit
from evaluation.base import Comparison
from evaluation.chosen import Chosen, chosen
from evaluation.margin import Margin, margin
from evaluation.per_unit import Counts
from evaluation.risk.guesses import tolerance
from evaluation.risk.singling_out import COLUMN_COUNTS
from evaluation.tables import MISSING
from synthgate.accounted import (
    Repeats,
    allowed,
    allowed_copies,
    allowed_distance,
    allowed_rows,
    attack_targets,
    convictable,
    copy_targets,
    slack,
)
from synthgate.attacker import Attacker
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.policy import COPIES, Rule
from tests.evaluation.random_tables import DOMAIN, RULES, comparison, frame, sizes, without

SEED = b"a seed of the test's own"
logging.getLogger("anonymeter").setLevel(logging.ERROR)


def drawn(number: int, rules: int) -> tuple[Comparison, PublicSizes, tuple[Rule, ...], float, np.random.Generator]:
    draw = np.random.default_rng(number)
    units, max_rows = int(draw.integers(20, 120)), int(draw.integers(1, 4))
    picked = tuple(RULES[i] for i in draw.permutation(len(RULES))[:rules])
    sigma = float(draw.choice([0.6, 2.0, 9.0]))
    return comparison(draw, units=units, max_rows=max_rows), sizes(units, max_rows), picked, sigma, draw


def moves(first: Margin, second: Margin) -> int:
    """By how much the margin and its worst term move."""
    terms = [abs(first.terms[name] - second.terms[name]) for name in first.terms]
    return max(*terms, abs(first.value - second.value))


def check(number: int, rules: int) -> None:
    made, public, picked, sigma, draw = drawn(number, rules)
    whole = margin(made, picked, public, sigma=sigma, seed=SEED)
    for trained, units in zip((True, False), made.units, strict=True):
        fewer = without(made, int(draw.integers(units)), trained=trained)
        assert moves(whole, margin(fewer, picked, public, sigma=sigma, seed=SEED)) <= 1, (number, trained)


@pytest.mark.guarantee("accounted-verdict")
@pytest.mark.parametrize("first", range(0, 500, 100))
def test_a_unit_added_or_removed_moves_the_margin_by_at_most_one(first: int, record_property) -> None:
    """500 random tables, two of the nine rules at a time, a trained and a control unit of each."""
    for number in range(first, first + 100):
        check(number, rules=2)
    record_property("reached", f"tables {first} to {first + 99}: no term moved by more than 1")


@pytest.mark.soak
@pytest.mark.guarantee("accounted-verdict")
@pytest.mark.parametrize("first", range(0, 500, 50))
def test_the_same_of_all_rules_together(first: int, record_property) -> None:
    for number in range(first, first + 50):
        check(1_000 + number, rules=len(RULES))
    record_property("reached", f"all rules, tables {first} to {first + 49}: no term moved by more than 1")


@pytest.mark.parametrize("number", range(3))
def test_what_an_attack_says_of_a_target_is_the_same_whoever_else_is_asked(number: int) -> None:
    """Were it not, a single unit could change what is counted of all others."""
    draw = np.random.default_rng(number)
    targets, sample = frame(40, draw), frame(60, draw)
    known = tuple(c.name for c in DOMAIN.modelled)
    together = per_unit.right(targets, sample, DOMAIN, known)
    alone = [per_unit.right(targets.iloc[[i]], sample, DOMAIN, known)[0] for i in range(len(targets))]
    assert together.tolist() == alone


@pytest.mark.parametrize("number", range(10))
def test_secrets_that_share_a_search_are_guessed_as_each_by_its_own(number: int) -> None:
    draw = np.random.default_rng(number)
    targets, sample = frame(40, draw), frame(60, draw)
    known = tuple(c.name for c in DOMAIN.modelled if c.name != "ill")
    shared = per_unit.without(targets, sample, DOMAIN, known, [*known, "ill"])
    for secret, places in zip([*known, "ill"], shared, strict=True):
        alone = per_unit.right(targets, sample, DOMAIN, tuple(name for name in known if name != secret))
        assert places.tolist() == alone.tolist()


def test_the_chosen_are_one_row_of_each_unit_whatever_their_order() -> None:
    draw = np.random.default_rng(5)
    rows, units = frame(300, draw), draw.integers(0, 120, 300)
    units = np.unique(units, return_inverse=True)[1]
    found = chosen(rows, units, DOMAIN, key=bytes(32))
    order = draw.permutation(300)
    again = chosen(rows.iloc[order].reset_index(drop=True), units[order], DOMAIN, key=bytes(32))
    assert len(found.rows) == units.max() + 1
    pd.testing.assert_frame_equal(found.rows, again.rows)
    assert len(found.within(0.5)) == pytest.approx(60, abs=33)  # six deviations of 5.5
    assert found.first(10_000).equals(found.rows)


SIZES = PublicSizes(rows=1_000, units=1_000)
ALONE = Repeats(released=400, again=0, distinct=0, twice=0)


def test_the_margin_by_hand() -> None:
    """A holdout of 200 less 3 sqrt(200) = 42.4 leaves 157 a side: 0.09 x 157 - 1.645 sqrt(78.5) = 14.13 - 14.57, cut to
    -1; for copies max(1.57, 3.29 x 2) = 6.58, cut to 6; a distance of 0.1 is 160 of 800 rows, twice. Of 400 released
    rows, of which none is there twice, chance may bring 4 x 800/400 x (0 + 1 + 2) = 24, with 6.58 cut to 30. Of 9 that
    are, 8 of them exactly twice and 20 rows in all, it may bring 8 x (9 + 2 sqrt(9)) = 120 and 9 x 0.4725 + 1.645
    sqrt(9 x 0.4725 x 0.5275) = 6.72, 127 together; and 1.645 sqrt(2 x 157 x 0.05 x 0.95) = 6.35."""
    rule = Rule(score="risk.linkability", at_most=0.09)
    assert (attack_targets(SIZES), copy_targets(SIZES), allowed(rule, SIZES)) == (157, 157, -1)
    copies, alone, twice = Rule(score=COPIES, at_most=0.01), ALONE, Repeats(released=400, again=20, distinct=9, twice=8)
    assert [allowed_copies(copies, SIZES, 2.0, of) for of in (alone, twice)] == [6, 12]
    assert [allowed_rows(copies, SIZES, 2.0, of) for of in (alone, twice)] == [30, 133]
    assert allowed_rows(Rule(score=COPIES, at_most=0.5), SIZES, 2.0, twice) == 400
    assert slack(157) == slack(157, 0.5) == pytest.approx(1.645 * 78.5**0.5)
    assert allowed_distance(Rule(score="utility.tv1", at_most=0.1), SIZES) == 160
    told = convictable((copies,), SIZES, 2.0, alone)
    assert "3.83 % of the trained units are found" in told
    assert "3.75 % of them by a row of their own" in told
    assert convictable((), SIZES, 2.0, alone) == ""
    assert "no share of copies" in convictable((copies,), SIZES, 300.0, alone)


def test_copied_units_are_counted_and_fresh_ones_are_not() -> None:
    draw = np.random.default_rng(0)
    cells = frame(2_000, draw).assign(pay=draw.random(2_000))  # every row is alone
    train, holdout, strangers = (
        cells.iloc[a:b].reset_index(drop=True) for a, b in ((0, 800), (800, 1000), (1000, None))
    )
    rules = (Rule(score=COPIES, at_most=0.01),)
    made = Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=train)
    copied = margin(made, rules, SIZES, sigma=2.0, seed=SEED)
    fresh = margin(replace(made, sample=strangers), rules, SIZES, sigma=2.0, seed=SEED)
    held = margin(replace(made, sample=holdout), rules, SIZES, sigma=2.0, seed=SEED)
    assert [m.terms[COPIES] for m in (copied, fresh, held)] == [800 - (6 + 12), -6, -157 - 6]


@pytest.mark.guarantee("accounted-verdict")
def test_held_out_units_that_stand_for_several_trained_ones_are_convicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: what is found of the fewer control units is scaled to the trained ones."""
    draw = np.random.default_rng(0)
    cells = frame(300, draw).assign(pay=draw.random(300))
    train, holdout = cells.iloc[:240].reset_index(drop=True), cells.iloc[240:].reset_index(drop=True)
    made = Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=cells.iloc[:260])
    fewer, rules = without(made, 7, trained=False), (Rule(score=COPIES, at_most=0.01),)

    def moved() -> int:
        return moves(*(margin(m, rules, sizes(300, 1), sigma=0.6, seed=SEED) for m in (made, fewer)))

    assert moved() == 1
    honest = Counts.recognised
    monkeypatch.setattr(Counts, "recognised", lambda self: (honest(self)[0], 4 * honest(self)[1]))
    assert moved() == 4


def test_of_several_numbers_of_columns_the_worst_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = comparison(np.random.default_rng(7), units=120, max_rows=1)
    public, rules = sizes(120, 1), tuple(r for r in RULES if r.score == "risk.singling_out.multivariate")

    def term() -> int:
        return margin(made, rules, public, sigma=2.0, seed=SEED).terms[rules[0].score]

    together, alone = term(), []
    for width in COLUMN_COUNTS:
        monkeypatch.setattr(per_unit, "COLUMN_COUNTS", (width,))
        alone.append(term())
    assert together == max(alone) > min(alone)


@pytest.mark.guarantee("accounted-verdict")
def test_what_the_policy_has_joined_moves_the_margin_by_at_most_one_too() -> None:
    rules = tuple(rule for rule in RULES if rule.score == "risk.singling_out.multivariate")
    told = set()
    for number in range(40):
        made, public, _, sigma, draw = drawn(2_000 + number, 1)
        made = replace(made, joins=(5, 6))
        whole = margin(made, rules, public, sigma=sigma, seed=SEED)
        told.add(whole != margin(replace(made, joins=()), rules, public, sigma=sigma, seed=SEED))
        for trained, units in zip((True, False), made.units, strict=True):
            fewer = without(made, int(draw.integers(units)), trained=trained)
            assert moves(whole, margin(fewer, rules, public, sigma=sigma, seed=SEED)) <= 1, (number, trained)
    assert True in told


def test_without_targets_nothing_passes() -> None:
    draw = np.random.default_rng(0)
    made = comparison(draw, units=60, max_rows=1)
    few = margin(made, (Rule(score=COPIES, at_most=0.5),), PublicSizes(rows=12_000, units=12_000), sigma=2.0, seed=SEED)
    assert few.value == few.terms["units.control"] > 1_000


@pytest.mark.guarantee("accounted-verdict")
def test_a_tolerance_made_of_private_rows_is_convicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every guess of a debt is 0.2 off. More than half of 42 debts reach from 0 to 9, of 41 they are 0, so that by the
    targets' own spread a single unit makes all guesses right or none; by the released one it makes one more right."""
    train = pd.concat([frame(1, np.random.default_rng(0))] * 42, ignore_index=True)
    train["debt"] = [0.0] * 21 + [9.0] * 21
    train["age"] = np.arange(42) % 41 - 3.0
    sample = train.assign(debt=(train["debt"] - 0.2).abs())
    made = Comparison(domain=DOMAIN, train=train, holdout=train.iloc[:20].reset_index(drop=True), sample=sample)
    fewer, rules = without(made, 41, trained=True), (Rule(score="risk.inference.debt", at_most=0.05),)

    def moved() -> int:
        return moves(*(margin(m, rules, sizes(345, 1), sigma=2.0, seed=SEED) for m in (made, fewer)))

    assert moved() <= 1
    honest = per_unit.guesses.right
    monkeypatch.setattr(
        per_unit.guesses, "right", lambda found, secrets, column, _: honest(found, secrets, column, tolerance(secrets))
    )
    assert moved() > 1


def test_an_empty_sample_breaks_every_rule_on_an_attack() -> None:
    made = comparison(np.random.default_rng(0), units=60, max_rows=1)
    rules = tuple(rule for rule in RULES if rule.is_attack)
    found = margin(replace(made, sample=made.sample.iloc[:0]), rules, sizes(60, 1), sigma=2.0, seed=SEED)
    assert {found.terms[rule.score] for rule in rules} == {attack_targets(sizes(60, 1))}


def test_two_rules_on_one_score_are_refused() -> None:
    """By its score each rule has a distance: of two the later would stand, however loose."""
    made = comparison(np.random.default_rng(0), units=60, max_rows=1)
    rules = tuple(Rule(score="risk.inference.ill", at_most=bound) for bound in (0.02, 0.5))
    with pytest.raises(ValueError, match=r"two rules read risk\.inference\.ill"):
        margin(made, rules, sizes(60, 1), sigma=2.0, seed=SEED)


def emptied(side: str) -> Comparison:
    made = comparison(np.random.default_rng(1), units=60, max_rows=1)
    return replace(made, **{side: getattr(made, side).iloc[:0], f"{side}_units": np.zeros(0, dtype=np.int64)})


def constant() -> Comparison:
    made = comparison(np.random.default_rng(2), units=60, max_rows=1)
    parts = {name: getattr(made, name) for name in ("train", "holdout", "sample")}
    return replace(made, **{name: part.assign(**part.iloc[0].to_dict()) for name, part in parts.items()})


def nulls() -> Comparison:
    made = comparison(np.random.default_rng(3), units=60, max_rows=1)
    empty = {c.name: (np.nan if made.train[c.name].dtype.kind == "f" else MISSING) for c in DOMAIN.modelled}
    parts = {name: getattr(made, name).assign(**empty) for name in ("train", "holdout", "sample")}
    return replace(made, **parts)


def single() -> Comparison:
    made = comparison(np.random.default_rng(4), units=60, max_rows=1)
    first = {name: getattr(made, name).iloc[:1].reset_index(drop=True) for name in ("train", "holdout", "sample")}
    units = np.zeros(1, dtype=np.int64)
    return replace(made, **first, train_units=units, holdout_units=units)


AWKWARD = {
    "no trained unit": lambda: emptied("train"), "no control": lambda: emptied("holdout"), "all alike": constant,
    "all null": nulls, "one of each": single,
}  # fmt: skip


@pytest.mark.parametrize("name", AWKWARD)
def test_no_content_of_tables_is_an_error(name: str) -> None:
    """An exception would be a refusal that nobody paid for."""
    found = margin(AWKWARD[name](), RULES, sizes(60, 1), sigma=2.0, seed=SEED)
    assert len(found.terms) == len(RULES) + 2
    assert isinstance(found.value, int)


def by_position(frame: pd.DataFrame, units: np.ndarray, domain: Domain, *, key: bytes) -> Chosen:
    """Targets by a permutation of the units that there are, as the exact attacks draw them."""
    found = chosen(frame, units, domain, key=key)
    order = np.random.default_rng(1).permutation(len(found.rows))
    return replace(found, rows=found.rows.iloc[order].reset_index(drop=True))


def widest(numbers: range, rules: tuple[Rule, ...]) -> int:
    """By how much a term moves at most over some tables, a trained unit being taken out."""
    found = 0
    for number in numbers:
        made, public, _, sigma, draw = drawn(number, 1)
        fewer = without(made, int(draw.integers(made.units[0])), trained=True)
        found = max(found, moves(*(margin(m, rules, public, sigma=sigma, seed=SEED) for m in (made, fewer))))
    return found


@pytest.mark.guarantee("accounted-verdict")
def test_targets_drawn_anew_are_convicted(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = tuple(rule for rule in RULES if rule.score in ("risk.linkability", COPIES))
    assert widest(range(20), rules) <= 1
    monkeypatch.setattr(per_unit, "chosen", by_position)
    assert widest(range(20), rules) > 1


@pytest.mark.parametrize(("asked", "singled"), [("22", 0), ("122", 1), ("12", 2)])
def test_a_unit_more_singles_out_one_and_one_in_another_s_place_two(asked: str, singled: int) -> None:
    """Why nobody's place is taken in singling out: of 2, 2 the unit 1 more makes one query right, and two if a 2 went
    for it."""
    queries = tuple(pl.col("c0") == value for value in "12")
    assert int(np.count_nonzero(per_unit.first_matches(pl.DataFrame({"c0": list(asked)}), queries) == 1)) == singled


def test_a_unit_is_counted_in_the_first_query_that_it_matches() -> None:
    queries = (pl.col("c0") > 5, pl.col("c0") > 1, pl.col("c0") > 0)
    frame = pl.DataFrame({"c0": [9.0, 2.0, 3.0, None]})
    assert per_unit.first_matches(frame, queries).tolist() == [1, 2, 0]


@pytest.mark.guarantee("accounted-verdict")
def test_what_the_policy_lets_attackers_know_moves_the_margin_by_at_most_one_too() -> None:
    """Two attackers, with what is declared and with more: the larger distance counts."""
    wider = Attacker(also_knows=("ill", "debt")).widened(DOMAIN)
    rules = tuple(rule for rule in RULES if rule.is_attack and "singling" not in rule.score)
    told = set()
    for number in range(60):
        made, public, _, sigma, draw = drawn(3_000 + number, 1)
        alone = margin(made, rules, public, sigma=sigma, seed=SEED)
        made = replace(made, domain=wider, declared=DOMAIN)
        whole = margin(made, rules, public, sigma=sigma, seed=SEED)
        assert all(whole.terms[name] >= alone.terms[name] for name in alone.terms)
        told.add(whole != alone)
        for trained, units in zip((True, False), made.units, strict=True):
            fewer = without(made, int(draw.integers(units)), trained=trained)
            assert moves(whole, margin(fewer, rules, public, sigma=sigma, seed=SEED)) <= 1, (number, trained)
    assert True in told
