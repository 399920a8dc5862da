"""`SystemNoise` draws from the distributions that it is priced for."""

import numpy as np
import pytest
from scipy.stats import chisquare

from dp_models.mechanisms.noise import EXACT_CHOICES, EXACT_COUNTS, FLOATING_POINT, SystemNoise
from synthgate.errors import FailedPrecondition
from synthgate.events import Composed, DiscreteGaussian, Exponential, PoissonGaussian, Repeated, ZeroConcentrated

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


@pytest.mark.parametrize("shape", [(0,), (1,), (1_999,), (2_000,), (3, 1_001)])
def test_counts_that_are_drawn_side_by_side_keep_their_places_and_share_no_draw(shape: tuple[int, ...]) -> None:
    counts = np.arange(np.prod(shape)).reshape(shape) * 10**6
    noise = (SystemNoise().discrete_gaussian(counts, sigma=1e4, sensitivity=1) - counts).ravel()
    assert noise.shape == (counts.size,) and np.abs(noise).max(initial=0) < 10**5
    half = counts.size // 2
    if half > 100:
        assert (noise[:half] == noise[-half:]).mean() < 0.01
        assert abs(np.corrcoef(noise[:half], noise[-half:])[0, 1]) < 6 / half**0.5


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
    assert noise.properties == (EXACT_COUNTS,)
    noise.generator("training")
    noise.ran(PoissonGaussian(0.1, 1.0, 5))
    noise.generator("batches")
    assert noise.weaknesses == (FLOATING_POINT,)


def test_every_kind_of_exact_draw_is_named_once() -> None:
    noise = SystemNoise()
    assert noise.properties == ()
    for _ in range(2):
        noise.exponential(np.zeros(3), epsilon=0.5, sensitivity=1.0)
        noise.discrete_gaussian(np.zeros(2, np.int64), sigma=1.0, sensitivity=1)
    assert noise.properties == (EXACT_CHOICES, EXACT_COUNTS)


def test_noise_of_somebody_elses_code_is_not_called_ours() -> None:
    noise = SystemNoise()
    assert noise.seeds("a", weakness="Theirs.").random() != noise.seeds("a", weakness="Theirs.").random()
    noise.ran(DiscreteGaussian(1.0, 1))
    assert (noise.properties, noise.weaknesses) == ((), ("Theirs.",))


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [float("inf")]])
def test_selections_need_finite_scores(scores: list[float]) -> None:
    with pytest.raises(FailedPrecondition):
        SystemNoise().exponential(np.array(scores), epsilon=1.0, sensitivity=1.0)


def test_a_filter_is_one_event_whatever_was_used_of_it() -> None:
    noise = SystemNoise()
    noise.discrete_gaussian(np.zeros(2, np.int64), sigma=2.0, sensitivity=1)
    with noise.filtered(1.0):
        noise.discrete_gaussian(np.zeros(2, np.int64), sigma=1.0, sensitivity=1)
    noise.exponential(np.zeros(2), epsilon=0.5, sensitivity=1.0)
    assert noise.event == Composed((DiscreteGaussian(2.0), ZeroConcentrated(1.0), Exponential(0.5)))


def test_a_filter_lets_through_what_adds_up_to_its_rho_and_no_more() -> None:
    """A table at sigma 1 costs 1/2, a choice at epsilon 2 costs 4/8: three of them are more than one."""
    noise = SystemNoise()
    with noise.filtered(1.0):
        noise.discrete_gaussian(np.zeros(1, np.int64), sigma=1.0, sensitivity=1)
        noise.exponential(np.zeros(2), epsilon=2.0, sensitivity=1.0)
        for left in ((1e6, 1), (1.0, 1)):
            with pytest.raises(FailedPrecondition, match="more than is left"):
                noise.discrete_gaussian(np.zeros(1, np.int64), sigma=left[0], sensitivity=left[1])
        with pytest.raises(FailedPrecondition, match="more than is left"):
            noise.exponential(np.zeros(2), epsilon=0.001, sensitivity=1.0)
    assert noise.event == ZeroConcentrated(1.0)


@pytest.mark.parametrize(
    ("sigma", "sensitivity", "fits"), [(2.0, 2, True), (1.99, 2, False), (1.0, 1, True), (0.999, 1, False)]
)
def test_a_filter_reads_scale_and_sensitivity(sigma: float, sensitivity: int, fits: bool) -> None:
    noise = SystemNoise()
    with noise.filtered(0.5):
        if fits:
            noise.discrete_gaussian(np.zeros(1, np.int64), sigma=sigma, sensitivity=sensitivity)
        else:
            with pytest.raises(FailedPrecondition, match="more than is left"):
                noise.discrete_gaussian(np.zeros(1, np.int64), sigma=sigma, sensitivity=sensitivity)


def test_what_has_no_rho_does_not_run_in_a_filter_and_filters_do_not_nest() -> None:
    noise = SystemNoise()
    with noise.filtered(100.0):
        with pytest.raises(FailedPrecondition, match="more than is left"):
            noise.ran(PoissonGaussian(0.1, 1.0, 1))
        with pytest.raises(FailedPrecondition, match="open already"), noise.filtered(1.0):
            pass
    noise.ran(PoissonGaussian(0.1, 1.0, 1))
    assert noise.event == Composed((ZeroConcentrated(100.0), PoissonGaussian(0.1, 1.0, 1)))
