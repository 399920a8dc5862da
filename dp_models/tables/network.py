"""`TreeModel`: a fitted tree of conditional distributions, sampled in closed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.codes import Codec, ColumnCodes
from dp_models.tables.drawing import draw


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
    """P(t), then every column in an order in which parents come first, all over groups of codes; and the distribution
    of codes within each group."""

    codec: Codec
    target: int | None
    target_probabilities: FloatArray
    steps: tuple[Step, ...]
    within: tuple[FloatArray, ...]

    @classmethod
    def of(
        cls,
        codec: Codec,
        columns: list[FloatArray],
        groups: list[IntArray],
        target_weights: FloatArray,
        target: int | None,
        star: Mapping[int, FloatArray],
        tables: Mapping[tuple[int, int], FloatArray],
    ) -> Self:
        """Conditionals from consistent tables in counts: ``columns`` over codes, ``star`` (column, target) and
        ``tables`` (a, b, target) over groups. Groups that may not be released are left out of every conditional."""
        live = [_released(c, g) for c, g in zip(codec.columns, groups, strict=True)]
        steps = []
        for column, parent in _order(list(star), list(tables)):
            if parent is None:
                weights, back = star[column].T, star[column].sum(axis=1)[None, :]
            else:
                table = tables[(parent, column)] if (parent, column) in tables else _swap(tables[(column, parent)])
                weights = np.moveaxis(table, 1, 2).reshape(-1, table.shape[1])
                back = np.tile(star[column].T, (table.shape[0], 1))
            steps.append(Step(column, parent, _conditional(weights, back, live[column])))
        of_target = np.ones(1) if target is None else _conditional(target_weights, target_weights, live[target])
        within = tuple(_within(c, g, w) for c, g, w in zip(codec.columns, groups, columns, strict=True))
        return cls(codec, target, of_target, tuple(steps), within)

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, drawn from the root down."""
        t = draw(self.target_probabilities, rows, generator=generator)
        groups: dict[int, IntArray] = {} if self.target is None else {self.target: t}
        for step in self.steps:
            given = t if step.parent is None else groups[step.parent] * len(self.target_probabilities) + t
            groups[step.column] = draw(step.probabilities, rows, generator=generator, given=given)
        fine = [draw(p, rows, generator=generator, given=groups[i]) for i, p in enumerate(self.within)]
        return self.codec.decode(np.stack(fine), generator=generator)


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


def _released(column: ColumnCodes, groups: IntArray) -> FloatArray:
    """1 for groups that hold a code which is released, 0 for a group of nothing but a redrawn ``other``."""
    codes = groups if column.null is not None else groups[: column.values]
    return np.bincount(codes, minlength=int(groups.max()) + 1).clip(max=1).astype(np.float64)


def _conditional(weights: FloatArray, back: FloatArray, live: FloatArray) -> FloatArray:
    """Rows of ``weights`` over the last axis as probabilities; where a row is empty ``back`` serves, else evenness."""
    first, second = np.maximum(weights, 0) * live, np.maximum(back, 0) * live
    total, total_back = first.sum(axis=-1, keepdims=True), second.sum(axis=-1, keepdims=True)
    second = np.where(total_back > 0, second / np.where(total_back > 0, total_back, 1), live / live.sum())
    return np.asarray(np.where(total > 1e-9, first / np.where(total > 1e-9, total, 1), second))


def _within(column: ColumnCodes, groups: IntArray, weights: FloatArray) -> FloatArray:
    """The released codes (groups, size) of each group by their one-way weights, evenly where there are none.

    The row of a group that is never drawn holds the declared values evenly.
    """
    member = groups[None, :] == np.arange(groups.max() + 1)[:, None]
    share = member * column.settle(weights)
    released = member & (np.arange(column.size) <= (column.values if column.null is not None else column.values - 1))
    share = np.where(share.sum(axis=1, keepdims=True) > 0, share, released)
    return column.settle(share)
