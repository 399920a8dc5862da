"""Singling-out queries: reproducible, complete where they claim to be, exhausted told apart from stopped."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from anonymeter.evaluators.singling_out_evaluator import (
    multivariate_singling_out_queries,
    univariate_singling_out_queries,
)

from evaluation.base import Comparison
from evaluation.risk.predicates import code, joined, lone, lone_of_group
from evaluation.risk.queries import MAX_COMPARISONS, condensed, draw, plain, search
from evaluation.risk.singling_out import SinglingOut, affordable, ask, multivariate, univariate
from evaluation.tables import MISSING
from synthgate.domain import Column, Domain, Kind

DOMAIN = Domain(
    columns=(
        Column(name="select", kind=Kind.CATEGORICAL, categories=("it's", 'a "b"', "c"), nullable=True),
        Column(name="^n.*$", kind=Kind.INTEGER, low=0, high=9, nullable=True),
        Column(name="m", kind=Kind.INTEGER, low=0, high=4),
        Column(name="b", kind=Kind.BOOLEAN),
    )
)


def _rows(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "select": draw.choice(np.array(["it's", 'a "b"', "c", MISSING], dtype=object), size),
            "^n.*$": draw.choice([*map(float, range(10)), np.nan], size),
            "m": draw.integers(0, 5, size).astype(float),
            "b": draw.choice(np.array(["true", "false"], dtype=object), size),
        }
    )


WIDE = Domain(columns=tuple(Column(name=f"w{i}", kind=Kind.INTEGER, low=0, high=3) for i in range(6)))


def _wide(size: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame(
        np.random.default_rng(seed).integers(0, 4, (size, 6)).astype(float), columns=[c.name for c in WIDE.columns]
    )


def _sample(size: int = 60, seed: int = 1) -> pl.DataFrame:
    return plain(_rows(size, seed), DOMAIN).unique(maintain_order=True)


def test_all_queries_are_what_anonymeter_finds_in_the_long_run() -> None:
    sample = _sample(30)
    every, complete = search(sample, 3, generator=np.random.default_rng(0))
    assert complete
    found = multivariate_singling_out_queries(sample, 10_000, 3, 8_000, np.random.default_rng(0))
    assert {str(q) for q in found} == {str(q) for q in every}
    assert (ask(sample, tuple(every)) == 1).all()


def test_a_condensed_sample_gives_the_same_univariate_queries() -> None:
    sample = _sample().with_columns(pl.Series("x", np.random.default_rng(2).random(_sample().height).round(2)))
    whole = univariate_singling_out_queries(sample, 10**6, np.random.default_rng(0))
    pieces = condensed(sample, 10**6, generator=np.random.default_rng(0))
    parts = [q for piece in pieces for q in univariate_singling_out_queries(piece, 10**6, np.random.default_rng(0))]
    assert {str(q) for q in parts} == {str(q) for q in whole}
    few = condensed(sample, 5, generator=np.random.default_rng(0))
    assert sum(piece.height for piece in few) <= 5 + 6 * len(few)


def test_a_partial_search_says_so_and_finds_part_of_the_whole() -> None:
    sample = _sample(200, 4).with_columns(pl.Series("x", np.random.default_rng(2).random(_sample(200, 4).height)))
    every, _ = search(sample, 3, generator=np.random.default_rng(0))
    some, complete = search(sample, 3, generator=np.random.default_rng(0), comparisons=10_000)
    assert not complete
    assert {str(q) for q in some} < {str(q) for q in every}
    assert (ask(sample, tuple(some)) == 1).all()


def test_every_univariate_query_singles_out_and_the_choice_hangs_on_the_key_alone() -> None:
    sample = _sample().with_columns(pl.Series("x", np.random.default_rng(2).random(_sample().height)))
    runs = [univariate(sample, 20, generator=np.random.default_rng(seed)).queries for seed in (5, 5, 6)]
    assert [str(q) for q in runs[0]] == [str(q) for q in runs[1]]
    assert [str(q) for q in runs[0]] != [str(q) for q in runs[2]]
    assert (ask(sample, runs[0]) == 1).all()


def test_a_plain_frame_holds_no_name_and_no_text() -> None:
    frame = _sample()
    assert frame.columns == ["c0", "c1", "c2", "c3"]
    assert set(frame["c0"].drop_nulls()) == {"0", "1", "2"}
    assert frame["c1"].null_count() > 0


@pytest.mark.parametrize(("comparisons", "conclusive", "word"), [(10**9, True, "exhausted"), (0, False, "stopped")])
def test_a_short_list_is_conclusive_only_where_it_is_complete(comparisons: int, conclusive: bool, word: str) -> None:
    comparison = Comparison(domain=DOMAIN, train=_rows(900, 1), holdout=_rows(900, 2), sample=_rows(60, 3))
    found = SinglingOut(comparisons=comparisons).measure(comparison, generator=np.random.default_rng(1))
    _, score = found.scores
    assert score.conclusive is conclusive
    assert word in score.note
    assert "900 attacks" in score.note


def test_missing_queries_count_as_failed() -> None:
    """A sample of one distinct row gives a handful of queries; 500 attacks are counted all the same."""
    rows = _rows(500, 1)
    comparison = Comparison(domain=DOMAIN, train=rows, holdout=rows, sample=rows.iloc[[0] * 50])
    for score in SinglingOut().measure(comparison, generator=np.random.default_rng(1)).scores:
        assert score.conclusive
        assert "exhausted" in score.note
        assert score.high < 0.01


def test_how_many_columns_queries_join_hangs_on_public_counts_alone() -> None:
    assert affordable((2, 3, 4), 15, 20_000, MAX_COMPARISONS) == [2, 3, 4]
    assert affordable((2, 3, 4), 2, 20_000, MAX_COMPARISONS) == [2]
    assert affordable((2, 3, 4), 30, 100_000, MAX_COMPARISONS) == [2, 3]
    assert affordable((2, 3, 4), 300, 100_000, MAX_COMPARISONS) == [3]
    assert affordable((2,), 300, 100_000, MAX_COMPARISONS) == [3]
    assert affordable((2, 3, 4), 300, 100_000, MAX_COMPARISONS, asked=(5,)) == [3, 5]
    assert affordable((2, 3, 4), 4, 20_000, MAX_COMPARISONS, asked=(4, 5)) == [2, 3, 4]


def test_what_the_policy_has_joined_is_asked_and_told() -> None:
    comparison = Comparison(domain=WIDE, train=_wide(900, 1), holdout=_wide(900, 2), sample=_wide(300, 3), joins=(5,))
    found = SinglingOut().measure(comparison, generator=np.random.default_rng(1))
    assert list(found.details["columns"]) == ["2", "3", "4", "5"]
    assert found.details["because_of_the_policy"] == [5]
    assert "queries that join 2, 3, 4, 5 columns" in found.scores[1].note
    usual = SinglingOut().measure(replace(comparison, joins=()), generator=np.random.default_rng(1))
    assert list(usual.details["columns"]) == ["2", "3", "4"]


def test_what_the_policy_has_joined_and_no_search_ends_of_is_not_told() -> None:
    comparison = Comparison(domain=WIDE, train=_wide(900, 1), holdout=_wide(900, 2), sample=_wide(300, 3), joins=(5,))
    found = SinglingOut(columns=(), comparisons=0).measure(comparison, generator=np.random.default_rng(1))
    assert list(found.details["columns"]) == ["5"]
    assert not found.scores[1].conclusive


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_what_singles_out_is_what_asking_the_whole_table_counts_once(width: int) -> None:
    """Every predicate of every row over every group of columns, against a count of all rows; nulls included."""
    sample = _sample(50, 3).with_columns(pl.Series("x", np.random.default_rng(2).random(_sample(50, 3).height)))
    coded, every = code(sample), np.arange(sample.height)
    for group in combinations(range(sample.width), width):
        groups = np.tile(np.array(group, dtype=np.int64), (len(every), 1))
        single, spent = lone(coded, groups, every, 10**9)
        asked = ask(sample, tuple(joined(coded, group, row) for row in every.tolist()))
        assert (single == (asked == 1)).all()
        assert (asked >= 1).all(), "its own row answers every predicate"
        rows, _ = lone_of_group(coded, group, 10**9)
        assert rows.tolist() == np.flatnonzero(asked == 1).tolist()
        assert lone_of_group(coded, group, 0)[1] > 0, "a search that was cut says so"
        assert spent <= sample.height**2


def test_the_worst_number_of_columns_is_told_and_all_are_in_the_details() -> None:
    """Queries of three columns of the training rows single out more than queries of one more or less would tell."""
    train, holdout = _rows(600, 1), _rows(600, 2)
    train["^n.*$"], holdout["^n.*$"] = (np.random.default_rng(i).uniform(0, 9, 600) for i in (3, 4))
    comparison = Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=train)
    found = SinglingOut().measure(comparison, generator=np.random.default_rng(1))
    each = found.details["columns"]
    assert list(each) == ["2", "3", "4"]
    assert found.scores[1].as_shown().high == max(told["high"] for told in each.values())
    assert "2, 3, 4 columns" in found.scores[1].note
    assert found.details["known"] == [c.name for c in DOMAIN.modelled]


def test_a_search_of_many_distinct_numbers_ends() -> None:
    """60,000 rows of fifteen continuous columns: comparisons are bounded, and few are needed."""
    frame = pl.DataFrame(np.random.default_rng(1).random((60_000, 15)), schema=[f"c{i}" for i in range(15)])
    coded = code(frame)
    found, spent = draw(frame, coded, 3, 300, generator=np.random.default_rng(1))
    assert len(found) > 150
    assert spent < 100_000_000
    assert (ask(frame, tuple(found[:50])) == 1).all()


def test_a_large_space_gives_as_many_as_wanted() -> None:
    frame = pl.DataFrame(np.random.default_rng(1).random((300, 5)), schema=[f"c{i}" for i in range(5)])
    found = multivariate(frame, 200, generator=np.random.default_rng(1))
    assert len({str(q) for q in found.queries}) == 200
    assert (ask(frame, found.queries) == 1).all()
