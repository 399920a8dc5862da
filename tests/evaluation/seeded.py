"""Noise of the engines' distributions from a seed, so that a control that hangs on a fit is the same on every run."""

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.mechanisms.noise import SystemNoise
from synthgate.events import DiscreteGaussian, Exponential


class SeededNoise(SystemNoise):
    """Rounded Gaussian counts and Gumbel choices: as near to the exact mechanisms as an attack's control needs."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._draw = np.random.default_rng(seed)

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        self.ran(DiscreteGaussian(sigma, sensitivity))
        return counts + np.rint(self._draw.normal(0, sigma, counts.shape)).astype(np.int64)

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        self.ran(Exponential(epsilon))
        return int(np.argmax(scores + self._draw.gumbel(0, 2 * sensitivity / epsilon, scores.shape)))

    def _key(self, _purpose: str) -> bytes:
        return self._draw.bytes(32)
