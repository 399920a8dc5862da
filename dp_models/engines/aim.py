"""`Aim`: adaptive and iterative measurement of pairs, on a schedule fixed in advance.

AIM (McKenna, Mullins, Sheldon, Miklau 2022) asks again and again which table its graphical model gets most wrong, buys
it and fits again. Here every parameter of that loop is public before the rows are touched: the number of rounds, the
noise of each and the epsilon of each choice. Only *what* is chosen adapts, so the plan is priced as one composition of
privacy loss distributions; rounds or scales that adapted would need a filter. The workload is target-aware: with a
target t a candidate is (a, b, t) for two other columns, and the loop starts from the star of all (a, t).

1. noisy one-way tables, numbers on nested partitions (`Binning`); codes that the noise would drown are merged by them;
2. where a target is declared, one noisy table (column, t) for each other column;
3. ``rounds`` times: score every candidate for which the junction tree has room by the L1 distance, in counts, of its
   true table from the model's, choose one by the exponential mechanism, measure it, fit to everything bought.

Where noise would drown the rounds' tables, by the public rule of `auto`, the plan is that of `Star` with the whole
budget.

The model is made of noisy tables and the public number of rows, so scores have sensitivity ``max_rows``. Loads no
torch and no jax.
"""

from dataclasses import dataclass, replace

from dp_models.base import FloatArray, IntArray, Noise, Plan, Rows
from dp_models.encoding.binning import Binning
from dp_models.engines.star import FAINT, Star
from dp_models.graphical.estimation import Markov, Measured, estimate
from dp_models.graphical.junction import Clique
from dp_models.graphical.model import GraphModel
from dp_models.graphical.schedule import Schedule, Stage, deepened, levels
from dp_models.graphical.star import Tables
from dp_models.settings import COUNT, POSITIVE, Range, check, check_shares
from dp_models.tables.consistency import shrink, shrink_twice
from dp_models.tables.network import TreeModel
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition

MAX_CELLS = 100_000
"""Cells of the junction tree after the last round; a share of them after each earlier one."""
MAX_COLUMNS = 60
_STEPS = 10
"""Descent steps after every round but the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Shares of the budget (as zero-concentrated rho), how many rounds, and how fine the tables may be.

    ``share_columns``, ``share_star``, ``share_select`` are the parts of one-way tables, star and choices; the rounds'
    tables get the rest. ``rounds_per_edge`` is the number of rounds, in edges of a tree over the columns but the
    target. ``contrast`` is the expected count of an even cell, in units of its noise, below which tables are made
    coarser. ``faint`` is the number of training rows, in units of the noise of a round's table, below which a domain
    with a target gets no rounds. ``steps`` is how long the last fit descends at most; no noise depends on it.
    """

    share_columns: float = 0.15
    share_star: float = 0.25
    share_select: float = 0.10
    rounds_per_edge: float = 1.5
    contrast: float = 0.7
    faint: float = FAINT
    steps: int = 150

    def __post_init__(self) -> None:
        check_shares(self, "share_columns", "share_star", "share_select")
        check(self, contrast=POSITIVE, faint=Range(below=1e9), steps=COUNT, rounds_per_edge=Range(1e-9, below=1_000))

    @property
    def name(self) -> str:
        """``aim``."""
        return "aim"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """Rounds, noise, epsilons and table sizes. Raises FailedPrecondition for domains of more than 60 columns or too
        many codes, and where no noise reaches the budget."""
        if (width := Binning(domain, 2).width) > MAX_COLUMNS:
            raise FailedPrecondition(
                f"aim scores every pair of columns in every round and takes at most {MAX_COLUMNS} columns, not"
                f" {width}; use mst or tree, or declare fewer columns"
            )
        rounds = self.rounds(domain)
        binning, schedule, noise = deepened(lambda tables: self._schedule(domain, tables), domain, sizes, budget)
        if rounds and domain.target is not None and sizes.train_rows / noise["sigma_rounds"] < self.faint:
            star = Star().plan(domain, sizes, budget)
            because = f"{star.because}; noise would drown its rounds, so a star takes the whole budget"
            return replace(star, engine=self.name, because=because)
        fine = levels(
            binning,
            rows=sizes.train_rows,
            noise=noise,
            clear=self.contrast * noise["sigma_rounds"] if rounds else None,
            most=MAX_CELLS,
            split_by_target=True,
            engine=self.name,
        )
        return schedule.planned(
            self.name, domain, sizes, budget, {**noise, **fine, "rounds": rounds, "steps": self.steps}
        )

    def rounds(self, domain: Domain) -> int:
        """How many tables beyond the star are chosen and bought where noise leaves something of them."""
        edges = Binning(domain, 2).width - (domain.target is not None) - 1
        return max(1, round(self.rounds_per_edge * edges)) if edges > 0 else 0

    def _schedule(self, domain: Domain, tables: int) -> Schedule:
        """With so many one-way tables."""
        rounds = self.rounds(domain)
        last = 1 - self.share_columns - self.share_star - self.share_select
        first = (
            Stage("sigma_columns", self.share_columns, tables),
            Stage("sigma_star", self.share_star, Binning(domain, 2).width - 1 if domain.target is not None else 0),
        )
        return Schedule(
            first, (Stage("epsilon_select", self.share_select, rounds), Stage("sigma_rounds", last, rounds))
        )

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> GraphModel | TreeModel:
        """Run the rounds of the plan, or buy its star. Raises DataCorrupted for rows that ingest did not make."""
        if "rounds" not in plan.parameters:
            return Star().fit(rows, domain, plan, noise=noise)
        return self.run(Tables(rows, domain, plan, noise), plan)

    def run(self, tables: Tables, plan: Plan) -> GraphModel:
        """The steps after the one-way tables."""
        grouped, p = tables.grouped, plan.parameters
        candidates = {grouped.with_target(pair): pair for pair in grouped.pairs}
        tables.count([*map(grouped.with_target, [(i,) for i in grouped.others]), *candidates])
        model, bought = tables.star(p.get("sigma_star", 0.0))
        for done in range(1, p["rounds"] + 1):
            room = MAX_CELLS * done / p["rounds"]
            fitting = _fitting(model, candidates, room)
            chosen = tables.choose(fitting, model.marginal, epsilon=p["epsilon_select"])
            sigma = p["sigma_rounds"]
            blended = _blended(tables.measure(chosen, sigma), model, chosen, sigma=sigma, target=grouped.target)
            bought.append(Measured(chosen, blended, sigma))
            first, second = candidates[chosen]
            junction = model.junction.joined_with(first, second, [*model.potentials, chosen])
            model = model.with_clique(junction, chosen, blended)
            model = estimate(model, bought, iterations=_STEPS if done < p["rounds"] else p["steps"])
        return tables.fitted(model)


def _blended(noisy: IntArray, model: Markov, clique: Clique, *, sigma: float, target: int | None) -> FloatArray:
    """What is believed of a noisy table beside the model's: the relation of the two columns first, then how it differs
    by target."""
    expected = model.marginal(clique)
    if target is None:
        return shrink(noisy, expected, sigma=sigma)
    return shrink_twice(noisy, expected, sigma=sigma, axis=clique.index(target))


def _fitting(model: Markov, candidates: dict[Clique, Clique], room: float) -> list[Clique]:
    """The candidates that keep the junction tree within ``room`` cells; at least those that need the least."""
    growth = {clique: model.junction.growth(*pair) for clique, pair in candidates.items()}
    allowed = max(room - model.junction.cells, min(growth.values()))
    return [clique for clique in candidates if growth[clique] <= allowed]
