"""`GanModel`: a tree of noisy tables whose conditionals lean on all columns drawn before. Loads no torch.

P(t) prod P(child | parent, t, everything before): every conditional is softmax(table + residual), where the table is
the tree's and the residual a linear answer to the hidden units of a neural autoregressive estimator (Larochelle, Murray
2011): tanh of the sum of one vector for each group drawn so far. With a residual of nothing the model is the tree. As
in `vae_model`, tables are shifted once after training until the tree's conditionals hold on average.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray
from dp_models.engines.vae_model import Chain, Link, draw_tilted, shifted, softmax
from dp_models.tables.network import TreeModel


@dataclass(frozen=True)
class Residual:
    """``vectors`` (groups, hidden), one for each group of each column, and ``head`` (hidden, groups): the logits that
    what was drawn so far adds."""

    vectors: FloatArray
    head: FloatArray


@dataclass(frozen=True)
class GanModel:
    """A chain with a residual; ``chain`` holds the shifted tables, `table_stage` is the tree that it came from."""

    chain: Chain
    residual: Residual

    @property
    def table_stage(self) -> TreeModel:
        """The model that the tables alone make."""
        return self.chain.tree

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, drawn from the root down."""
        return self.chain.finished(self._drawn(rows, generator)[1], generator=generator)

    def shifted(self, draws: int, *, generator: np.random.Generator) -> tuple["GanModel", IntArray]:
        """The same model with tables shifted to what ``draws`` draws need, and the groups (columns, draws) of these.
        Reads the tree and the residual alone; shift a model once, since what it keeps are its own tables."""
        links, groups = self._drawn(draws, generator, shift=True)
        return replace(self, chain=replace(self.chain, links=tuple(links))), np.stack(groups)

    def _drawn(
        self, rows: int, generator: np.random.Generator, *, shift: bool = False
    ) -> tuple[list[Link], list[IntArray]]:
        """The links, each shifted before it is drawn where asked, and the groups of every column."""
        groups = [np.zeros(rows, dtype=np.int64)] * len(self.chain.links)
        starts = np.cumsum([0, *self.chain.sizes])
        told = np.zeros((rows, self.residual.vectors.shape[1]))
        links = []
        for link in self.chain.links:
            start, end = starts[link.column], starts[link.column + 1]
            given, tilt = self.chain.given(link, groups), np.tanh(told) @ self.residual.head[:, start:end]
            used = replace(link, logs=shifted(link.logs, given, tilt)) if shift else link
            groups[link.column] = draw_tilted(softmax(used.logs[given] + tilt), given, generator)
            told += self.residual.vectors[start:end][groups[link.column]]
            links.append(used)
        return links, groups
