"""One-run audits: the bound is the paper's, honest training stays under its claim, and gross mistakes are convicted."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from tests.audit.canaries import Guesses, one_run
from tests.audit.conftest import NoteRun
from tests.audit.test_dpsgd import averaged, schedule
from tests.audit.training_bugs import clipped_draw_by_draw, unclipped


class TestBound:
    """By hand: with delta 0 all that counts is a binomial tail."""

    @pytest.mark.parametrize(
        ("guesses", "correct", "epsilon", "delta", "expected"),
        [
            (3, 2, math.log(3), 0.0, 27 / 64 + 27 / 64),  # chance 3/4: two or three of three
            (1, 1, 0.0, 0.0, 1 / 2),
            (1, 1, 0.0, 1e-3, 1 / 2 + 2 * 100 * 1e-3 * (1 / 2)),  # 1/1 P(W = 0)
            (2, 2, 0.0, 1e-3, 1 / 4 + 2 * 100 * 1e-3 * max(1 / 2, 3 / 4 / 2)),  # 1/1 P(W = 1), 1/2 P(W in {0, 1})
            (4, 0, 1.0, 0.0, 1.0),
        ],
    )
    def test_p_values(self, guesses: int, correct: int, epsilon: float, delta: float, expected: float) -> None:
        assert Guesses(100, guesses, correct).p_value(epsilon, delta) == pytest.approx(expected)

    @pytest.mark.parametrize(("guesses", "expected"), [(10, 1.0515), (100, 3.4933), (1_000, 5.8091)])
    def test_ten_of_ten_and_more(self, guesses: int, expected: float) -> None:
        """All are right with chance (e^eps / (1 + e^eps))^r: at 0.05 and r = 10 the root is 0.7411."""
        root = 0.05 ** (1 / guesses)
        assert math.log(root / (1 - root)) == pytest.approx(expected, abs=1e-3)
        assert Guesses(1_000, guesses, guesses).proves(0.0, alpha=0.05) == pytest.approx(expected, abs=1e-3)

    def test_half_of_the_guesses_show_nothing(self) -> None:
        assert Guesses(1_000, 100, 50).proves(0.0, alpha=0.05) == 0

    def test_delta_takes_from_the_bound(self) -> None:
        bounds = [Guesses(1_000, 100, 95).proves(delta, alpha=0.05) for delta in (0.0, 1e-6, 1e-4, 1e-3)]
        assert bounds == sorted(bounds, reverse=True) and bounds[0] > bounds[-1]

    @pytest.mark.parametrize("truth", [0.1, 1.0, 2.0])
    def test_a_bound_is_too_high_as_seldom_as_it_says(self, truth: float) -> None:
        """Randomised response of that epsilon, exactly: the chance of all counts whose bound exceeds it."""
        chances = binom.pmf(np.arange(51), 50, 1 / (1 + math.exp(-truth)))
        exceed = [Guesses(50, 50, v).proves(0.0, alpha=0.05) > truth + 1e-9 for v in range(51)]
        assert 0.003 < chances[exceed].sum() <= 0.05


CLAIMS = [(1.0, 2.0, 4), (0.5, 1.0, 8), (0.1, 0.8, 20)]


@pytest.mark.parametrize("canaries", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("rate", "noise_multiplier", "steps"), CLAIMS)
def test_one_honest_run_is_within_its_claim(
    rate: float, noise_multiplier: float, steps: int, canaries: int, note_run: NoteRun
) -> None:
    claimed = schedule(rate, noise_multiplier, steps)
    what = f"one run, rate {rate:g}, noise {noise_multiplier:g}, {steps} steps"
    assert not note_run(what, claimed.event, one_run(claimed, canaries=canaries, guesses=canaries // 10))


def test_several_draws_of_a_canary_are_within_the_claim(note_run: NoteRun) -> None:
    claimed = schedule(1.0, 8.0, 4)
    found = one_run(claimed, canaries=2_000, guesses=1_000, losses=averaged)
    assert not note_run("one run, 16 draws averaged", claimed.event, found)


def test_canaries_that_are_not_clipped_are_convicted(note_run: NoteRun) -> None:
    claimed = schedule(1.0, 8.0, 4)
    found = one_run(claimed, canaries=2_000, guesses=1_000, trained=unclipped(claimed))
    assert note_run("one run: no clip", claimed.event, found)


def test_draws_of_a_canary_clipped_one_by_one_are_convicted(note_run: NoteRun) -> None:
    claimed = schedule(1.0, 8.0, 4)
    found = one_run(claimed, canaries=2_000, guesses=1_000, losses=clipped_draw_by_draw)
    assert note_run("one run: every draw clipped alone", claimed.event, found)
