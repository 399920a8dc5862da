"""`GanModel`: a tree of noisy tables whose conditionals lean on all columns drawn before. Loads no torch.

P(t) prod P(child | parent, t, everything before): the residual of every conditional is a linear answer to the hidden
units of a neural autoregressive estimator (Larochelle, Murray 2011): tanh of the sum of one vector for each group drawn
so far (`dp_models.engines.chain`).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.engines.chain import ChainModel, chain_from_parts
from dp_models.stored.format import Parts


@dataclass(frozen=True)
class Residual:
    """``vectors`` (groups, hidden), one for each group of each column, and ``head`` (hidden, groups): the logits that
    what was drawn so far adds."""

    vectors: FloatArray
    head: FloatArray


@dataclass(frozen=True)
class GanModel(ChainModel):
    """A chain with a residual. The state of a row is the sum of the vectors of what was drawn."""

    residual: Residual

    def started(self, rows: int, generator: np.random.Generator) -> FloatArray:
        """See `ChainModel`."""
        return np.zeros((rows, self.residual.vectors.shape[1]))

    def tilt(self, state: FloatArray, block: slice) -> FloatArray:
        """See `ChainModel`."""
        return np.asarray(np.tanh(state) @ self.residual.head[:, block])

    def told(self, state: FloatArray, block: slice, groups: IntArray) -> FloatArray:
        """See `ChainModel`."""
        return np.asarray(state + self.residual.vectors[block][groups])

    def parts(self) -> Parts:
        """The model taken apart, to be stored: its tree's parts, the shifted tables, the residual."""
        return self.taken_apart("gan", self.residual)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Put together what `parts` took apart. Raises DataCorrupted."""
        chain = chain_from_parts(parts)
        groups = sum(chain.sizes)
        vectors = parts.floats("network.vectors", groups, None)
        return cls(chain, Residual(vectors, parts.floats("network.head", vectors.shape[1], groups)))
