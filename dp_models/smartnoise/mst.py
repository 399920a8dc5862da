"""`SmartNoiseMst`: SmartNoise's MST with this project's noise, sizes and accounting.

MST (McKenna, Miklau, Sheldon 2021) measures every column, merges codes that noise would drown, chooses the edges of a
spanning tree by the exponential mechanism, measures these pairs and fits a graphical model to all of it. Each of the
three steps gets a third of the budget (as zero-concentrated rho), as in SmartNoise. Every parameter is fixed by the
plan. Planning imports nothing of SmartNoise.
"""

from dataclasses import dataclass
from math import prod

from dp_models.base import Model, Noise, Plan, Rows
from dp_models.encoding.codes import Codec
from dp_models.graphical.schedule import Schedule, Stage
from dp_models.settings import COUNT, check
from dp_models.smartnoise.coded import Coded
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition

MAX_PAIR_CELLS = 1_000_000
"""Cells of the widest pair of columns: all pairs are scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartNoiseMst:
    """How long the model is fitted, in steps of mirror descent; no noise depends on it.

    ``steps_select`` is for the one-way tables before the edges are chosen, ``steps`` for the last fit.
    """

    steps_select: int = 1_000
    steps: int = 5_000

    def __post_init__(self) -> None:
        check(self, steps_select=COUNT, steps=COUNT)

    @property
    def name(self) -> str:
        """``smartnoise-mst``."""
        return "smartnoise-mst"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """Two noise scales and the epsilon of each choice. Raises FailedPrecondition for columns of too many codes, and
        where no noise reaches the budget."""
        codes = Codec(domain).sizes
        if prod(sorted(codes)[-2:]) > MAX_PAIR_CELLS:
            raise FailedPrecondition(
                f"the widest pair of columns has {prod(sorted(codes)[-2:]):,} cells, more than the {MAX_PAIR_CELLS:,}"
                f" of {self.name}; declare fewer categories or bins"
            )
        edges = len(codes) - 1
        stages = (
            Stage("sigma_columns", 1 / 3, len(codes)),
            Stage("epsilon_select", 1 / 3, edges),
            Stage("sigma_edges", 1 / 3, edges),
        )
        schedule = Schedule(stages)
        parameters = schedule.calibrated(sizes, budget) | {"steps_select": self.steps_select, "steps": self.steps}
        return schedule.planned(self.name, domain, sizes, budget, parameters)

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> Model:
        """Run the plan. Raises DataCorrupted for rows that ingest did not make."""
        from dp_models.smartnoise.inside.mst import PlannedMst

        coded = Coded.of(rows, domain, max_rows=plan.sizes.max_rows)
        return PlannedMst(plan, noise).run(coded, Codec(domain))
