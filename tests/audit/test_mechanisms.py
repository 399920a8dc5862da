"""The audit of single mechanisms: counts with noise and private choices, on inputs that show most."""

from collections.abc import Callable

import numpy as np
import pytest

from dp_models.base import FloatArray, IntArray
from dp_models.mechanisms.noise import SystemNoise
from synthgate.events import DiscreteGaussian, Exponential, Repeated
from tests.audit.bugs import HalfNoise, Keen
from tests.audit.conftest import Note
from tests.audit.games import Recorded, Verdict, play

TIMES = 2


def _counts(sigma: float, moved: int, *, games: int, noise: Callable[[], Recorded] = Recorded, k: int = 1) -> Verdict:
    """Two tables with a unit of ``moved`` rows in one cell, or without it; noise for units of ``k`` rows."""

    def fit(counts: IntArray, source: SystemNoise) -> None:
        for _ in range(TIMES):
            source.discrete_gaussian(counts, sigma=sigma, sensitivity=k)

    return play(fit, np.array([5, 0, 0]), np.array([5, moved, 0]), games=games, noise=noise)["likelihood"]


def _choices(epsilon: float, *, games: int, noise: Callable[[], Recorded] = Recorded, moved: float = 1.0) -> Verdict:
    """A choice between two: one score rises by ``moved``, the other falls. By 1 the odds turn by exp(epsilon), which is
    all that a bounded range allows, and around the middle, where it shows most."""

    def fit(scores: FloatArray, source: SystemNoise) -> None:
        source.exponential(scores, epsilon=epsilon, sensitivity=1.0)

    return play(fit, np.array([moved, 0.0]), np.array([0.0, moved]), games=games, noise=noise)["likelihood"]


COUNTS = [(0.6, 1), (1.544, 1), (4.0, 1), (3.0, 3), (20.0, 5)]
CHOICES = [0.5, 2.0, 6.0]


@pytest.mark.parametrize("games", [200, pytest.param(4_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("sigma", "k"), COUNTS)
def test_counts_are_within_their_claim(sigma: float, k: int, games: int, note: Note) -> None:
    claim = Repeated(DiscreteGaussian(sigma, k), TIMES)
    assert not note(f"discrete Gaussian {sigma:g}, k = {k}", claim, _counts(sigma, k, games=games, k=k))


def test_half_the_noise_of_counts_is_convicted(note: Note) -> None:
    claim = Repeated(DiscreteGaussian(1.5), TIMES)
    assert note("discrete Gaussian: half noise", claim, _counts(1.5, 1, games=500, noise=HalfNoise))


def test_a_unit_of_five_rows_that_is_taken_for_one_row_is_convicted(note: Note) -> None:
    claim = Repeated(DiscreteGaussian(4.0), TIMES)
    assert note("discrete Gaussian: 5 rows taken for 1", claim, _counts(4.0, 5, games=300))


@pytest.mark.parametrize("games", [200, pytest.param(4_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("epsilon", CHOICES)
def test_choices_are_within_their_claim(epsilon: float, games: int, note: Note) -> None:
    claim = Exponential(epsilon)
    assert not note(f"exponential {epsilon:g}", claim, _choices(epsilon, games=games))


def test_twice_the_epsilon_of_choices_is_convicted(note: Note) -> None:
    claim = Exponential(2.0)
    assert note("exponential: twice the epsilon", claim, _choices(2.0, games=400, noise=Keen))


def test_a_score_that_moves_twice_is_convicted(note: Note) -> None:
    claim = Exponential(2.0)
    assert note("exponential: scores move twice", claim, _choices(2.0, games=400, moved=2.0))
