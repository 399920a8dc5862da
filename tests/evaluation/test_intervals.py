"""Intervals against the tables of Newcombe 1998 (Statistics in Medicine 17: 857, 873 and 2635), two-sided 95 %."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.risk.intervals import independent_difference, paired_difference, scaled_difference, wilson

TWO_SIDED = 1.959963985


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials, z=TWO_SIDED) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "trials", "low", "high"),
    [
        (56, 48, (70, 80), 0.0524, 0.3339),
        (9, 3, (10, 10), 0.1705, 0.8090),
        (6, 2, (7, 7), 0.0582, 0.8062),
        (5, 0, (56, 29), -0.0381, 0.1926),
        (10, 0, (10, 20), 0.6791, 1.0),
    ],
)
def test_difference_of_two_independent_rates(
    first: int, second: int, trials: tuple[int, int], low: float, high: float
) -> None:
    assert independent_difference(first, second, trials, z=TWO_SIDED) == pytest.approx((low, high), abs=5e-5)


def test_difference_of_two_paired_shares() -> None:
    assert paired_difference(36, 12, 2, 0, z=TWO_SIDED) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_one_sided_end_by_hand() -> None:
    """No success among 1,182 on either side: Wilson's upper end z^2/(n + z^2) is 2.7055/1184.7 = 0.0022837."""
    assert independent_difference(0, 0, (1182, 1182)) == pytest.approx((-0.0022837, 0.0022837), abs=1e-6)


def test_without_trials_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert independent_difference(0, 0, (0, 5)) == (-1.0, 1.0)
    assert paired_difference(0, 0, 0, 0) == (-1.0, 1.0)
    assert scaled_difference(0, 0, 0, scale=4.0) == (-4.0, 1.0)


cells = st.integers(0, 500)


@given(cells, cells, cells, cells)
def test_the_ends_hold_the_difference_and_swap_with_the_sides(both: int, first: int, second: int, neither: int) -> None:
    rows = both + first + second + neither
    low, high = paired_difference(both, first, second, neither)
    mirrored = paired_difference(both, second, first, neither)
    assert (-mirrored[1], -mirrored[0]) == pytest.approx((low, high))
    if rows:
        assert -1 - 1e-9 <= low <= (first - second) / rows + 1e-12
        assert (first - second) / rows - 1e-12 <= high <= 1 + 1e-9


@given(cells, cells)
def test_a_scaled_difference_at_scale_one_is_the_uncorrelated_one(first: int, second: int) -> None:
    assert scaled_difference(first, second, 500, scale=1.0) == independent_difference(first, second, (500, 500))
