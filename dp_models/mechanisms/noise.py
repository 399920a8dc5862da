"""`SystemNoise`: the operating system's entropy, and nothing else, behind everything random that touches rows.

Counts get an exact discrete Gaussian and selections an exact exponential mechanism, both by OpenDP, which draws from
the operating system and computes with rational numbers: no floating-point gap to attack (Mironov 2012). DP-SGD takes a
`Keystream` with a 256-bit key of system entropy; that noise is floating point, and `weaknesses` says so. `properties`
says which exact draws were made.
"""

import math
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.mechanisms.divergence import zero_concentrated
from dp_models.mechanisms.events import compose
from dp_models.mechanisms.keystream import Keystream
from synthgate.errors import FailedPrecondition
from synthgate.events import DiscreteGaussian, DpEvent, Exponential, ZeroConcentrated

EXACT_COUNTS = (
    "Noise on counts is the exact discrete Gaussian, drawn by OpenDP with rational numbers from the operating system's"
    " entropy: it has no floating-point arithmetic to attack."
)
EXACT_CHOICES = (
    "Choices follow the exponential mechanism, as the largest score after Gumbel noise that OpenDP compares exactly,"
    " drawn from the operating system's entropy."
)
FLOATING_POINT = (
    "The noise and the batches of gradient training come from AES-256 in counter mode, keyed with 256 bits of the"
    " operating system's entropy, in floating point; it is not hardened against attacks on floating-point arithmetic."
)
_LEAST_DRAWS = 1_000
"""Draws (15 ms) that a thread is started for."""


class SystemNoise:
    """The `Noise` of every real fit. One instance serves one fit; it takes no seed."""

    def __init__(self) -> None:
        self._events: list[DpEvent] = []
        self._properties: list[str] = []
        self._weaknesses: list[str] = []
        self._filter: _Filter | None = None

    @property
    def event(self) -> DpEvent:
        """The composition of all that ran. Raises FailedPrecondition where nothing ran."""
        if not self._events:
            raise FailedPrecondition("no mechanism has run yet")
        return compose(self._events)

    @property
    def properties(self) -> tuple[str, ...]:
        """What exact draws were made, by what and from what."""
        return tuple(dict.fromkeys(self._properties))

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """What an auditor must know about the source; empty while only exact draws were made."""
        return tuple(dict.fromkeys(self._weaknesses))

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        """The counts with exact discrete Gaussian noise (Canonne, Kamath, Steinke 2020), in the same shape."""
        self._drew(DiscreteGaussian(sigma, sensitivity))
        _opendp()
        threads = max(1, min(len(os.sched_getaffinity(0)), counts.size // _LEAST_DRAWS))
        with ThreadPoolExecutor(threads) as pool:
            noisy = [*pool.map(partial(_gaussian, sigma), np.array_split(counts.ravel(), threads))]
        return np.concatenate(noisy).reshape(counts.shape)

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        """An index of the exponential mechanism (McSherry, Talwar 2007), as the largest score after Gumbel noise of
        scale 2 sensitivity / epsilon, compared exactly. Raises FailedPrecondition for empty or non-finite scores."""
        if scores.ndim != 1 or scores.size == 0 or not np.isfinite(scores).all():
            raise FailedPrecondition("a selection needs a row of finite scores")
        self._drew(Exponential(epsilon))
        _opendp()
        from opendp.domains import atom_domain, vector_domain
        from opendp.measurements import make_noisy_max
        from opendp.measures import zero_concentrated_divergence
        from opendp.metrics import linf_distance

        space = vector_domain(atom_domain(T="f64", nan=False)), linf_distance(T="f64")
        scale = math.nextafter(2 * sensitivity / epsilon, math.inf)
        return int(make_noisy_max(*space, zero_concentrated_divergence(), scale=scale)(scores.tolist()))

    def generator(self, purpose: str) -> np.random.Generator:
        """A fresh generator for ``purpose``."""
        self._weaknesses.append(FLOATING_POINT)
        return Keystream(self._key(purpose))

    def seeds(self, purpose: str, *, weakness: str) -> np.random.Generator:
        """A fresh generator for the seeds of somebody else's code."""
        self._weaknesses.append(weakness)
        return Keystream(self._key(purpose))

    def decided(self, _what: str, choose: Callable[[], str]) -> str:
        """What ``choose`` gives: nothing here is replayed."""
        return choose()

    def ran(self, event: DpEvent) -> None:
        """Record an event that an engine made from a generator, before it is drawn where that can be. Raises
        FailedPrecondition for more than is left of a filter."""
        if self._filter is None:
            self._events.append(event)
        else:
            self._filter.spend(event)

    def _drew(self, event: DiscreteGaussian | Exponential) -> None:
        """Record an exact draw, and what it was drawn by."""
        self.ran(event)
        self._properties.append(EXACT_COUNTS if isinstance(event, DiscreteGaussian) else EXACT_CHOICES)

    def _key(self, _purpose: str) -> bytes:
        """The 32 bytes that key the next stream."""
        return secrets.token_bytes(32)

    @contextmanager
    def filtered(self, rho: float) -> Iterator[None]:
        """A zero-concentrated filter (Feldman, Zrnic 2021; Whitehouse et al. 2023). Raises FailedPrecondition for one
        within another."""
        if self._filter is not None:
            raise FailedPrecondition("a privacy filter is open already; close it before the next")
        self.ran(ZeroConcentrated(rho))
        self._filter = _Filter(rho)
        try:
            yield
        finally:
            self._filter = None


class _Filter:
    """What adaptive mechanisms may still spend of ``rho``."""

    def __init__(self, rho: float) -> None:
        self._rho = rho
        self._spent: list[float] = []

    def spend(self, event: DpEvent) -> None:
        """Count one leaf; the sum is rounded once, and never above ``rho``."""
        cost = zero_concentrated(event)
        if math.fsum((*self._spent, cost)) > self._rho:
            raise FailedPrecondition("a mechanism asked for more than is left of its privacy filter; it was not run")
        self._spent.append(cost)


def _gaussian(sigma: float, counts: IntArray) -> IntArray:
    """Noisy counts (n,). OpenDP draws each by rational arithmetic, outside Python's lock."""
    from opendp.domains import atom_domain, vector_domain
    from opendp.measurements import make_gaussian
    from opendp.metrics import l2_distance

    measurement = make_gaussian(vector_domain(atom_domain(T="i64")), l2_distance(T="i64"), scale=sigma)
    return np.asarray(measurement(counts.tolist()), dtype=np.int64)


def _opendp() -> None:
    """Load what is needed of OpenDP, before threads do. Its prelude loads scikit-learn too, which takes half a
    second."""
    from opendp import measurements  # noqa: F401
    from opendp.mod import enable_features

    enable_features("contrib")
