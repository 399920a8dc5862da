"""`VaeModel`: a tree of noisy tables whose conditionals a latent draw tilts. Loads no torch.

P(z) P(t | z) prod P(child | parent, t, z): the residual of every conditional is a small decoder's answer to z
(`dp_models.engines.chain`).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.engines.chain import ChainModel, chain_from_parts
from dp_models.stored.format import Parts


@dataclass(frozen=True)
class Decoder:
    """From a latent draw to residual logits: tanh(z ``inner`` + ``inner_bias``) ``head`` + ``head_bias``."""

    inner: FloatArray
    inner_bias: FloatArray
    head: FloatArray
    head_bias: FloatArray


@dataclass(frozen=True)
class VaeModel(ChainModel):
    """A chain with a decoder. The state of a row is the decoder's hidden units, which a latent draw of its own sets."""

    decoder: Decoder

    def started(self, rows: int, generator: np.random.Generator) -> FloatArray:
        """See `ChainModel`."""
        latent = generator.standard_normal((rows, len(self.decoder.inner)))
        return np.asarray(np.tanh(latent @ self.decoder.inner + self.decoder.inner_bias))

    def tilt(self, state: FloatArray, block: slice) -> FloatArray:
        """See `ChainModel`."""
        return np.asarray(state @ self.decoder.head[:, block] + self.decoder.head_bias[block])

    def told(self, state: FloatArray, block: slice, groups: IntArray) -> FloatArray:
        """See `ChainModel`: columns depend on one another through the draw and the tables alone."""
        return state

    def parts(self) -> Parts:
        """The model taken apart, to be stored: its tree's parts, the shifted tables, the decoder."""
        return self.taken_apart("vae", self.decoder)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Put together what `parts` took apart. Raises DataCorrupted."""
        chain = chain_from_parts(parts)
        inner = parts.floats("network.inner", None, None)
        hidden, logits = inner.shape[1], sum(chain.sizes)
        decoder = Decoder(
            inner,
            parts.floats("network.inner_bias", hidden),
            parts.floats("network.head", hidden, logits),
            parts.floats("network.head_bias", logits),
        )
        return cls(chain, decoder)
