"""`TreeModel`: a fitted tree of conditional distributions, sampled in closed form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.binning import Columns
from dp_models.encoding.codes import ColumnCodes
from dp_models.stored.bought import bought_parts, read_bought
from dp_models.stored.format import Parts, checked_integer, checked_list, columns_parts
from dp_models.tables.bought import Bought, NoisyTable
from dp_models.tables.drawing import draw
from dp_models.tables.evidence import Factor, Message, posterior, weighed
from dp_models.tables.grouping import codes_within, released
from dp_models.tables.star import Star
from synthgate.errors import DataCorrupted


@dataclass(frozen=True, slots=True)
class Step:
    """One column to draw, given its parent (None for a root) and the target.

    ``probabilities`` (parent groups * target groups, groups) or (target groups, groups) for a root.
    """

    column: int
    parent: int | None
    probabilities: FloatArray


@dataclass(frozen=True)
class TreeModel:
    """P(t), then the group of every column in an order in which parents come first, then its code given its group and
    t: ``within`` holds a table (groups * target groups, codes) a column, (target groups, codes) for the target."""

    columns: Columns
    target: int | None
    target_probabilities: FloatArray
    steps: tuple[Step, ...]
    within: tuple[FloatArray, ...]
    bought: Bought | None = None

    @classmethod
    def of(
        cls,
        star: Star,
        coarse: Mapping[int, IntArray],
        margins: Mapping[int, FloatArray],
        tables: Mapping[tuple[int, int], FloatArray],
        noisy: Sequence[NoisyTable] = (),
    ) -> Self:
        """Conditionals from consistent tables in counts. ``coarse`` holds for each column but the target the coarser
        group of each of its groups, ``margins`` its table (coarse groups, target), ``tables`` those of the edges
        (a, b, target), ``noisy`` what these came of. Groups that may not be released are left out of every
        conditional."""
        codes = star.columns.codec.columns
        groups = {i: c[star.groups[i]] for i, c in coarse.items()}
        live = {i: released(codes[i], g) for i, g in groups.items()}
        steps = []
        for column, parent in _order(list(coarse), list(tables)):
            if parent is None:
                weights, back = margins[column].T, margins[column].sum(axis=1)[None, :]
            else:
                table = tables[(parent, column)] if (parent, column) in tables else _swap(tables[(column, parent)])
                weights = np.moveaxis(table, 1, 2).reshape(-1, table.shape[1])
                back = np.tile(margins[column].T, (table.shape[0], 1))
            steps.append(Step(column, parent, _conditional(weights, back, live[column])))
        within = [
            _within(codes[i], star.columns.weights[i], star.groups[i], star.tables[i], coarse[i])
            if i in coarse
            else codes_within(codes[i], star.columns.weights[i], star.groups[i])
            for i in range(len(codes))
        ]
        t = star.target_weights
        if star.target is not None:
            t = _conditional(t, t, released(codes[star.target], star.groups[star.target]))
        return cls(star.columns, star.target, t, tuple(steps), tuple(within), star.bought.beside(noisy))

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, drawn from the root down."""
        return self.columns.decode(self.codes(rows, generator=generator), generator=generator)

    def codes(self, rows: int, *, generator: np.random.Generator) -> list[IntArray]:
        """Fine codes (rows,) of every column."""
        t = draw(self.target_probabilities, rows, generator=generator)
        wide = len(self.target_probabilities)
        groups: dict[int, IntArray] = {}
        for step in self.steps:
            given = t if step.parent is None else groups[step.parent] * wide + t
            groups[step.column] = draw(step.probabilities, rows, generator=generator, given=given)
        fine = []
        for i, table in enumerate(self.within):
            given = t if i == self.target else groups[i] * wide + t
            fine.append(draw(table, rows, generator=generator, given=given))
        return fine

    def given(self, likelihoods: Sequence[FloatArray]) -> tuple[Self, float]:
        """The model given evidence, exactly, and the evidence's probability; a likelihood (codes,) for each column."""
        t, wide = -1 if self.target is None else self.target, len(self.target_probabilities)
        factors = [Factor(t, (), self.target_probabilities)]
        for step in self.steps:
            given = (t,) if step.parent is None else (step.parent, t)
            above = (wide,) if step.parent is None else (-1, wide)
            factors.append(Factor(step.column, given, step.probabilities.reshape(*above, step.probabilities.shape[1])))
        evidence = {}
        for i, (table, likelihood) in enumerate(zip(self.within, likelihoods, strict=True)):
            values = table @ likelihood
            evidence[i] = [Message((i,), values) if i == t else Message((i, t), values.reshape(-1, wide))]
        (root, *tables), probability = posterior(factors, evidence)
        steps = [
            replace(s, probabilities=p.reshape(s.probabilities.shape)) for s, p in zip(self.steps, tables, strict=True)
        ]
        within = tuple(weighed(table, likelihood) for table, likelihood in zip(self.within, likelihoods, strict=True))
        return replace(self, target_probabilities=root, steps=tuple(steps), within=within), probability

    def parts(self) -> Parts:
        """The model taken apart, to be stored."""
        structure, arrays = columns_parts(self.columns)
        kept, counts = bought_parts(self.bought)
        structure, arrays = structure | kept, arrays | counts
        structure |= {"target": self.target, "steps": [[s.column, s.parent] for s in self.steps]}
        arrays |= {"target": self.target_probabilities}
        arrays |= {f"steps.{i}": s.probabilities for i, s in enumerate(self.steps)}
        arrays |= {f"within.{i}": w for i, w in enumerate(self.within)}
        return Parts(kind="tree", domain=self.columns.codec.domain, structure=structure, arrays=arrays)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Put together what `parts` took apart. Raises DataCorrupted."""
        columns = parts.columns()
        last = len(columns.codec.columns) - 1
        found = parts.structure.get("target")
        target = None if found is None else checked_integer(found, low=0, high=last)
        root = parts.weights("target", 1 if target is None else None)
        wide = len(root)
        links = [checked_list(pair) for pair in checked_list(parts.structure.get("steps"))]
        steps: list[Step] = []
        sizes: dict[int, int] = {}
        for i, link in enumerate(links):
            column, parent = (*link, None, None)[:2]
            column = checked_integer(column, low=0, high=last)
            if column in (target, *sizes) or not (parent is None or parent in sizes):
                raise DataCorrupted("the stored tree has a column twice, or before its parent")
            table = parts.weights(f"steps.{i}", wide * (1 if parent is None else sizes[parent]), None)
            steps.append(Step(column, parent, table))
            sizes[column] = table.shape[1]
        if len(steps) + (target is not None) != last + 1:
            raise DataCorrupted("the stored tree lacks a column")
        within = tuple(
            parts.weights(f"within.{i}", wide * (1 if i == target else sizes[i]), column.size)
            for i, column in enumerate(columns.codec.columns)
        )
        return cls(columns, target, root, tuple(steps), within, read_bought(parts, columns))


def _order(columns: list[int], edges: list[tuple[int, int]]) -> list[tuple[int, int | None]]:
    """Every column with its parent, parents first."""
    found: list[tuple[int, int | None]] = []
    seen: set[int] = set()
    for root in columns:
        if root in seen:
            continue
        queue: list[tuple[int, int | None]] = [(root, None)]
        while queue:
            column, parent = queue.pop(0)
            found.append((column, parent))
            seen.add(column)
            near = [b if a == column else a for a, b in edges if column in (a, b)]
            queue += [(other, column) for other in near if other not in seen]
    return found


def _swap(table: FloatArray) -> FloatArray:
    return np.swapaxes(table, 0, 1)


def _conditional(weights: FloatArray, back: FloatArray, live: FloatArray) -> FloatArray:
    """Rows of ``weights`` over the last axis as probabilities; where a row is empty ``back`` serves, else evenness."""
    first, second = np.maximum(weights, 0) * live, np.maximum(back, 0) * live
    total, total_back = first.sum(axis=-1, keepdims=True), second.sum(axis=-1, keepdims=True)
    second = np.where(total_back > 0, second / np.where(total_back > 0, total_back, 1), live / live.sum())
    return np.asarray(np.where(total > 1e-9, first / np.where(total > 1e-9, total, 1), second))


def _within(
    column: ColumnCodes, weights: FloatArray, groups: IntArray, table: FloatArray, coarse: IntArray
) -> FloatArray:
    """Codes (coarse groups * target groups, size): the star says which group within the coarser one, the one-way table
    which code within the group."""
    codes = codes_within(column, weights, groups)
    live = released(column, groups)
    wide = int(coarse.max()) + 1
    member = coarse[None, :] == np.arange(wide)[:, None]
    inside = member[:, None, :] * (table * live[:, None]).T[None, :, :]
    alone = np.repeat((member * table.sum(axis=1) * live)[:, None, :], table.shape[1], axis=1)
    even = np.repeat((member * live)[:, None, :], table.shape[1], axis=1)
    for fallback in (alone, even):
        inside = np.where(inside.sum(axis=-1, keepdims=True) > 1e-9, inside, fallback)
    return column.settle(inside.reshape(-1, len(coarse)) @ codes)
