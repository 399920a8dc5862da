"""What `mst` and `aim` buy first: noisy one-way tables, groups of codes, and the star of pairs with the target."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray, Noise, Plan, Rows
from dp_models.encoding.binning import Binning, Columns
from dp_models.encoding.side_by_side import each
from dp_models.encoding.table import BATCH_ROWS
from dp_models.graphical.estimation import Markov, Measured
from dp_models.graphical.junction import Clique, Junction
from dp_models.graphical.model import GraphModel
from dp_models.tables.bought import Bought, NoisyTable
from dp_models.tables.consistency import rake, shrink
from dp_models.tables.counting import count
from dp_models.tables.grouping import group, least_weight, sums
from synthgate.domain import Domain

_SPREAD = 3.0
"""Noises that a group of cells of a nested partition gathers: those of the coarse parts it begins and ends in."""
_LEAST = 1e-3
"""Fewer rows than this in a cell are taken for this, so that no cell of a model is impossible."""
_GRID = 1024.0
"""Predicted counts are rounded to 1/1024, so that scores, sums of distances, are exact in double precision."""


@dataclass(frozen=True)
class Grouped:
    """The columns after the first step, all of it paid for: ``columns`` are one-way estimates over codes, ``groups``
    the group of each code, ``merged`` the one-way estimates over groups, ``sigmas`` about the noise of each."""

    columns: Columns
    target: int | None
    groups: tuple[IntArray, ...]
    merged: tuple[FloatArray, ...]
    sigmas: tuple[float, ...]
    bought: Bought

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of groups of each column."""
        return tuple(len(m) for m in self.merged)

    @property
    def others(self) -> tuple[int, ...]:
        """The columns but the target."""
        return tuple(i for i in range(len(self.merged)) if i != self.target)

    @property
    def pairs(self) -> tuple[Clique, ...]:
        """Pairs of columns, neither of them the target."""
        return tuple(combinations(self.others, 2))

    def with_target(self, clique: Clique) -> Clique:
        """The clique and the target, if there is one."""
        return clique if self.target is None else tuple(sorted((*clique, self.target)))


