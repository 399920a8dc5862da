"""`AttemptNoise`: the noise of one attempt, which a replay of the attempt draws again to the bit.

OpenDP takes no seed, so what it draws goes to a sealed journal before it is used, and a replay reads it there. Streams
for gradient noise need no journal: each is keyed from the attempt's secret by its purpose and its place among them.
"""

import json
from collections.abc import Callable

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dp_models.base import FloatArray, IntArray
from dp_models.mechanisms.journal import Journal
from dp_models.mechanisms.noise import SystemNoise
from synthgate.errors import FailedPrecondition
from synthgate.events import DiscreteGaussian, Exponential

_STREAM = "synthgate/v1/noise/stream"
_NUMBER = np.dtype("<i8")


class AttemptNoise(SystemNoise):
    """`SystemNoise` whose draws are those of ``journal`` where it has them, and whose streams are keyed by ``secret``
    (32 bytes of the operating system's entropy, for this alone)."""

    def __init__(self, journal: Journal, secret: bytes) -> None:
        super().__init__()
        self._journal, self._secret, self._streams = journal, secret, 0

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        """Noisy counts from the journal, else drawn, journalled and given."""
        request = _request("discrete_gaussian", shape=list(counts.shape), sigma=sigma, sensitivity=sensitivity)
        draw = super().discrete_gaussian
        event = DiscreteGaussian(sigma, sensitivity)
        drawn = self._drawn(
            request, event, lambda: draw(counts, sigma=sigma, sensitivity=sensitivity).astype(_NUMBER).tobytes()
        )
        return np.frombuffer(drawn, dtype=_NUMBER).astype(np.int64).reshape(counts.shape)

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        """A choice from the journal, else made, journalled and given."""
        request = _request("exponential", shape=list(scores.shape), epsilon=epsilon, sensitivity=sensitivity)
        choose = super().exponential
        chosen = self._drawn(
            request,
            Exponential(epsilon),
            lambda: np.array(choose(scores, epsilon=epsilon, sensitivity=sensitivity), dtype=_NUMBER).tobytes(),
        )
        return int(np.frombuffer(chosen, dtype=_NUMBER)[0])

    def decided(self, what: str, choose: Callable[[], str]) -> str:
        """The decision in the journal, else ``choose``'s, journalled and given."""
        return self._journal.draw(_request("decided", what=what), lambda: choose().encode()).decode()

    def finish(self) -> None:
        """Raise FailedPrecondition where the attempt that is replayed drew more than this one asked for."""
        if self._journal.unread:
            raise FailedPrecondition("a replay ended before the attempt that it repeats had; its model was thrown away")

    def _drawn(self, request: bytes, event: DiscreteGaussian | Exponential, make: Callable[[], bytes]) -> bytes:
        """A draw counts as an event whether it is made or read."""
        if self._journal.unread:
            self._drew(event)
        return self._journal.draw(request, make)

    def _key(self, purpose: str) -> bytes:
        self._streams += 1
        label = f"{_STREAM}/{self._streams}/{purpose}"
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=label.encode()).derive(self._secret)


def _request(name: str, **parameters: object) -> bytes:
    """What is asked for, in one spelling: its name, its shape and its parameters, never a count or a score."""
    return json.dumps([name, parameters], sort_keys=True, separators=(",", ":")).encode()
