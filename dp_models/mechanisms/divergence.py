"""What one mechanism leaks, as closed formulas: its Rényi divergence, and its rho of zero-concentrated privacy.

An event without a formula here leaks infinitely much, so that whoever adds up refuses it.
"""

import math
from functools import lru_cache

import numpy as np

from synthgate.events import DiscreteGaussian, DpEvent, Exponential, Gaussian, PoissonGaussian, ZeroConcentrated


def zero_concentrated(event: DpEvent) -> float:
    """The rho of a leaf with which it is zero-concentrated private (Bun, Steinke 2016); infinity where none is known.

    Gaussian noise: Canonne, Kamath, Steinke 2020; a bounded range: Cesar, Rogers 2021.
    """
    match event:
        case Gaussian(noise_multiplier):
            return 1 / (2 * noise_multiplier**2)
        case DiscreteGaussian(sigma, sensitivity):
            return sensitivity**2 / (2 * sigma**2)
        case Exponential(parameter):
            return parameter**2 / 8
        case ZeroConcentrated(rho):
            return rho
    return math.inf


def renyi(leaf: DpEvent, order: int) -> float:
    """The Rényi divergence bound of integer ``order`` (1 and more), in nats; infinity where none is known."""
    match leaf:
        case Gaussian(noise_multiplier):
            return order / (2 * noise_multiplier**2)
        case DiscreteGaussian(sigma, sensitivity):
            return order * sensitivity**2 / (2 * sigma**2)
        case Exponential(parameter):
            return min(order * parameter**2 / 8, parameter)
        case PoissonGaussian(rate, noise_multiplier, _):
            return _subsampled_rdp(rate, noise_multiplier, order)
        case ZeroConcentrated(rho):
            return order * rho
    return math.inf


@lru_cache(maxsize=65536)
def _subsampled_rdp(rate: float, noise_multiplier: float, order: int) -> float:
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
