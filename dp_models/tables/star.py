"""`Star`: noisy one-way tables, groups made from them, and noisy tables of every column with the target.

What `star` releases and `tree` grows edges on. One class runs both steps, so that every true count of a fit is in local
variables here or in a `PairCounts`, and leaves through ``noise`` alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray, Noise, Plan, Rows
from dp_models.encoding.binning import Binning, Columns
from dp_models.encoding.codes import ColumnCodes
from dp_models.tables.bought import Bought, NoisyTable
from dp_models.tables.consistency import pool, rake, shrink_relation
from dp_models.tables.counting import StarCounts
from dp_models.tables.grouping import group, least_weight, sums
from synthgate.domain import Domain


@dataclass(frozen=True)
class Star:
    """Estimates after the noise: counts of every code, the group of each code, counts of the target's groups, and for
    each other column the table (its groups, groups of the target). All of them agree.

    Without a target, ``target`` is None and stands for one group that holds everything.
    """

    columns: Columns
    groups: tuple[IntArray, ...]
    target: int | None
    target_weights: FloatArray
    tables: Mapping[int, FloatArray]
    bought: Bought


class StarFit:
    """One run of the steps that ``parameters`` (``depth``, ``sigma_columns``, ``sigma_star``, ``star_levels``,
    ``target_levels``) describe."""

    def __init__(self, domain: Domain, plan: Plan, noise: Noise) -> None:
        self.parameters: Mapping[str, Any] = plan.parameters
        self.k, self.total, self.noise = plan.sizes.max_rows, float(plan.sizes.train_rows), noise
        self.binning = Binning(domain, plan.parameters["depth"])
        names = [c.name for c in domain.modelled]
        self.target = names.index(domain.target) if domain.target is not None else None
        self.others = [i for i in range(self.binning.width) if i != self.target]

    @property
    def codes(self) -> tuple[ColumnCodes, ...]:
        """The fine codes of each column."""
        return self.binning.codec.columns

    def columns(self, rows: Rows) -> Columns:
        """The first passes over the rows: one-way tables. Raises DataCorrupted for rows that ingest did not make."""
        sigma = self.parameters["sigma_columns"]
        return self.binning.bought(rows, sigma=sigma, noise=self.noise, sensitivity=self.k, total=self.total)

    def groups(self, columns: Columns) -> tuple[IntArray, ...]:
        """Codes put together so that the star's tables stand above their noise."""
        fine, target = self.parameters["star_levels"], self.parameters["target_levels"]
        sigma = self.parameters.get("sigma_star", math.inf)
        found = []
        for i, (column, weights) in enumerate(zip(self.codes, columns.weights, strict=True)):
            room, cells = (target, fine) if i == self.target else (fine, target)
            limit = least_weight(column, self.total, levels=room, cells=cells, sigma=sigma)
            found.append(group(column, weights, levels=room, least=limit))
        return tuple(found)

    def grouped(self, batch: pa.RecordBatch, groups: tuple[IntArray, ...]) -> tuple[list[IntArray], IntArray]:
        """Some rows as groups: (n,) of every column, and of the target."""
        codes = [g[c] for g, c in zip(groups, self.binning.codec.encode(batch), strict=True)]
        return codes, np.zeros(batch.num_rows, dtype=np.int64) if self.target is None else codes[self.target]

    def star(self, columns: Columns, groups: tuple[IntArray, ...], true: StarCounts) -> Star:
        """Noisy tables from true ones, made consistent with each other and with the one-way tables."""
        merged = [sums(w, g) for g, w in zip(groups, columns.weights, strict=True)]
        tables: dict[int, FloatArray] = {}
        bought = Bought(
            one_way=columns.one_way, sigma=self.parameters["sigma_columns"], groups=groups, tables=(),
            rows=self.total, max_rows=self.k,
        )  # fmt: skip
        if self.target is None:
            tables = {i: merged[i][:, None] for i in self.others}
            return Star(columns, groups, None, np.array([self.total]), tables, bought)
        if not self.others:
            return Star(columns, groups, self.target, merged[self.target], tables, bought)
        sigma = self.parameters["sigma_star"]
        noisy = {i: self.noise.discrete_gaussian(true[i], sigma=sigma, sensitivity=self.k) for i in self.others}
        t = pool(
            [merged[self.target], *(table.sum(axis=0) for table in noisy.values())],
            [self._variance(self.target, groups), *(len(table) * sigma**2 for table in noisy.values())],
            self.total,
        )
        for i, table in noisy.items():
            known = pool(
                [merged[i], table.sum(axis=1)], [self._variance(i, groups), np.full(len(table), len(t) * sigma**2)],
                self.total,
            )  # fmt: skip
            expected = np.outer(known, t) / self.total
            tables[i] = rake(shrink_relation(table, expected, sigma=sigma), {1: known, 0: t})
        bought = bought.beside([NoisyTable.of((i, self.target), n, sigma=sigma) for i, n in noisy.items()])
        return Star(columns, groups, self.target, t, tables, bought)

    def _variance(self, column: int, groups: tuple[IntArray, ...]) -> FloatArray:
        """About how far the one-way table is off for each group: one noise a code, or a few where mass was spread."""
        sigma, parts = self.parameters["sigma_columns"], self.binning.partitions[column]
        codes = np.bincount(groups[column]).astype(np.float64)
        return np.asarray(sigma**2 * (np.minimum(codes, _SPREAD) if len(parts) > 1 else codes))


_SPREAD = 3.0
"""Noises that a group of cells of a nested partition gathers: those of the coarse parts it begins and ends in."""
