"""Renyi divergences of single events at one order: the second accountant's arithmetic."""

import math
from functools import lru_cache

import numpy as np

from synthgate.events import DiscreteGaussian, DpEvent, Exponential, Gaussian, PoissonGaussian


def divergence(leaf: DpEvent, order: int) -> float:
    """The Renyi divergence bound of integer ``order`` (2 and more) of one event, in nats; infinity for what has none.

    A `PoissonGaussian` counts as one of its steps.
    """
    match leaf:
        case Gaussian(noise_multiplier):
            return order / (2 * noise_multiplier**2)
        case DiscreteGaussian(sigma, sensitivity):
            return order * sensitivity**2 / (2 * sigma**2)
        case Exponential(parameter):
            return min(order * parameter**2 / 8, parameter)
        case PoissonGaussian(rate, noise_multiplier, _):
            return _subsampled(rate, noise_multiplier, order)
    return math.inf


@lru_cache(maxsize=65536)
def _subsampled(rate: float, noise_multiplier: float, order: int) -> float:
    """One Poisson-subsampled Gaussian at integer order, exactly (Mironov, Talwar, Zhang 2019, section 3.3)."""
    if rate == 1.0:
        return order / (2 * noise_multiplier**2)
    i = np.arange(order + 1, dtype=np.float64)
    logs = np.cumsum(np.log(np.arange(1, order + 1)))
    factorial = np.concatenate(([0.0], logs))
    binomial = factorial[-1] - factorial - factorial[::-1]
    terms = binomial + (order - i) * math.log1p(-rate) + i * math.log(rate) + i * (i - 1) / (2 * noise_multiplier**2)
    top = float(terms.max())
    return max(0.0, (top + math.log(float(np.exp(terms - top).sum()))) / (order - 1))
