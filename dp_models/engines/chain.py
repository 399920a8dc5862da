"""`Chain`: a tree of noisy tables as conditionals, and `ChainModel`: conditionals that a network tilts. Loads no torch.

P(t) prod P(child | parent, t, state): every conditional is softmax(table + residual), where the table is the tree's and
the residual what a few numbers, the state of the row, add to its logits. With a residual of nothing the model is the
tree. Tables are shifted after training until the conditionals, averaged over all rows, are the tree's again, so that a
residual can add relations that the tree lacks and take away none that it has.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.binning import Columns
from dp_models.stored.format import Parts
from dp_models.tables.drawing import draw
from dp_models.tables.network import TreeModel

_ROUNDS = 6
_PRIOR_DRAWS = 8.0
"""Cells that few draws reach are shifted less, as if that many draws had needed no shift."""
_LEAST = 1e-9
_PART = 131_072
"""Rows that are drawn at a time, each of which takes about a kilobyte."""


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

    def given(self, link: Link, groups: IntArray) -> IntArray:
        """The cell (n,) of ``link.logs`` that each row looks up, from groups (columns, n)."""
        n = len(groups[0])
        target = self.tree.target
        t = np.zeros(n, dtype=np.int64) if target is None or link.column == target else groups[target]
        return t if link.parent is None else groups[link.parent] * len(self.tree.target_probabilities) + t

    def sample(self, rows: int, *, generator: np.random.Generator) -> IntArray:
        """Groups (columns, rows) of the tree itself."""
        groups = np.zeros((len(self.links), rows), dtype=np.int64)
        for link in self.links:
            given = self.given(link, groups)
            groups[link.column] = draw(np.exp(link.logs), rows, generator=generator, given=given)
        return groups

    def finished(self, groups: IntArray, *, generator: np.random.Generator) -> list[IntArray]:
        """Fine codes (n,) of every column, drawn within groups (columns, n) by the tree's tables."""
        target = self.tree.target
        fine = []
        for i, table in enumerate(self.tree.within):
            wide = len(table) // self.sizes[i]
            given = groups[i] if wide == 1 or target is None else groups[i] * wide + groups[target]
            fine.append(draw(table, len(given), generator=generator, given=given))
        return fine


@dataclass(frozen=True)
class ChainModel(ABC):
    """A chain whose conditionals a network tilts; ``chain`` holds the shifted tables, `table_stage` is the tree that it
    came from."""

    chain: Chain

    @property
    def columns(self) -> Columns:
        """How codes become cells."""
        return self.chain.tree.columns

    @property
    def table_stage(self) -> TreeModel:
        """The model that the tables alone make."""
        return self.chain.tree

    @abstractmethod
    def started(self, rows: int, generator: np.random.Generator) -> FloatArray:
        """The state (rows, any) of rows of which nothing is drawn."""

    @abstractmethod
    def tilt(self, state: FloatArray, block: slice) -> FloatArray:
        """Residual logits (rows, groups) of the column whose groups are ``block`` among those of all columns."""

    @abstractmethod
    def told(self, state: FloatArray, block: slice, groups: IntArray) -> FloatArray:
        """The state after ``groups`` (rows,) of that column were drawn."""

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, drawn from the root down."""
        return self.columns.decode(self.codes(rows, generator=generator), generator=generator)

    def codes(self, rows: int, *, generator: np.random.Generator) -> list[IntArray]:
        """Fine codes (rows,) of every column."""
        parts = []
        for first in range(0, max(rows, 1), _PART):
            groups = self.drawn(min(_PART, rows - first), generator=generator)[1]
            parts.append(self.chain.finished(groups, generator=generator))
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def shifted(self, draws: int, *, generator: np.random.Generator) -> tuple[Self, IntArray]:
        """The same model with tables shifted to what ``draws`` draws need, and the groups (columns, draws) of these.
        Reads the tree and the network alone; shift a model once, since what it keeps are its own tables."""
        links, groups = self.drawn(draws, generator=generator, shift=True)
        return replace(self, chain=replace(self.chain, links=tuple(links))), groups

    def drawn(self, rows: int, *, generator: np.random.Generator, shift: bool = False) -> tuple[list[Link], IntArray]:
        """The links, each shifted before it is drawn where asked, and the groups (columns, rows)."""
        groups = np.zeros((len(self.chain.links), rows), dtype=np.int64)
        starts = np.cumsum([0, *self.chain.sizes])
        state, links = self.started(rows, generator), []
        for link in self.chain.links:
            block = slice(starts[link.column], starts[link.column + 1])
            given, tilt = self.chain.given(link, groups), self.tilt(state, block)
            used = replace(link, logs=_shifted(link.logs, given, tilt)) if shift else link
            groups[link.column] = _draw_tilted(_softmax(used.logs[given] + tilt), given, generator)
            state = self.told(state, block, groups[link.column])
            links.append(used)
        return links, groups

    def taken_apart(self, kind: str, network: Any) -> Parts:
        """The parts of a stored model: its tree's, the shifted tables, the arrays of the ``network`` dataclass."""
        tree = self.table_stage.parts()
        arrays = {f"links.{i}": link.logs for i, link in enumerate(self.chain.links)}
        arrays |= {f"network.{field.name}": getattr(network, field.name) for field in fields(network)}
        return replace(tree, kind=kind, arrays={**tree.arrays, **arrays})


def chain_from_parts(parts: Parts) -> Chain:
    """The chain that `ChainModel.taken_apart` took apart. Raises DataCorrupted."""
    chain = Chain.of(TreeModel.from_parts(parts))
    links = (replace(x, logs=parts.floats(f"links.{i}", *x.logs.shape)) for i, x in enumerate(chain.links))
    return replace(chain, links=tuple(links))


def _shifted(logs: FloatArray, given: IntArray, tilt: FloatArray) -> FloatArray:
    """Tables whose tilted conditionals, averaged over the draws in each cell, are the untilted ones of ``logs``."""
    wanted, found = np.exp(logs), logs
    draws = np.bincount(given, minlength=len(logs))[:, None]
    for _ in range(_ROUNDS):
        tilted = _softmax(found[given] + tilt)
        sums = np.stack([np.bincount(given, weights=p, minlength=len(logs)) for p in tilted.T], axis=1)
        shown = (sums + _PRIOR_DRAWS * wanted) / (draws + _PRIOR_DRAWS)
        found = found + np.where(wanted > 2 * _LEAST, np.log(np.maximum(wanted, _LEAST) / shown), 0.0)
    return found


def _draw_tilted(probabilities: FloatArray, given: IntArray, generator: np.random.Generator) -> IntArray:
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


def _softmax(logits: FloatArray) -> FloatArray:
    """Probabilities over the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def _log(weights: FloatArray) -> FloatArray:
    probabilities = weights / weights.sum(axis=-1, keepdims=True)
    return np.asarray(np.log(np.maximum(probabilities, _LEAST)))
