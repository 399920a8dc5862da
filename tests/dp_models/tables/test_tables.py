"""Counting, consistency, grouping and drawing, on tables small enough to check by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dp_models.encoding.codes import ColumnCodes
from dp_models.tables.consistency import pool, rake, shrink, shrink_relation, shrink_twice, to_simplex
from dp_models.tables.counting import PairCounts, StarCounts, count
from dp_models.tables.drawing import draw, draw_each
from dp_models.tables.grouping import coarsen, group, least_weight, sums
from synthgate.domain import Column, Kind

NOISY = arrays(np.float64, st.integers(1, 30), elements=st.floats(-100, 1_000))


def test_counting() -> None:
    table = count([np.array([0, 1, 1]), np.array([2, 0, 0])], [2, 3])
    assert table.tolist() == [[0, 0, 1], [2, 0, 0]]
    assert count([np.array([], dtype=np.int64)], [2]).tolist() == [0, 0]


def test_counting_batch_by_batch() -> None:
    rng = np.random.default_rng(0)
    codes, t = [rng.integers(0, size, 500) for size in (3, 5, 2)], rng.integers(0, 4, 500)
    pairs, star = PairCounts((3, 5, 2), 4), StarCounts([np.arange(3), np.arange(5), np.arange(2)], 4)
    for part in (slice(0, 123), slice(123, 500)):
        pairs.add(pairs.of([c[part] for c in codes], t[part]))
        star.add(star.of([c[part] for c in codes], t[part]))
    for a, b in pairs.pairs:
        shape = (codes[a].max() + 1, codes[b].max() + 1, 4)
        assert (pairs[a, b] == count([codes[a], codes[b], t], shape)).all()
    assert (star[1] == count([codes[1], t], (5, 4))).all()


def test_pooling_trusts_the_surer_table() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([500.0, 300.0, 200.0])
    tables = [truth + rng.normal(0, s, (2_000, 3)) for s in (30.0, 60.0)]
    pooled = np.array([pool([a, b], [900.0, np.full(3, 3_600.0)], 1_000.0) for a, b in zip(*tables, strict=True)])
    assert pooled.sum(axis=1) == pytest.approx(1_000)
    assert np.std(pooled - truth) < 27


@given(NOISY, st.floats(1, 1e4))
def test_the_simplex_holds_the_total_and_the_order(noisy: np.ndarray, total: float) -> None:
    table = to_simplex(noisy, total)
    assert table.min() >= 0
    assert table.sum() == pytest.approx(total)
    assert (np.diff(table[np.argsort(noisy, kind="stable")]) >= -1e-9).all()


def test_the_simplex_takes_noise_off_empty_cells() -> None:
    assert to_simplex(np.array([100.0, 4.0, -3.0]), 100.0) == pytest.approx([98.0, 2.0, 0.0])


def test_noise_shrinks_to_the_model_and_signal_stays() -> None:
    model = np.full(100, 10.0)
    noise = np.random.default_rng(0).normal(0, 5, 100)
    assert np.abs(shrink(model + noise, model, sigma=5.0) - model).mean() < 1.5
    truth = np.where(np.arange(100) < 50, 1_000.0, 0.0)
    kept = shrink(truth + noise, np.full(100, 500.0), sigma=5.0)
    assert np.abs(kept - truth).mean() < 6


def test_shrinking_beats_the_noisy_table_and_the_model() -> None:
    rng = np.random.default_rng(1)
    model = rng.gamma(1.0, 30.0, (20, 20))
    truth = np.maximum(model + rng.normal(0, np.sqrt(4 * model)), 0)
    noisy = truth + rng.normal(0, 15, truth.shape)
    error = {name: ((t - truth) ** 2).sum() for name, t in (("noisy", noisy), ("model", model))}
    assert ((shrink(noisy, model, sigma=15.0) - truth) ** 2).sum() < 0.8 * min(error.values())


def test_a_faint_relation_is_told_from_the_noise_of_margins() -> None:
    """Two groups of a target, leanings as large as half of the noise: what `shrink` makes of them is worse than no
    relation at all, what is left without margins is better. Where there is none, the model is nearly kept."""
    rng, rows, target = (
        np.random.default_rng(3),
        np.array([900.0, 1_300.0, 1_500.0, 1_000.0]),
        np.array([2_600.0, 2_100.0]),
    )
    model, error, idle = np.outer(rows, target) / 4_700, {"shrink": 0.0, "relation": 0.0, "model": 0.0}, 0.0
    for _ in range(400):
        lean = rng.normal(0, 60, (4, 1))
        truth = model + (lean - lean.mean()) * np.array([1.0, -1.0])
        noise = rng.normal(0, 118, (4, 2))
        for name, guess in (
            ("shrink", shrink(truth + noise, model, sigma=118.0)),
            ("relation", shrink_relation(truth + noise, model, sigma=118.0)),
            ("model", model),
        ):
            error[name] += float(((guess - truth) ** 2).sum())
        idle += float(np.abs(shrink_relation(model + noise, model, sigma=118.0) - model).mean()) / 400
    assert error["relation"] < 0.95 * error["model"] < error["shrink"]
    assert idle < 25


def test_a_table_with_one_group_has_no_relation() -> None:
    model = np.array([[3.0, 5.0]])
    assert shrink_relation(np.array([[90, -40]]), model, sigma=1.0) == pytest.approx(model)


def test_raking_meets_both_margins() -> None:
    table = np.array([[5.0, 0.0], [0.0, 0.0], [1.0, 9.0]])
    rows, columns = np.array([6.0, 2.0, 8.0]), np.array([7.0, 9.0])
    fitted = rake(table, {1: rows, 0: columns})
    assert fitted.sum(axis=1) == pytest.approx(rows, rel=1e-3)
    assert fitted.sum(axis=0) == pytest.approx(columns, rel=1e-3)


def test_equal_masses_of_neighbours() -> None:
    column = ColumnCodes(Column(name="x", kind=Kind.INTEGER, low=0, high=7, nullable=True))
    even = group(column, np.array([10.0] * 8 + [0.0, 0.0]), levels=4, least=5.0)
    assert even[:8].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    spike = group(column, np.array([90.0, 1, 1, 1, 1, 2, 2, 2, 0, 0]), levels=4, least=1.0)
    assert (spike[1:8] != spike[0]).all()


def test_missing_cells_stand_apart_when_they_weigh_enough() -> None:
    column = ColumnCodes(Column(name="x", kind=Kind.CATEGORICAL, categories=("a", "b", "c"), nullable=True))
    apart = group(column, np.array([50.0, 30.0, 1.0, 15.0, 5.0]), levels=4, least=10.0)
    assert apart[3] == apart[4] not in apart[:3]
    joined = group(column, np.array([50.0, 30.0, 20.0, 3.0, 1.0]), levels=4, least=10.0)
    assert joined[3] == joined[4] == joined[0]


@pytest.mark.parametrize(("sigma", "groups"), [(1.0, [0, 1, 2, 3]), (3.0, [0, 1, 2, 2]), (1_000.0, [0, 1, 1, 1])])
def test_categories_stand_apart_as_the_noise_allows(sigma: float, groups: list[int]) -> None:
    """4 cells of noise 1 drown what weighs less than 10, those of noise 3 less than 30; 62.5 is a quarter of even."""
    column = ColumnCodes(Column(name="x", kind=Kind.CATEGORICAL, categories=("a", "b", "c", "d")))
    weights = np.array([900.0, 60.0, 28.0, 12.0, 0.0])
    limit = least_weight(column, 1_000.0, levels=4, cells=4, sigma=sigma)
    assert group(column, weights, levels=4, least=limit)[:4].tolist() == groups


def test_cells_that_are_never_released_take_no_room_of_a_class() -> None:
    column = ColumnCodes(Column(name="x", kind=Kind.CATEGORICAL, categories=("a", "b", "c")))
    weights = np.array([85.0, 6.0, 4.0, 5.0])
    assert group(column, weights, levels=3, least=1.0).tolist() == [0, 1, 2, 0]
    assert group(column, weights, levels=4, least=1.0).tolist() == [0, 1, 2, 3]


@given(arrays(np.float64, 12, elements=st.floats(0, 100)), st.integers(2, 9), st.floats(0, 50), st.booleans())
def test_groups_are_numbered_without_gaps_and_within_the_levels(
    weights: np.ndarray, levels: int, least: float, ordered: bool
) -> None:
    column = (
        Column(name="x", kind=Kind.INTEGER, low=0, high=9, nullable=True)
        if ordered
        else Column(name="x", kind=Kind.CATEGORICAL, categories=tuple("abcdefghij"), nullable=True)
    )
    groups = group(ColumnCodes(column), weights, levels=levels, least=least)
    assert sorted(set(groups)) == list(range(groups.max() + 1))
    assert groups.max() + 1 <= levels
    if ordered:
        assert (np.diff(groups[:10]) >= 0).all()


@given(arrays(np.float64, 12, elements=st.floats(0, 100)), st.integers(2, 5), st.floats(0, 50), st.booleans())
def test_coarser_groups_are_made_of_groups(weights: np.ndarray, levels: int, least: float, ordered: bool) -> None:
    kind = {"kind": Kind.INTEGER, "low": 0, "high": 9} if ordered else {"categories": tuple("abcdefghij")}
    column = ColumnCodes(Column(**({"name": "x", "nullable": True, "kind": Kind.CATEGORICAL} | kind)))
    groups = group(column, weights, levels=9, least=0.0)
    coarse = coarsen(column, groups, sums(weights, groups), levels=levels, least=least)
    assert len(coarse) == groups.max() + 1
    assert sorted(set(coarse)) == list(range(coarse.max() + 1))
    assert coarse.max() + 1 <= levels


def test_drawing_rounds_expected_counts() -> None:
    codes = draw(np.array([0.5, 0.3, 0.2]), 1_000, generator=np.random.default_rng(0))
    assert np.abs(np.bincount(codes) - [500, 300, 200]).max() <= 1
    given_groups = np.repeat([0, 1], [10, 90])
    both = draw(np.array([[1.0, 0.0], [1 / 3, 2 / 3]]), 100, generator=np.random.default_rng(0), given=given_groups)
    assert both[:10].sum() == 0
    assert both[10:].sum() == 60


def test_drawing_is_unbiased_and_in_random_order() -> None:
    rng = np.random.default_rng(0)
    draws = np.array([draw(np.array([0.9, 0.1]), 5, generator=rng) for _ in range(4_000)])
    assert draws.mean(axis=0) == pytest.approx(0.1, abs=0.025)


def test_drawing_a_code_a_row() -> None:
    table = np.tile([0.0, 0.25, 0.75, 0.0], (8_000, 1))
    seen = np.bincount(draw_each(table, generator=np.random.default_rng(0)), minlength=4) / 8_000
    assert seen == pytest.approx([0, 0.25, 0.75, 0], abs=0.02)


def test_a_blend_is_finite_where_the_model_leaves_almost_nothing() -> None:
    """What a model of contradicting tables expects of a cell may be the least number that there is."""
    towards = np.array([[5e-324, 0.0], [3.0, 2.0]])
    blended = shrink_twice(np.array([[400, -200], [150, 90]]), towards, sigma=100.0, axis=1)
    assert np.isfinite(blended).all()
    assert (blended >= 0).all()
