"""`VaeModel`: a tree of noisy tables whose conditionals a latent draw tilts. Loads no torch.

P(z) P(t | z) prod P(child | parent, t, z): every conditional is softmax(table + residual), where the table is the
tree's and the residual a small decoder's answer to z. With a residual of nothing the model is the tree. Tables are
shifted once after training until the conditionals, averaged over z, are the tree's again, so that a residual can add
relations that the tree lacks and take away none that it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.binning import Columns
from dp_models.stored.format import Parts
from dp_models.tables.drawing import draw
from dp_models.tables.network import TreeModel

_DRAWS, _ROUNDS = 32_768, 6
_PRIOR_DRAWS = 8.0
"""Cells that few latent draws reach are shifted less, as if that many draws had needed no shift."""
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Link:
    """One column given its parent and the target: ``logs`` (cells, groups) are log-probabilities."""

    column: int
    parent: int | None
    logs: FloatArray


@dataclass(frozen=True)
class Chain:
    """A tree model's conditionals over groups of codes, the target's first where there is one."""

    tree: TreeModel
    links: tuple[Link, ...]

    @classmethod
    def of(cls, tree: TreeModel) -> "Chain":
        """The conditionals of a fitted tree."""
        links = [Link(step.column, step.parent, _log(step.probabilities)) for step in tree.steps]
        if tree.target is not None:
            links.insert(0, Link(tree.target, None, _log(tree.target_probabilities)[None, :]))
        return cls(tree, tuple(links))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of groups of each column, in declared order."""
        return tuple(link.logs.shape[1] for link in sorted(self.links, key=lambda link: link.column))

    def groups(self, codes: IntArray) -> IntArray:
        """Groups (columns, n) of codes (columns, n). A code that the tree never draws joins the group of the nearest
        code that it does."""
        found = np.empty_like(codes)
        for i, (table, column) in enumerate(zip(self.tree.within, codes, strict=True)):
            tall = table.reshape(self.sizes[i], -1, table.shape[1]).max(axis=1)
            known = np.flatnonzero(tall.max(axis=0) > 0)
            near = known[np.abs(np.arange(table.shape[1])[:, None] - known).argmin(axis=1)]
            found[i] = tall.argmax(axis=0)[near][column]
        return found

    def given(self, link: Link, groups: Sequence[IntArray] | IntArray) -> IntArray:
        """The cell (n,) of ``link.logs`` that each row looks up, from groups (columns, n)."""
        n = len(groups[0])
        target = self.tree.target
        t = np.zeros(n, dtype=np.int64) if target is None or link.column == target else groups[target]
        return t if link.parent is None else groups[link.parent] * len(self.tree.target_probabilities) + t

    def sample(self, rows: int, *, generator: np.random.Generator) -> IntArray:
        """Groups (columns, rows) of the tree itself."""
        groups = [np.zeros(rows, dtype=np.int64)] * len(self.links)
        for link in self.links:
            given = self.given(link, groups)
            groups[link.column] = draw(np.exp(link.logs), rows, generator=generator, given=given)
        return np.stack(groups)

    def finished(self, groups: Sequence[IntArray], *, generator: np.random.Generator) -> list[IntArray]:
        """Fine codes (n,) of every column, drawn within groups (columns, n) by the tree's tables."""
        target = self.tree.target
        fine = []
        for i, table in enumerate(self.tree.within):
            wide = len(table) // self.sizes[i]
            given = groups[i] if wide == 1 or target is None else groups[i] * wide + groups[target]
            fine.append(draw(table, len(given), generator=generator, given=given))
        return fine


@dataclass(frozen=True)
class Decoder:
    """From a latent draw to residual logits: tanh(z ``inner`` + ``inner_bias``) ``head`` + ``head_bias``."""

    inner: FloatArray
    inner_bias: FloatArray
    head: FloatArray
    head_bias: FloatArray

    def residuals(self, latent: FloatArray, sizes: Sequence[int]) -> list[FloatArray]:
        """Residual logits (n, groups), one array a column, of latent draws (n, latent)."""
        logits = np.tanh(latent @ self.inner + self.inner_bias) @ self.head + self.head_bias
        return list(np.split(logits, np.cumsum(sizes)[:-1], axis=1))


