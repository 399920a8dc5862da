"""`Mst`: a maximum spanning tree of noisy pairs, augmented by the target.

MST (McKenna, Miklau, Sheldon 2021), made target-aware: where a target t is declared, every column's pair with t is
measured as well, and edges are chosen for what these pairs do not explain already. The log-linear model of all pairs
is fitted over a junction tree of cliques (a, b, t). Where `tree` buys (a, b, t) tables, this engine buys finer (a, b)
ones and lets the model combine them.

1. noisy one-way tables, numbers on nested partitions (`Binning`); codes that the noise would drown are merged by them;
2. where a target is declared, one noisy table (column, t) for each other column;
3. one edge after the other by the exponential mechanism (Kruskal's algorithm): scores are L1 distances, in counts,
   between true pairs and what steps 1 and 2 predict, so their sensitivity is ``max_rows``;
4. one noisy table (a, b) for each edge, and one fit to everything.

Every parameter is fixed by the plan. Loads no torch and no jax.
"""

from dataclasses import dataclass

from dp_models.base import Noise, Plan, Rows
from dp_models.encoding.binning import Binning
from dp_models.graphical.estimation import Markov, Measured, estimate
from dp_models.graphical.junction import Clique, Junction
from dp_models.graphical.model import GraphModel
from dp_models.graphical.schedule import Schedule, Stage, deepened, levels
from dp_models.graphical.star import Tables
from dp_models.settings import COUNT, POSITIVE, check, check_shares
from dp_models.tables.consistency import shrink
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain

MAX_CELLS = 100_000
"""Cells of the junction tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mst:
    """Shares of the budget (as zero-concentrated rho) and how fine the tables may be.

    ``share_columns``, ``share_star``, ``share_select`` are the parts of steps 1 to 3; the edges' tables get the rest,
    and the part of a step that a domain does not need is spread over the others. ``contrast`` is the expected count of
    an even cell, in units of its noise, below which tables are made coarser. ``steps`` is how long the fit descends at
    most; no noise depends on it.
    """

    share_columns: float = 0.15
    share_star: float = 0.35
    share_select: float = 0.10
    contrast: float = 1.0
    steps: int = 150

    def __post_init__(self) -> None:
        check_shares(self, "share_columns", "share_star", "share_select")
        check(self, contrast=POSITIVE, steps=COUNT)

    @property
    def name(self) -> str:
        """``mst``."""
        return "mst"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """Noise, epsilon of each choice and table sizes. Raises FailedPrecondition for a domain of too many codes and
        where no noise reaches the budget."""
        edges = self._edges(domain)
        binning, schedule, noise = deepened(lambda tables: self._schedule(domain, tables), domain, sizes, budget)
        fine = levels(
            binning,
            rows=sizes.train_rows,
            noise=noise,
            clear=self.contrast * noise["sigma_edges"] if edges else None,
            most=MAX_CELLS,
            split_by_target=False,
            engine=self.name,
        )
        return schedule.planned(
            self.name, domain, sizes, budget, {**noise, **fine, "edges": edges, "steps": self.steps}
        )

    def _edges(self, domain: Domain) -> int:
        return max(Binning(domain, 2).width - (domain.target is not None) - 1, 0)

    def _schedule(self, domain: Domain, tables: int) -> Schedule:
        """With so many one-way tables."""
        edges = self._edges(domain)
        stages = (
            Stage("sigma_columns", self.share_columns, tables),
            Stage("sigma_star", self.share_star, Binning(domain, 2).width - 1 if domain.target is not None else 0),
            Stage("epsilon_select", self.share_select, edges),
            Stage("sigma_edges", 1 - self.share_columns - self.share_star - self.share_select, edges),
        )
        return Schedule(stages)

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> GraphModel:
        """Buy the tables of the plan. Raises DataCorrupted for rows that ingest did not make."""
        return self.run(Tables(rows, domain, plan, noise), plan)

    def run(self, tables: Tables, plan: Plan) -> GraphModel:
        """The steps after the one-way tables."""
        grouped, p = tables.grouped, plan.parameters
        tables.count([*map(grouped.with_target, [(i,) for i in grouped.others]), *grouped.pairs])
        model, bought = tables.star(p.get("sigma_star", 0.0))
        edges = _spanning_tree(tables, model, p["edges"], epsilon=p.get("epsilon_select", 0.0))
        junction = Junction.of(grouped.sizes, [*model.potentials, *edges])
        for edge in edges:
            noisy = tables.measure(edge, p["sigma_edges"])
            bought.append(Measured(edge, noisy, p["sigma_edges"]))
            blended = shrink(noisy, model.marginal(edge), sigma=p["sigma_edges"])
            model = model.with_clique(junction, edge, blended)
        return tables.fitted(estimate(model, bought, iterations=p["steps"]) if edges else model)


def _spanning_tree(tables: Tables, model: Markov, edges: int, *, epsilon: float) -> list[Clique]:
    """Kruskal's algorithm with private choices, over the columns but the target. Pairs are scored once, since nothing
    that is bought on the way changes what is expected of them."""
    part = {i: i for i in tables.grouped.others}
    scores = tables.scores(tables.grouped.pairs if edges else (), model.marginal)
    chosen: list[Clique] = []
    for _ in range(edges):
        edge = tables.pick({(a, b): s for (a, b), s in scores.items() if part[a] != part[b]}, epsilon=epsilon)
        chosen.append(edge)
        part = {i: part[edge[0]] if p == part[edge[1]] else p for i, p in part.items()}
    return chosen
