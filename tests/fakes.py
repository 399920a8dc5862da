"""Doubles that stand in for what tests must hold still."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.mechanisms.events import compose
from synthgate.events import DiscreteGaussian, DpEvent, Exponential, ZeroConcentrated


class ZeroNoise:
    """A `Noise` that adds nothing and always picks the best: for what a fit computes, never for what it promises."""

    def __init__(self) -> None:
        self.events: list[DpEvent] = []

    @property
    def event(self) -> DpEvent:
        return compose(self.events)

    @property
    def properties(self) -> tuple[str, ...]:
        return ()

    @property
    def weaknesses(self) -> tuple[str, ...]:
        return ("there is no noise",)

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        self.ran(DiscreteGaussian(sigma, sensitivity))
        return counts.copy()

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        self.ran(Exponential(epsilon))
        return int(np.argmax(scores))

    def generator(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(len(purpose))

    def seeds(self, purpose: str, *, weakness: str) -> np.random.Generator:
        return self.generator(purpose)

    def decided(self, _what: str, choose: Callable[[], str]) -> str:
        return choose()

    def ran(self, event: DpEvent) -> None:
        self.events.append(event)

    @contextmanager
    def filtered(self, rho: float) -> Iterator[None]:
        """What runs inside is written down as the one event alone."""
        before = [*self.events, ZeroConcentrated(rho)]
        yield
        self.events = before