@dataclass(frozen=True)
class VaeModel:
    """A chain with a decoder; ``chain`` holds the shifted tables, `table_stage` is the tree that it came from."""

    chain: Chain
    decoder: Decoder

    @property
    def columns(self) -> Columns:
        """How codes become cells."""
        return self.chain.tree.columns

    @property
    def table_stage(self) -> TreeModel:
        """The model that the tables alone make."""
        return self.chain.tree

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, each from a latent draw of its own."""
        return self.columns.decode(self.codes(rows, generator=generator), generator=generator)

    def codes(self, rows: int, *, generator: np.random.Generator) -> list[IntArray]:
        """Fine codes (rows,) of every column."""
        groups = [np.zeros(rows, dtype=np.int64)] * len(self.chain.links)
        residuals = self._residuals(rows, generator)
        for link in self.chain.links:
            given = self.chain.given(link, groups)
            groups[link.column] = draw_tilted(softmax(link.logs[given] + residuals[link.column]), given, generator)
        return self.chain.finished(groups, generator=generator)

    def parts(self) -> Parts:
        """The model taken apart, to be stored: its tree's parts, the shifted tables, the decoder."""
        tree = self.table_stage.parts()
        arrays = {f"links.{i}": link.logs for i, link in enumerate(self.chain.links)}
        arrays |= {f"decoder.{f.name}": getattr(self.decoder, f.name) for f in fields(self.decoder)}
        return replace(tree, kind="vae", arrays={**tree.arrays, **arrays})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Put together what `parts` took apart. Raises DataCorrupted."""
        chain = Chain.of(TreeModel.from_parts(parts))
        links = tuple(replace(x, logs=parts.floats(f"links.{i}", *x.logs.shape)) for i, x in enumerate(chain.links))
        inner = parts.floats("decoder.inner", None, None)
        hidden, logits = inner.shape[1], sum(chain.sizes)
        decoder = Decoder(
            inner,
            parts.floats("decoder.inner_bias", hidden),
            parts.floats("decoder.head", hidden, logits),
            parts.floats("decoder.head_bias", logits),
        )
        return cls(replace(chain, links=links), decoder)

    def _residuals(self, rows: int, generator: np.random.Generator) -> list[FloatArray]:
        latent = generator.standard_normal((rows, len(self.decoder.inner)))
        return self.decoder.residuals(latent, self.chain.sizes)

    def calibrated(self, generator: np.random.Generator) -> "VaeModel":
        """The same model with shifted tables; reads the tree and the decoder alone."""
        groups = [np.zeros(_DRAWS, dtype=np.int64)] * len(self.chain.links)
        residuals = self._residuals(_DRAWS, generator)
        links = []
        for link in self.chain.links:
            given, residual = self.chain.given(link, groups), residuals[link.column]
            logs = shifted(link.logs, given, residual)
            groups[link.column] = draw_tilted(softmax(logs[given] + residual), given, generator)
            links.append(replace(link, logs=logs))
        return replace(self, chain=replace(self.chain, links=tuple(links)))


def shifted(logs: FloatArray, given: IntArray, residual: FloatArray) -> FloatArray:
    """Tables whose tilted conditionals, averaged over the draws in each cell, are the untilted ones of ``logs``."""
    wanted, found = np.exp(logs), logs
    draws = np.bincount(given, minlength=len(logs))[:, None]
    for _ in range(_ROUNDS):
        tilted = softmax(found[given] + residual)
        sums = np.stack([np.bincount(given, weights=p, minlength=len(logs)) for p in tilted.T], axis=1)
        shown = (sums + _PRIOR_DRAWS * wanted) / (draws + _PRIOR_DRAWS)
        found = found + np.where(wanted > 2 * _LEAST, np.log(np.maximum(wanted, _LEAST) / shown), 0.0)
    return found


def draw_tilted(probabilities: FloatArray, given: IntArray, generator: np.random.Generator) -> IntArray:
    """One code from each row of ``probabilities`` (n, k); rows of the same cell share one systematic sample, so that
    where they are alike every code comes up its expected number of times (Madow 1949)."""
    order = generator.permutation(len(given))
    order = order[np.argsort(given[order], kind="stable")]
    sizes = np.bincount(given)
    rank = np.arange(len(given)) - (np.cumsum(sizes) - sizes)[given[order]]
    share = np.empty(len(given))
    share[order] = (rank + generator.random(len(sizes))[given[order]]) / sizes[given[order]]
    cumulative = np.cumsum(probabilities, axis=1)
    found = (cumulative <= share[:, None] * cumulative[:, -1:]).sum(axis=1)
    return np.asarray(found.clip(max=probabilities.shape[1] - 1), dtype=np.int64)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def _log(weights: FloatArray) -> FloatArray:
    probabilities = weights / weights.sum(axis=-1, keepdims=True)
    return np.asarray(np.log(np.maximum(probabilities, _LEAST)))
