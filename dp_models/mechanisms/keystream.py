"""`Keystream`: the generator of gradient noise and of Poisson coins: AES-256 in counter mode.

Who sees every noisy gradient and knows every row but one sees most of the noise. From a generator made for statistics
he could work out its state, and with it the noise that is left; from a keystream he cannot (NIST SP 800-38A).

Normals come in pairs (Box, Muller 1958): the radius from 63 bits, so that the tail ends beyond 9.3 deviations, the
angle from 32. numpy turns many words at once, which takes a third of the time of its own sampler.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Shape = int | tuple[int, ...] | None
"""As numpy takes it; None is one number."""
_BLOCK = 1 << 14
"""Pairs that are made at a time: what they pass through stays in the processor's cache."""
_NOTHING = bytes(12 * _BLOCK)


class Keystream(np.random.Generator):
    """A numpy generator whose `standard_normal` and `random` are made of one keystream; all else it inherits draws from
    a Philox generator, which the first words of that stream key. ``key`` has 32 bytes; use it once."""

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
        self._drawn = bytearray(len(_NOTHING) + 15)  # the cipher asks for room for one block less a byte
        super().__init__(np.random.Philox(key=int.from_bytes(self._cipher.update(bytes(16)))))

    def random(self, size: Shape = None) -> Any:  # type: ignore[override]  # float64 alone
        """Uniform numbers of that shape in [0, 1), multiples of 2^-53."""
        shape = _shape(size)
        words = np.frombuffer(self._cipher.update(bytes(8 * math.prod(shape))), dtype=np.uint64)
        return ((words >> np.uint64(11)) * 2.0**-53).reshape(shape)[()]

    def standard_normal(self, size: Shape = None, dtype: Any = np.float64) -> Any:  # type: ignore[override]
        """Standard normal numbers of that shape, in that floating-point type."""
        shape = _shape(size)
        count = math.prod(shape)
        found = np.empty(count + count % 2, dtype=dtype)
        for start in range(0, len(found), 2 * _BLOCK):
            self._fill(found[start : start + 2 * _BLOCK].reshape(2, -1))
        return found[:count].reshape(shape)[()]

    def _fill(self, pairs: npt.NDArray[Any]) -> None:
        """Normals into (2, n), n at most `_BLOCK`."""
        kind, n = pairs.dtype.type, pairs.shape[1]
        self._cipher.update_into(memoryview(_NOTHING)[: 12 * n], self._drawn)
        radii = (np.frombuffer(self._drawn, dtype=np.int64, count=n) & np.int64(2**63 - 1)).astype(kind)
        angles = np.frombuffer(self._drawn, dtype=np.uint32, count=n, offset=8 * n).astype(kind)
        angles *= kind(2 * math.pi * 2.0**-32)
        radii += kind(0.5)  # never the logarithm of 0
        radii *= kind(2.0**-63)
        np.log(radii, out=radii)
        radii *= kind(-2)
        np.sqrt(radii, out=radii)
        np.multiply(radii, np.cos(angles), out=pairs[0])
        np.multiply(radii, np.sin(angles), out=pairs[1])


def _shape(size: Shape) -> tuple[int, ...]:
    return () if size is None else (size,) if isinstance(size, int) else tuple(size)
