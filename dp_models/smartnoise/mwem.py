"""`SmartNoiseMwem`: SmartNoise's MWEM with this project's noise, sizes and accounting.

MWEM (Hardt, Ligett, McSherry 2012) keeps a histogram of all cells, chooses again and again the marginal that it gets
most wrong, measures it and moves the histogram by multiplicative weights. A histogram of all columns of a real table
does not fit anywhere, so neighbouring columns share one as long as it has at most ``cells`` cells, and the blocks are
drawn independently. Blocks, rounds, noise and epsilons are fixed by the plan. Planning imports nothing of SmartNoise.
"""

from dataclasses import dataclass
from math import comb

from dp_models.base import Model, Noise, Plan, Rows
from dp_models.encoding.codes import Codec
from dp_models.graphical.schedule import Schedule, Stage
from dp_models.settings import COUNT, SHARE, check
from dp_models.smartnoise.coded import Coded
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition

WIDTH = 2
"""Columns of the widest marginal."""
MOST_NOISE = 100
"""The largest noise of a count, as a multiple of the training rows: weights grow with e to the error over twice the
rows, and more than e^709 is no number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartNoiseMwem:
    """``cells`` of the largest histogram, ``rounds`` a block at most (a marginal is measured once), ``share_select`` of
    the budget (as zero-concentrated rho) for the choices, and ``updates`` of the weights a round."""

    cells: int = 5_000
    rounds: int = 10
    share_select: float = 0.1
    updates: int = 20

    def __post_init__(self) -> None:
        check(self, cells=COUNT, rounds=COUNT, updates=COUNT, share_select=SHARE)

    @property
    def name(self) -> str:
        """``smartnoise-mwem``."""
        return "smartnoise-mwem"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """Blocks of columns, rounds, noise and epsilon. Raises FailedPrecondition for a column of too many codes, where
        no noise reaches the budget, and where it is so large that multiplicative weights overflow."""
        blocks = self._blocks(Codec(domain).sizes)
        rounds = [min(self.rounds, sum(comb(len(b), w) for w in range(1, WIDTH + 1))) for b in blocks]
        stages = (
            Stage("epsilon_select", self.share_select, sum(rounds)),
            Stage("sigma_rounds", 1 - self.share_select, sum(rounds)),
        )
        schedule = Schedule((), interleaved=stages)
        noise = schedule.calibrated(sizes, budget)
        if noise["sigma_rounds"] > MOST_NOISE * sizes.train_rows:
            raise FailedPrecondition(
                f"a count of {self.name} would have a noise of {noise['sigma_rounds']:,.0f} rows, and the public sizes"
                f" give {sizes.train_rows:,} training rows: ask for a larger epsilon"
            )
        parameters = {"blocks": blocks, "rounds": rounds, "updates": self.updates}
        return schedule.planned(self.name, domain, sizes, budget, noise | parameters)

    def _blocks(self, sizes: tuple[int, ...]) -> list[list[int]]:
        """Neighbouring columns, as many together as fit."""
        if max(sizes) > self.cells:
            raise FailedPrecondition(
                f"a declared column has {max(sizes):,} codes, more than the {self.cells:,} cells of a histogram of"
                f" {self.name}; declare fewer categories or bins"
            )
        blocks: list[list[int]] = []
        room = 0
        for column, size in enumerate(sizes):
            if size > room:
                blocks.append([])
                room = self.cells
            blocks[-1].append(column)
            room //= size
        return blocks

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> Model:
        """Run the rounds of the plan. Raises DataCorrupted for rows that ingest did not make."""
        from dp_models.smartnoise.inside.mwem import PlannedMwem

        coded = Coded.of(rows, domain, max_rows=plan.sizes.max_rows)
        return PlannedMwem(plan, noise).run(coded, Codec(domain))
