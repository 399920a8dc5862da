"""`GraphModel`: a fitted graphical model, sampled clique by clique down its junction tree."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Protocol, Self

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.binning import Columns
from dp_models.graphical.estimation import Markov
from dp_models.graphical.junction import Clique
from dp_models.stored.bought import bought_parts, read_bought
from dp_models.stored.format import Parts, checked_integer, checked_list, columns_parts
from dp_models.tables.bought import Bought
from dp_models.tables.drawing import draw
from dp_models.tables.evidence import Factor, Message, intersects, posterior, weighed
from dp_models.tables.grouping import codes_within, released
from synthgate.errors import DataCorrupted


class Drawing(Protocol):
    """`draw`, or `draw_apart`."""

    def __call__(
        self, probabilities: FloatArray, rows: int, *, generator: np.random.Generator, given: IntArray | None = None
    ) -> IntArray:
        """Codes (rows,), of ``probabilities[given]``."""


@dataclass(frozen=True, slots=True)
class Step:
    """One column to draw given earlier ones: ``probabilities`` (cells of ``given``, groups)."""

    column: int
    given: Clique
    probabilities: FloatArray


@dataclass(frozen=True)
class GraphModel:
    """Columns in an order in which all that each depends on comes first, over groups of codes; and the distribution of
    codes within each group."""

    columns: Columns
    sizes: tuple[int, ...]
    steps: tuple[Step, ...]
    within: tuple[FloatArray, ...]
    bought: Bought | None = None

    @classmethod
    def of(cls, columns: Columns, groups: Sequence[IntArray], model: Markov, bought: Bought | None = None) -> Self:
        """Conditionals of the junction tree. Groups that may not be released are left out of every one of them."""
        codes = columns.codec.columns
        live = [released(c, g) for c, g in zip(codes, groups, strict=True)]
        within = tuple(codes_within(c, w, g) for c, g, w in zip(codes, groups, columns.weights, strict=True))
        return cls(columns, model.junction.sizes, conditionals(model, live), within, bought)

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, drawn from the root down."""
        return self.columns.decode(self.codes(rows, generator=generator), generator=generator)

    def codes(self, rows: int, *, generator: np.random.Generator) -> list[IntArray]:
        """Fine codes (rows,) of every column."""
        groups = drawn(self.steps, self.sizes, rows, by=draw, generator=generator)
        return [draw(p, rows, generator=generator, given=groups[i]) for i, p in enumerate(self.within)]

    def given(self, likelihoods: Sequence[FloatArray]) -> tuple[Self, float]:
        """The model given evidence, exactly, and the evidence's probability; a likelihood (codes,) for each column."""
        factors = []
        for step in self.steps:
            shape = (*(self.sizes[c] for c in step.given), self.sizes[step.column])
            factors.append(Factor(step.column, step.given, step.probabilities.reshape(shape)))
        pairs = list(zip(self.within, likelihoods, strict=True))
        evidence = {i: [Message((i,), table @ likelihood)] for i, (table, likelihood) in enumerate(pairs)}
        tables, probability = posterior(factors, evidence)
        steps = [
            replace(s, probabilities=table.reshape(s.probabilities.shape))
            for s, table in zip(self.steps, tables, strict=True)
        ]
        within = tuple(weighed(table, likelihood) for table, likelihood in pairs)
        return replace(self, steps=tuple(steps), within=within), probability

    def parts(self) -> Parts:
        """The model taken apart, to be stored."""
        structure, arrays = columns_parts(self.columns)
        kept, counts = bought_parts(self.bought)
        structure, arrays = structure | kept, arrays | counts
        structure |= {"steps": [[s.column, list(s.given)] for s in self.steps]}
        arrays |= {f"steps.{i}": s.probabilities for i, s in enumerate(self.steps)}
        arrays |= {f"within.{i}": w for i, w in enumerate(self.within)}
        return Parts(kind="graph", domain=self.columns.codec.domain, structure=structure, arrays=arrays)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Put together what `parts` took apart. Raises DataCorrupted."""
        columns = parts.columns()
        last = len(columns.codec.columns) - 1
        scopes: list[tuple[int, Clique]] = []
        for link in checked_list(parts.structure.get("steps")):
            column, given = (*checked_list(link), None, None)[:2]
            above = tuple(checked_integer(c, low=0, high=last) for c in checked_list(given))
            scopes.append((checked_integer(column, low=0, high=last), above))
        if not intersects(scopes) or len(scopes) != last + 1:
            raise DataCorrupted("the stored graph's columns do not come in an order that can be drawn")
        sizes: dict[int, int] = {}
        steps: list[Step] = []
        for i, (column, above) in enumerate(scopes):
            table = parts.weights(f"steps.{i}", prod(sizes[c] for c in above), None)
            steps.append(Step(column, above, table))
            sizes[column] = table.shape[1]
        within = tuple(
            parts.weights(f"within.{i}", sizes[i], column.size) for i, column in enumerate(columns.codec.columns)
        )
        wide = tuple(sizes[i] for i in range(last + 1))
        return cls(columns, wide, tuple(steps), within, read_bought(parts, columns))


def conditionals(model: Markov, live: Sequence[FloatArray]) -> tuple[Step, ...]:
    """Every column given those before it, down the junction tree; groups that ``live`` holds 0 for are left out."""
    steps: list[Step] = []
    tree = model.junction
    for i, clique in enumerate(tree.cliques):
        known = list(tree.separators[i])
        for column in [c for c in clique if c not in known]:
            table = model.beliefs[i].sum(axis=tuple(a for a, c in enumerate(clique) if c not in (*known, column)))
            rising = sorted((*known, column))
            weights = np.moveaxis(table, rising.index(column), -1)
            given = tuple(c for c in rising if c != column)
            steps.append(Step(column, given, conditional(weights.reshape(-1, tree.sizes[column]), live[column])))
            known.append(column)
    return tuple(steps)


def drawn(
    steps: Sequence[Step], sizes: Sequence[int], rows: int, *, by: Drawing, generator: np.random.Generator
) -> dict[int, IntArray]:
    """Groups (rows,) of every column, by `draw` or `draw_apart`."""
    groups: dict[int, IntArray] = {}
    for step in steps:
        given = np.zeros(rows, dtype=np.int64)
        for column in step.given:
            given = given * sizes[column] + groups[column]
        groups[step.column] = by(step.probabilities, rows, generator=generator, given=given)
    return groups


def conditional(weights: FloatArray, live: FloatArray) -> FloatArray:
    """Rows as probabilities; where a row is empty the mean of all rows serves, else evenness."""
    kept = np.maximum(weights, 0) * live
    mean = kept.sum(axis=0) if kept.sum() > 0 else live
    total = kept.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 1e-9, kept / np.where(total > 1e-9, total, 1), mean / mean.sum()))
