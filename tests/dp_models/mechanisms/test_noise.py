"""`SystemNoise` draws from the distributions that it is priced for."""

import numpy as np
import pytest
from scipy.stats import chisquare

from dp_models.mechanisms.noise import FLOATING_POINT, SystemNoise
from synthgate.errors import FailedPrecondition
from synthgate.events import Composed, DiscreteGaussian, Exponential, PoissonGaussian, Repeated

SURE = 1e-6
"""A right sampler fails one run in a million."""


@pytest.mark.parametrize("sigma", [0.8, 3.0])
def test_counts_get_a_discrete_gaussian(sigma: float) -> None:
    draws = SystemNoise().discrete_gaussian(np.full(40_000, 7), sigma=sigma, sensitivity=1) - 7
    support = np.arange(-200, 201)
    mass = np.exp(-(support**2) / (2 * sigma**2))
    mass /= mass.sum()
    reach = int(3 * sigma)
    seen = np.bincount(np.clip(draws, -reach, reach) + reach, minlength=2 * reach + 1)
    wanted = np.bincount(np.clip(support, -reach, reach) + reach, weights=mass)
    assert chisquare(seen, wanted * len(draws)).pvalue > SURE


def test_selections_are_exponential() -> None:
    noise, scores = SystemNoise(), np.array([0.0, 3.0, 6.0, -3.0])
    seen = np.bincount([noise.exponential(scores, epsilon=1.0, sensitivity=1.5) for _ in range(8_000)], minlength=4)
    mass = np.exp(scores / 3.0)
    assert chisquare(seen, mass / mass.sum() * 8_000).pvalue > SURE


def test_a_generator_is_new_every_time() -> None:
    noise = SystemNoise()
    assert noise.generator("a").random() != noise.generator("a").random()


def test_what_ran_is_written_in_order_and_shape_is_kept() -> None:
    noise = SystemNoise()
    with pytest.raises(FailedPrecondition):
        _ = noise.event
    assert noise.discrete_gaussian(np.zeros((2, 3), np.int64), sigma=2.0, sensitivity=1).shape == (2, 3)
    noise.discrete_gaussian(np.zeros(4, np.int64), sigma=2.0, sensitivity=1)
    noise.exponential(np.zeros(3), epsilon=0.5, sensitivity=1.0)
    assert noise.event == Composed((Repeated(DiscreteGaussian(2.0), 2), Exponential(0.5)))


def test_only_floating_point_noise_weakens() -> None:
    noise = SystemNoise()
    noise.discrete_gaussian(np.zeros(2, np.int64), sigma=1.0, sensitivity=1)
    assert noise.weaknesses == ()
    noise.generator("training")
    noise.ran(PoissonGaussian(0.1, 1.0, 5))
    noise.generator("batches")
    assert noise.weaknesses == (FLOATING_POINT,)


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [float("inf")]])
def test_selections_need_finite_scores(scores: list[float]) -> None:
    with pytest.raises(FailedPrecondition):
        SystemNoise().exponential(np.array(scores), epsilon=1.0, sensitivity=1.0)
