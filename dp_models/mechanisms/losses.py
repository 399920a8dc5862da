"""The privacy loss distribution of one event, moved onto a grid so that it never costs less.

A pair of distributions P (the unit is there) and Q has the loss ln(dP/dQ), drawn from P. Between two grid losses a < b,
what P and Q hold is split over a and b so that both keep their total: the connect-the-dots distribution of Doroshenko,
Ghazi, Kamath, Kumar, Manurangsi 2022 (arXiv 2207.04380), whose divergences are right on the grid and too large between.
It is made from probabilities, not from differences of divergences, so that small ones keep their digits.

What lies beyond ``REACH`` standard deviations is left out here; ``LEFT_OUT`` bounds it and counts as an infinite loss.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgate.events import DiscreteGaussian, DpEvent, Exponential, Gaussian, PoissonGaussian

FloatArray = npt.NDArray[np.float64]

REACH = 16.0
LEFT_OUT = 1e-54
"""More than the chance that a (discrete) Gaussian is more than 16 sigma off, on either side: 2 exp(-128)."""


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """``chances[i]`` is the chance of the loss ``(start + i) * interval``; the first and the last are positive."""

    start: int
    chances: FloatArray


def bounds(leaf: DpEvent) -> tuple[float, float]:
    """The smallest and the largest loss that `losses` covers, in the worse direction."""
    match leaf:
        case DiscreteGaussian(sigma, sensitivity):
            reach = math.floor(REACH * sigma)
            return _discrete_loss(reach, sigma, sensitivity), _discrete_loss(-reach, sigma, sensitivity)
        case Exponential(parameter):
            return -parameter, parameter
        case Gaussian(noise_multiplier):
            return _loss(-REACH, 1.0, noise_multiplier), _loss(REACH + 1 / noise_multiplier, 1.0, noise_multiplier)
        case PoissonGaussian(rate, noise_multiplier, _):
            low = _loss(-REACH, rate, noise_multiplier)
            return low, max(_loss(REACH + 1 / noise_multiplier, rate, noise_multiplier), -low)
    raise AssertionError(f"no distribution for {leaf!r}")


@lru_cache(maxsize=16)
def losses(leaf: DpEvent, interval: float, *, added: bool) -> Losses:
    """The losses of one event (one step of a `PoissonGaussian`) on multiples of ``interval``.

    ``added`` turns the pair of a subsampled Gaussian round; the other events have the same losses both ways.
    """
    match leaf:
        case DiscreteGaussian(sigma, sensitivity):
            return _discrete_gaussian(sigma, sensitivity, interval)
        case Exponential(parameter):
            return _bounded_range(parameter, interval)
        case Gaussian(noise_multiplier):
            return _subsampled_gaussian(1.0, noise_multiplier, interval, added=False)
        case PoissonGaussian(rate, noise_multiplier, _):
            return _subsampled_gaussian(rate, noise_multiplier, interval, added=added)
    raise AssertionError(f"no distribution for {leaf!r}")


def _discrete_loss(x: float, sigma: float, sensitivity: int) -> float:
    return (sensitivity**2 - 2 * x * sensitivity) / (2 * sigma**2)


def _discrete_gaussian(sigma: float, sensitivity: int, interval: float) -> Losses:
    """Atom by atom: noise x around 0 against noise around the sensitivity."""
    reach = math.floor(REACH * sigma)
    support = np.arange(-reach, reach + 1, dtype=np.float64)[::-1]
    mass = np.exp(-(support**2) / (2 * sigma**2))
    mass /= mass.sum()
    at = (sensitivity**2 - 2 * support * sensitivity) / (2 * sigma**2)
    cell = np.floor(at / interval).astype(np.int64)
    above = mass * np.clip(np.expm1(cell * interval - at) / np.expm1(-interval), 0.0, 1.0)
    start = int(cell[0])
    cells = int(cell[-1]) - start + 2
    moved = np.bincount(cell - start, weights=mass - above, minlength=cells)
    moved += np.bincount(cell + 1 - start, weights=above, minlength=cells)
    return _trimmed(start, moved)


def _bounded_range(parameter: float, interval: float) -> Losses:
    """Every mechanism of ``parameter``-bounded range is dominated by this one.

    delta(e) = (1 - exp((e - parameter) / 2))^2 / (1 - exp(-parameter)) on |e| <= parameter (Dong, Durfee, Rogers 2020,
    the supremum over all shifts of generalised randomised response): the loss has the density delta'' - delta'.
    """
    reach = math.ceil(parameter / interval)
    grid = np.arange(-reach, reach + 1)
    inside = np.clip(grid * interval, -parameter, parameter)
    wide = np.expm1(np.diff(inside) / 2) / -math.expm1(-parameter)
    return _split(
        -reach, interval, wide * np.exp((inside[:-1] - parameter) / 2), wide * np.exp(-(inside[1:] + parameter) / 2)
    )


def _loss(z: float, rate: float, noise_multiplier: float) -> float:
    """The loss at ``z`` standard deviations when a unit that may be there, at 1, is compared with none, at 0."""
    exponent = (2 * z * noise_multiplier - 1) / (2 * noise_multiplier**2)
    return exponent if rate == 1.0 else float(np.logaddexp(math.log1p(-rate), math.log(rate) + exponent))


def _subsampled_gaussian(rate: float, noise_multiplier: float, interval: float, *, added: bool) -> Losses:
    """(1 - rate) N(0, noise^2) + rate N(1, noise^2) against N(0, noise^2), or, ``added``, the other way round."""
    low = math.floor(_loss(-REACH, rate, noise_multiplier) / interval)
    high = math.ceil(_loss(REACH + 1 / noise_multiplier, rate, noise_multiplier) / interval)
    edges = np.arange(low, high + 1) * interval
    if rate < 1.0:
        with np.errstate(divide="ignore"):
            edges = np.log1p(np.maximum(np.expm1(edges) / rate, -1.0))
    z = noise_multiplier * edges + 1 / (2 * noise_multiplier)
    without = _between(z)
    mixed = (1 - rate) * without + rate * _between(z - 1 / noise_multiplier)
    if added:
        return _split(-high, interval, without[::-1], mixed[::-1])
    return _split(low, interval, mixed, without)


def _between(z: FloatArray) -> FloatArray:
    """The chance that a standard normal lies between neighbours, with the digits of the smaller tail."""
    from scipy.special import ndtr

    right = z[:-1] > 0
    near, far = np.where(right, -z[1:], z[:-1]), np.where(right, -z[:-1], z[1:])
    return np.asarray(ndtr(far) - ndtr(near))


def _split(start: int, interval: float, first: FloatArray, second: FloatArray) -> Losses:
    """P's and Q's chances of each grid cell, moved to its two ends."""
    left = (start + np.arange(len(first))) * interval
    above = np.clip((first - second * np.exp(left)) / -math.expm1(-interval), 0.0, first)
    return _trimmed(start, np.append(first - above, 0.0) + np.append(0.0, above))


def _trimmed(start: int, chances: npt.NDArray[Any]) -> Losses:
    kept = np.flatnonzero(chances)
    return Losses(start + int(kept[0]), chances[kept[0] : kept[-1] + 1])
