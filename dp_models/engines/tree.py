"""`Tree`: a spanning tree of noisy tables, conditioned on the target where one is declared.

The model is P(t) P(root | t) prod P(child | parent, t), a tree-augmented Bayesian network (Chow, Liu 1968; Friedman,
Geiger, Goldszmidt 1997) bought in four steps that the plan fixes (compare MST: McKenna, Miklau, Sheldon 2021):

1. noisy one-way tables, numbers on nested partitions (`Binning`); codes that the noise would drown are merged by it;
2. where a target t is declared, one noisy table (column, t) for each other column: the star;
3. one edge after the other by the exponential mechanism: scores are L1 distances, in counts, between true tables and
   what the noisy star and the public number of rows predict, so their sensitivity is ``max_rows``;
4. one noisy table (parent, child, t) for each edge, of coarser groups (where noise rules, of all t together), blended
   with the star's prediction and raked to the star.

Two passes over the rows, a batch at a time. Sampling is closed-form. Loads no torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray, Noise, Plan, Rows
from dp_models.encoding.binning import Binning, Columns, depth_for
from dp_models.encoding.side_by_side import each
from dp_models.encoding.table import BATCH_ROWS
from dp_models.mechanisms.calibration import calibrate, round_up
from dp_models.mechanisms.events import compose
from dp_models.settings import COUNT, POSITIVE, check, check_shares
from dp_models.tables.bought import NoisyTable
from dp_models.tables.consistency import rake, shrink_twice
from dp_models.tables.counting import PairCounts, StarCounts
from dp_models.tables.grouping import TARGET_LEVELS, coarsen, fine_enough, least_weight, sums, target_levels
from dp_models.tables.network import TreeModel
from dp_models.tables.star import StarFit
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import MAX_BINS, Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import DiscreteGaussian, DpEvent, Exponential

MAX_CELLS = 100_000
_GRID = 1024.0
"""Predicted counts are rounded to 1/1024, so that scores, sums of distances, are exact in double precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Shares of the budget (as zero-concentrated rho) and how fine the tables may be.

    ``share_columns``, ``share_star``, ``share_select`` are the parts of steps 1 to 3; the edges' tables get the rest,
    and the part of a step that a domain does not need is spread over the others. ``contrast_star`` and ``contrast`` are
    the expected counts of an even cell of the star and of an edge, in units of its noise, below which their tables are
    made coarser; ``least_levels`` is how coarse the columns of an edge may get before its table gives up on the target
    instead (and those of the star before twice ``contrast`` is enough). A tree that is not ``grown`` leaves steps 3 and
    4 out: `star`.
    """

    share_columns: float = 0.15
    share_star: float = 0.40
    share_select: float = 0.10
    contrast_star: float = 10.0
    contrast: float = 2.0
    least_levels: int = 8
    grown: bool = True

    def __post_init__(self) -> None:
        shares = ("share_columns", "share_star", *(("share_select",) if self.grown else ()))
        check_shares(self, *shares, whole=not self.grown)
        check(self, least_levels=COUNT, contrast_star=POSITIVE, contrast=POSITIVE)

    @property
    def name(self) -> str:
        """``tree``."""
        return "tree"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """Noise scales, selection epsilon and table sizes. Raises FailedPrecondition for a domain of more than 100,000
        cells and where no noise reaches the budget."""
        k = sizes.max_rows
        steps = self._steps(domain, 2)
        noise = self._calibrated(steps, k, budget)
        depth = depth_for(sizes.train_rows, noise["sigma_columns"])
        if depth != 2:
            steps = self._steps(domain, depth)
            noise = self._calibrated(steps, k, budget)
        return Plan(
            engine=self.name,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=_event(steps, k, noise),
            parameters=noise | {"depth": depth} | self._levels(domain, sizes, noise, depth),
        )

    def _steps(self, domain: Domain, depth: int) -> tuple[int, int, int]:
        """How many one-way tables, star tables and edges a domain asks for."""
        binning = Binning(domain, depth)
        others = binning.width - (domain.target is not None)
        star = others if domain.target is not None else 0
        return binning.tables, star, max(others - 1, 0) if self.grown else 0

    def _calibrated(self, steps: tuple[int, int, int], k: int, budget: PrivacyBudget) -> dict[str, float]:
        return self._noise(steps, k, calibrate(lambda s: _event(steps, k, self._noise(steps, k, s)), budget))

    def _noise(self, steps: tuple[int, int, int], k: int, scale: float) -> dict[str, float]:
        """The scales of every step when the whole plan has rho = 1 / scale^2."""
        tables, star, edges = steps
        last = 1 - self.share_columns - self.share_star - self.share_select
        wanted = {
            "sigma_columns": (self.share_columns, tables),
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

    def _levels(self, domain: Domain, sizes: PublicSizes, noise: Mapping[str, float], depth: int) -> dict[str, int]:
        """How many groups of a column and of the target the tables of steps 2 to 4 tell apart."""
        binning = Binning(domain, depth)
        _, star, edges = self._steps(domain, depth)
        widest = max(binning.codec.sizes)
        left = MAX_CELLS - binning.cells
        if left < star * 4 + edges * 8:
            raise FailedPrecondition(
                f"the declared columns have {binning.cells:,} codes, too many for the {MAX_CELLS:,} noisy cells of a"
                " tree; declare fewer categories or columns"
            )
        target, star_levels = 1, widest
        if star:
            clear = sizes.train_rows / noise["sigma_star"]
            column = next(c for c in binning.codec.columns if c.column.name == domain.target)
            target = max(2, min(column.other, target_levels(column, clear), int(clear / self.least_levels)))
            fewest = min(self.least_levels, int(clear / target / (2 * self.contrast)))
            star_levels = max(fewest, int(clear / target / self.contrast_star))
            star_levels = max(2, min(widest, MAX_BINS, star_levels, left // (2 * star * target)))
        target_edges, levels = target, star_levels
        if edges:
            clear = sizes.train_rows / (self.contrast * noise["sigma_edges"])
            while target_edges > 1 and clear / target_edges < self.least_levels**2:
                target_edges -= 1
            left = (left - star * star_levels * target) // edges
            clear = min(clear, left)
            while target_edges > TARGET_LEVELS and not fine_enough(int(math.sqrt(clear / target_edges)), widest):
                target_edges -= 1
            levels = max(2, min(levels, MAX_BINS, int(math.sqrt(clear / target_edges))))
        return {
            "star_levels": star_levels,
            "target_levels": target,
            "levels": levels,
            "target_edge_levels": target_edges,
        }

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> TreeModel:
        """Buy the tables of the plan. Raises DataCorrupted for rows that ingest did not make."""
        return _Fit(domain, plan, noise).run(rows)


class _Fit(StarFit):
    """One run of a plan: true counts live in local variables only and leave through ``noise``."""

    def run(self, rows: Rows) -> TreeModel:
        """The four steps."""
        columns = self.columns(rows)
        groups = self.groups(columns)
        grown = "sigma_edges" in self.parameters
        coarse = self._coarser(columns, groups)
        coarse_t = self._coarser_target(columns, groups)
        true = StarCounts(groups, len(coarse_t))
        pairs = PairCounts([int(coarse[i].max()) + 1 for i in self.others] if grown else [], int(coarse_t.max()) + 1)

        def counted(batch: pa.RecordBatch) -> tuple[list[IntArray], list[IntArray]]:
            codes, t = self.grouped(batch, groups)
            paired = pairs.of([coarse[i][codes[i]] for i in self.others], coarse_t[t]) if grown else []
            return true.of(codes, t), paired

        def add(found: tuple[list[IntArray], list[IntArray]]) -> None:
            true.add(found[0])
            if grown:
                pairs.add(found[1])

        each(counted, rows.to_batches(max_chunksize=BATCH_ROWS), into=add)
        star = self.star(columns, groups, true)
        margins = {i: _merge(table, coarse[i]) for i, table in star.tables.items()}
        expected = {p: predict(margins[self.others[p[0]]], margins[self.others[p[1]]]) for p in pairs.pairs}
        scores = {p: score(pairs[p], _merge_last(expected[p], coarse_t)) for p in pairs.pairs}
        tables, bought = {}, []
        for a, b in self._select(scores):
            first, second = self.others[a], self.others[b]
            sigma = self.parameters["sigma_edges"]
            noisy = self.noise.discrete_gaussian(pairs[a, b], sigma=sigma, sensitivity=self.k)
            tables[first, second] = self._edge(noisy, expected[a, b], coarse_t, margins[first], margins[second])
            bought.append(self._kept(noisy, (first, second), coarse, coarse_t))
        return TreeModel.of(star, coarse, margins, tables, bought)

    def _kept(
        self, noisy: IntArray, edge: tuple[int, int], coarse: Mapping[int, IntArray], coarse_t: IntArray
    ) -> NoisyTable:
        maps = [coarse[i] for i in edge]
        sigma = self.parameters["sigma_edges"]
        if self.target is None:
            return NoisyTable.of(edge, noisy[..., 0], sigma=sigma, maps=maps)
        return NoisyTable.of((*edge, self.target), noisy, sigma=sigma, maps=[*maps, coarse_t])

    def _coarser(self, columns: Columns, groups: tuple[IntArray, ...]) -> dict[int, IntArray]:
        """The edges' group of each group of the star."""
        room = self.parameters["levels"]
        if room >= self.parameters["star_levels"]:
            return {i: np.arange(int(groups[i].max()) + 1) for i in self.others}
        cells = room * self.parameters["target_edge_levels"]
        return {i: self._coarsened(i, columns, groups[i], room, cells) for i in self.others}

    def _coarser_target(self, columns: Columns, groups: tuple[IntArray, ...]) -> IntArray:
        if self.target is None:
            return np.zeros(1, dtype=np.int64)
        room = self.parameters["target_edge_levels"]
        if room == 1:
            return np.zeros(int(groups[self.target].max()) + 1, dtype=np.int64)
        return self._coarsened(self.target, columns, groups[self.target], room, self.parameters["levels"] ** 2)

    def _coarsened(self, i: int, columns: Columns, groups: IntArray, room: int, cells: int) -> IntArray:
        code, sigma = self.codes[i], self.parameters.get("sigma_edges", math.inf)
        limit = least_weight(code, self.total, levels=room, cells=cells, sigma=sigma)
        return coarsen(code, groups, sums(columns.weights[i], groups), levels=room, least=limit)

    def _select(self, scores: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
        """A spanning tree over the columns but the target: Kruskal's algorithm with private choices."""
        pairs, values = np.array(list(scores)).reshape(-1, 2), np.array(list(scores.values()))
        part, open_ = np.arange(len(self.others)), np.arange(len(pairs))
        chosen: list[tuple[int, int]] = []
        while len(chosen) < len(self.others) - 1 and scores:
            pick = self.noise.exponential(
                values[open_], epsilon=self.parameters["epsilon_select"], sensitivity=float(self.k)
            )
            a, b = (int(column) for column in pairs[open_[pick]])
            chosen.append((a, b))
            part[part == part[b]] = part[a]
            open_ = open_[part[pairs[open_, 0]] != part[pairs[open_, 1]]]
        return chosen

    def _edge(
        self, noisy: IntArray, expected: FloatArray, coarse_t: IntArray, first: FloatArray, second: FloatArray
    ) -> FloatArray:
        """The table (groups of a, groups of b, groups of the target) of one edge, consistent with the star."""
        sigma = self.parameters["sigma_edges"]
        merged = _merge_last(expected, coarse_t)
        blended = shrink_twice(noisy, merged, sigma=sigma, axis=2)
        whole = merged[..., coarse_t]
        share = np.divide(expected, whole, out=np.zeros_like(expected), where=whole > 0)
        return rake(blended[..., coarse_t] * share, {1: first, 0: second})


def score(true: IntArray, expected: FloatArray) -> float:
    """The L1 distance, in counts, of a true table from what the star predicts, less what chance alone would give: the
    second part and the prediction are made of noisy tables, so one unit moves a score by at most ``max_rows``."""
    distance = np.abs(true - np.round(expected * _GRID) / _GRID).sum()
    chance = math.sqrt(2 / math.pi) * np.sqrt(expected).sum()
    return float(distance - np.round(chance * _GRID) / _GRID)


def predict(first: FloatArray, second: FloatArray) -> FloatArray:
    """Expected counts (a, b, t) of two columns that are independent given the target, from tables (a, t) and (b, t)
    that agree on the target's counts."""
    base = first.sum(axis=0)
    return np.asarray(first[:, None, :] * second[None, :, :] / np.where(base > 0, base, 1.0))


def _merge(table: FloatArray, groups: IntArray) -> FloatArray:
    """A table with its first axis put together."""
    merged = np.zeros((int(groups.max()) + 1, *table.shape[1:]))
    np.add.at(merged, groups, table)
    return merged


def _merge_last(table: FloatArray, groups: IntArray) -> FloatArray:
    """A table with its last axis put together."""
    return np.moveaxis(_merge(np.moveaxis(table, -1, 0), groups), 0, -1)


def _event(steps: tuple[int, int, int], k: int, noise: Mapping[str, float]) -> DpEvent:
    tables, star, edges = steps
    events: list[DpEvent] = [DiscreteGaussian(noise["sigma_columns"], k)] * tables
    if star:
        events += [DiscreteGaussian(noise["sigma_star"], k)] * star
    if edges:
        events += [Exponential(noise["epsilon_select"])] * edges
        events += [DiscreteGaussian(noise["sigma_edges"], k)] * edges
    return compose(events)