class Tables:
    """The true tables of one fit. They leave through `measure`, with noise, or inside a score for a private choice."""

    def __init__(self, rows: Rows, domain: Domain, plan: Plan, noise: Noise) -> None:
        self._rows, self._noise, self._max_rows = rows, noise, plan.sizes.max_rows
        self._true: dict[Clique, IntArray] = {}
        self.total = float(plan.sizes.train_rows)
        self.grouped = self._group(domain, plan)
        self._bought: list[NoisyTable] = []

    def _group(self, domain: Domain, plan: Plan) -> Grouped:
        binning, sigma = Binning(domain, plan.parameters["depth"]), plan.parameters["sigma_columns"]
        columns = binning.bought(
            self._rows, sigma=sigma, noise=self._noise, sensitivity=self._max_rows, total=self.total
        )
        names = [c.name for c in domain.modelled]
        target = names.index(domain.target) if domain.target is not None else None
        fine, found = plan.parameters["levels"], plan.parameters["target_levels"]
        star = plan.parameters.get("sigma_star", math.inf)
        groups, sigmas = [], []
        for i, (column, weights) in enumerate(zip(columns.codec.columns, columns.weights, strict=True)):
            room, cells = (found, fine) if i == target else (fine, found)
            limit = least_weight(column, self.total, levels=room, cells=cells, sigma=star)
            groups.append(group(column, weights, levels=room, least=limit))
            # A sum over a group has the noise of its codes; a group of mean size stands for all.
            codes = column.size / (groups[i].max() + 1)
            sigmas.append(float(sigma * np.sqrt(min(codes, _SPREAD) if len(binning.partitions[i]) > 1 else codes)))
        return Grouped(
            columns=columns,
            target=target,
            groups=tuple(groups),
            merged=tuple(sums(w, g) for g, w in zip(groups, columns.weights, strict=True)),
            sigmas=tuple(sigmas),
            bought=Bought(
                one_way=columns.one_way, sigma=sigma, groups=tuple(groups), tables=(), rows=self.total,
                max_rows=self._max_rows,
            ),
        )  # fmt: skip

    def count(self, cliques: Iterable[Clique]) -> None:
        """Count the tables that may be asked for, in one pass over the rows."""
        grouped, sizes = self.grouped, self.grouped.sizes
        for clique in cliques:
            self._true[clique] = np.zeros([sizes[i] for i in clique], dtype=np.int64)

        def counted(batch: pa.RecordBatch) -> list[IntArray]:
            codes = [g[c] for g, c in zip(grouped.groups, grouped.columns.codec.encode(batch), strict=True)]
            return [count([codes[i] for i in clique], table.shape) for clique, table in self._true.items()]

        def add(found: list[IntArray]) -> None:
            for table, part in zip(self._true.values(), found, strict=True):
                table += part

        each(counted, self._rows.to_batches(max_chunksize=BATCH_ROWS), into=add)

    def measure(self, clique: Clique, sigma: float) -> IntArray:
        """One noisy table."""
        noisy = self._noise.discrete_gaussian(self._true[clique], sigma=sigma, sensitivity=self._max_rows)
        self._bought.append(NoisyTable.of(clique, noisy, sigma=sigma))
        return noisy

    def fitted(self, model: Markov) -> GraphModel:
        """What is kept of a fit: the model, and every noisy table that was measured for it."""
        bought = self.grouped.bought.beside(self._bought)
        return GraphModel.of(self.grouped.columns, self.grouped.groups, model, bought)

    def choose(self, cliques: list[Clique], expected: Callable[[Clique], FloatArray], *, epsilon: float) -> Clique:
        """The table that a model gets most wrong, by the exponential mechanism."""
        return self.pick(self.scores(cliques, expected), epsilon=epsilon)

    def scores(self, cliques: Iterable[Clique], expected: Callable[[Clique], FloatArray]) -> dict[Clique, float]:
        """How wrong a model gets each table: private numbers, for `pick` alone."""
        return {c: score(self._true[c], expected(c)) for c in cliques}

    def pick(self, scores: Mapping[Clique, float], *, epsilon: float) -> Clique:
        """The table of the highest score, by the exponential mechanism."""
        found = self._noise.exponential(
            np.array(list(scores.values())), epsilon=epsilon, sensitivity=float(self._max_rows)
        )
        return list(scores)[found]

    def star(self, sigma: float) -> tuple[Markov, list[Measured]]:
        """The columns given the target, each on its own, from their noisy pairs with it; and what that used.

        Without a target the columns are independent. Tables that noise would drown fall back on independence.
        """
        grouped, merged = self.grouped, self.grouped.merged
        bought = [Measured((i,), m, s) for i, (m, s) in enumerate(zip(merged, grouped.sigmas, strict=True))]
        potentials: dict[Clique, FloatArray] = {(i,): np.log(np.maximum(m, _LEAST)) for i, m in enumerate(merged)}
        for i in grouped.others if grouped.target is not None else ():
            clique = grouped.with_target((i,))
            first, second = (merged[c] for c in clique)
            expected = np.outer(first, second) / self.total
            blended = shrink(self.measure(clique, sigma), expected, sigma=sigma)
            settled = rake(blended, {1: first, 0: second})
            potentials[clique] = np.log(np.maximum(settled, _LEAST)) - np.log(np.maximum(expected, _LEAST))
            bought.append(Measured(clique, settled, sigma))
        return Markov.of(Junction.of(grouped.sizes, potentials), self.total, potentials), bought


def score(true: IntArray, expected: FloatArray) -> float:
    """The L1 distance, in counts, of a true table from an expected one, less what chance alone would give.

    The expected table and the second part are made of noisy tables and the public number of rows, so one unit moves a
    score by at most ``max_rows``, exactly: expected counts lie on a grid that double precision adds without error.
    """
    distance = np.abs(true - np.round(expected * _GRID) / _GRID).sum()
    chance = np.sqrt(2 / np.pi) * np.sqrt(np.maximum(expected, 0.0)).sum()
    return float(distance - np.round(chance * _GRID) / _GRID)
