"""`Tree`: a spanning tree of noisy tables, conditioned on the target where one is declared.

The model is P(t) P(root | t) prod P(child | parent, t), a tree-augmented Bayesian network (Chow, Liu 1968; Friedman,
Geiger, Goldszmidt 1997) bought in four steps that the plan fixes (compare MST: McKenna, Miklau, Sheldon 2021):

1. one noisy table a column; codes that the noise would drown are merged by it;
2. where a target t is declared, one noisy table (column, t) for each other column: the star;
3. one edge after the other by the exponential mechanism: scores are L1 distances, in counts, between true tables and
   what the noisy star and the public number of rows predict, so their sensitivity is ``max_rows``;
4. one noisy table (parent, child, t) for each edge, blended with the star's prediction and raked to its margins.

Sampling is closed-form. Loads no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray, Noise, Plan
from dp_models.encoding.codes import Codec
from dp_models.encoding.table import check_rows
from dp_models.mechanisms.calibration import calibrate, round_up
from dp_models.mechanisms.events import compose
from dp_models.tables.consistency import rake, shrink, to_simplex
from dp_models.tables.counting import count
from dp_models.tables.grouping import group
from dp_models.tables.network import TreeModel
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import DiscreteGaussian, DpEvent, Exponential

MAX_CELLS = 100_000
_UNEVEN = 4.0
"""A group of codes weighs at least this part (a quarter) of an even one, where that can be helped."""
_GRID = 1024.0
"""Predicted counts are rounded to 1/1024, so that scores, sums of distances, are exact in double precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Shares of the budget (as zero-concentrated rho) and how fine the tables may be.

    ``share_columns``, ``share_star``, ``share_select`` are the parts of steps 1 to 3; the edges' tables get the rest,
    and the part of a step that a domain does not need is spread over the others. ``target_levels`` is how many groups
    of the target the tables tell apart. ``contrast`` is the expected count of an even cell, in units of its noise,
    below which tables are made coarser.
    """

    share_columns: float = 0.15
    share_star: float = 0.25
    share_select: float = 0.10
    target_levels: int = 8
    contrast: float = 1.0

    @property
    def name(self) -> str:
        """``tree``."""
        return "tree"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """Noise scales, selection epsilon and table sizes. Raises FailedPrecondition for a domain of more than 100,000
        cells and where no noise reaches the budget."""
        k = sizes.max_rows
        scale = calibrate(lambda s: _event(domain, k, self._noise(domain, k, s)), budget)
        noise = self._noise(domain, k, scale)
        return Plan(
            engine=self.name,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=_event(domain, k, noise),
            parameters=noise | self._levels(domain, sizes, noise),
        )

    def _noise(self, domain: Domain, k: int, scale: float) -> dict[str, float]:
        """The scales of every step when the whole plan has rho = 1 / scale^2."""
        columns, star, edges = _steps(domain)
        last = 1 - self.share_columns - self.share_star - self.share_select
        wanted = {
            "sigma_columns": (self.share_columns, columns),
            "sigma_star": (self.share_star, star),
            "epsilon_select": (self.share_select, edges),
            "sigma_edges": (last, edges),
        }
        spread = sum(share for share, count in wanted.values() if count)
        out = {}
        for parameter, (share, times) in wanted.items():
            if times:
                rho = share / spread / scale**2 / times
                select = parameter == "epsilon_select"
                out[parameter] = math.sqrt(8 * rho) if select else round_up(k / math.sqrt(2 * rho))
        return out

    def _levels(self, domain: Domain, sizes: PublicSizes, noise: Mapping[str, float]) -> dict[str, int]:
        """How many groups of a column and of the target the tables of steps 2 to 4 tell apart."""
        codec = Codec(domain)
        _, star, edges = _steps(domain)
        target = next((c.size for c in codec.columns if c.column.name == domain.target), 1)
        target_levels = min(target, self.target_levels)
        left = MAX_CELLS - sum(codec.sizes)
        if left < star * 2 * target_levels + edges * 4 * target_levels:
            raise FailedPrecondition(
                f"the declared columns have {sum(codec.sizes):,} codes, too many for the {MAX_CELLS:,} noisy cells of a"
                " tree; declare fewer categories or columns"
            )
        levels = max(codec.sizes)
        if edges:
            even = sizes.train_rows / (self.contrast * noise["sigma_edges"] * target_levels)
            levels = min(levels, int(math.sqrt(even)))
        while levels > 2 and levels * target_levels * (star + edges * levels) > left:
            levels -= 1
        return {"levels": max(levels, 2), "target_levels": target_levels}

    def fit(self, rows: pa.Table, domain: Domain, plan: Plan, *, noise: Noise) -> TreeModel:
        """Buy the tables of the plan. Raises DataCorrupted for rows that ingest did not make."""
        check_rows(rows, domain, max_rows=plan.sizes.max_rows)
        return _Fit(domain, plan, noise).run(rows)


class _Fit:
    """One run of a plan: true counts live in local variables only and leave through ``noise``."""

    def __init__(self, domain: Domain, plan: Plan, noise: Noise) -> None:
        self.codec, self.parameters, self.noise = Codec(domain), plan.parameters, noise
        self.k, self.total = plan.sizes.max_rows, float(plan.sizes.train_rows)
        names = [c.column.name for c in self.codec.columns]
        self.target = names.index(domain.target) if domain.target is not None else None
        self.others = [i for i in range(len(names)) if i != self.target]

    def run(self, rows: pa.Table) -> TreeModel:
        """The four steps."""
        fine = self.codec.encode(rows)
        columns = self._columns(fine)
        groups = self._groups(columns)
        codes = [g[c] for g, c in zip(groups, fine, strict=True)]
        merged = [np.bincount(g, weights=w).astype(np.float64) for g, w in zip(groups, columns, strict=True)]
        t = np.zeros(rows.num_rows, dtype=np.int64) if self.target is None else codes[self.target]
        t_weights = np.array([self.total]) if self.target is None else merged[self.target]
        star = self._star(codes, t, merged, t_weights)
        edges = self._select(codes, t, star)
        tables = {edge: self._edge(codes, t, star, edge) for edge in edges}
        return TreeModel.of(self.codec, columns, groups, t_weights, self.target, star, tables)

    def _noisy(self, codes: Sequence[IntArray], shape: Sequence[int], sigma: float) -> IntArray:
        return self.noise.discrete_gaussian(count(codes, shape), sigma=sigma, sensitivity=self.k)

    def _columns(self, fine: IntArray) -> list[FloatArray]:
        sigma = self.parameters["sigma_columns"]
        noisy = [self._noisy([c], [size], sigma) for c, size in zip(fine, self.codec.sizes, strict=True)]
        return [to_simplex(table, self.total) for table in noisy]

    def _groups(self, columns: list[FloatArray]) -> list[IntArray]:
        levels = [self.parameters["levels"]] * len(columns)
        if self.target is not None:
            levels[self.target] = self.parameters["target_levels"]
        return [
            group(column, weights, levels=room, least=self.total / room / _UNEVEN)
            for column, weights, room in zip(self.codec.columns, columns, levels, strict=True)
        ]

    def _star(
        self, codes: list[IntArray], t: IntArray, merged: list[FloatArray], t_weights: FloatArray
    ) -> dict[int, FloatArray]:
        """Tables (groups of the column, groups of the target) in counts, raked to the one-way tables."""
        if self.target is None:
            return {i: merged[i][:, None] for i in self.others}
        star = {}
        for i in self.others:
            sigma = self.parameters["sigma_star"]
            expected = np.outer(merged[i], t_weights) / self.total
            noisy = self._noisy([codes[i], t], expected.shape, sigma)
            blended = shrink(noisy, expected, sigma=sigma)
            star[i] = rake(blended, {1: merged[i], 0: t_weights})
        return star

    def _select(self, codes: list[IntArray], t: IntArray, star: dict[int, FloatArray]) -> list[tuple[int, int]]:
        """A spanning tree over the columns but the target: Kruskal's algorithm with private choices."""
        pairs = list(combinations(self.others, 2))
        scores = np.array([self._score(codes, t, star, pair) for pair in pairs])
        part = {i: i for i in self.others}
        chosen: list[tuple[int, int]] = []
        for _ in range(len(self.others) - 1):
            open_ = [p for p, (a, b) in enumerate(pairs) if part[a] != part[b]]
            pick = self.noise.exponential(
                scores[open_], epsilon=self.parameters["epsilon_select"], sensitivity=float(self.k)
            )
            a, b = pairs[open_[pick]]
            chosen.append((a, b))
            part = {i: part[a] if p == part[b] else p for i, p in part.items()}
        return chosen

    def _score(self, codes: list[IntArray], t: IntArray, star: dict[int, FloatArray], pair: tuple[int, int]) -> float:
        """The L1 distance, in counts, of the true table from what the star predicts, less what chance alone would give:
        the second part and the prediction are made of noisy tables, so one unit moves a score by at most ``max_rows``.
        """
        a, b = pair
        expected = predict(star[a], star[b])
        true = count([codes[a], codes[b], t], expected.shape)
        distance = np.abs(true - np.round(expected * _GRID) / _GRID).sum()
        chance = math.sqrt(2 / math.pi) * np.sqrt(expected).sum()
        return float(distance - np.round(chance * _GRID) / _GRID)

    def _edge(
        self, codes: list[IntArray], t: IntArray, star: dict[int, FloatArray], pair: tuple[int, int]
    ) -> FloatArray:
        """The table (groups of a, groups of b, groups of the target) of one edge, consistent with the star."""
        a, b = pair
        sigma = self.parameters["sigma_edges"]
        expected = predict(star[a], star[b])
        noisy = self._noisy([codes[a], codes[b], t], expected.shape, sigma)
        return rake(shrink(noisy, expected, sigma=sigma), {1: star[a], 0: star[b]})


def predict(first: FloatArray, second: FloatArray) -> FloatArray:
    """Expected counts (a, b, t) of two columns that are independent given the target, from tables (a, t) and (b, t)
    that agree on the target's counts."""
    base = first.sum(axis=0)
    return np.asarray(first[:, None, :] * second[None, :, :] / np.where(base > 0, base, 1.0))


def _steps(domain: Domain) -> tuple[int, int, int]:
    """How many one-way tables, star tables and edges a domain asks for."""
    columns = len(domain.modelled)
    others = columns - (domain.target is not None)
    return columns, others if domain.target is not None else 0, max(others - 1, 0)


def _event(domain: Domain, k: int, noise: Mapping[str, float]) -> DpEvent:
    columns, star, edges = _steps(domain)
    events: list[DpEvent] = [DiscreteGaussian(noise["sigma_columns"], k)] * columns
    if star:
        events += [DiscreteGaussian(noise["sigma_star"], k)] * star
    if edges:
        events += [Exponential(noise["epsilon_select"])] * edges
        events += [DiscreteGaussian(noise["sigma_edges"], k)] * edges
    return compose(events)
