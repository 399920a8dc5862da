"""`BlocksModel`: histograms of neighbouring columns, drawn independently of each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray
from dp_models.encoding.codes import Codec
from dp_models.tables.drawing import draw
from dp_models.tables.grouping import released


@dataclass(frozen=True)
class BlocksModel:
    """Probabilities over the joint codes of each block of columns, made of noisy tables alone."""

    codec: Codec
    blocks: tuple[tuple[int, ...], ...]
    probabilities: tuple[FloatArray, ...]

    @classmethod
    def of(cls, codec: Codec, blocks: Sequence[Sequence[int]], weights: Sequence[FloatArray]) -> Self:
        """From histograms that are not negative, one axis a column. Cells that may not be released are left out."""
        settled = []
        for block, table in zip(blocks, weights, strict=True):
            live = np.ones(table.shape)
            for axis, column in enumerate(block):
                codes = codec.columns[column]
                allowed = released(codes, np.arange(codes.size))
                live *= allowed.reshape([-1 if a == axis else 1 for a in range(table.ndim)])
            kept = table * live
            settled.append(kept / kept.sum() if kept.sum() > 0 else live / live.sum())
        return cls(codec, tuple(tuple(b) for b in blocks), tuple(settled))

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, every block on its own."""
        codes = np.zeros((len(self.codec.columns), rows), dtype=np.int64)
        for block, table in zip(self.blocks, self.probabilities, strict=True):
            drawn = draw(table.ravel(), rows, generator=generator)
            codes[list(block)] = np.unravel_index(drawn, table.shape)
        return self.codec.decode(codes, generator=generator)
