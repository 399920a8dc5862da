"""`Stage`: what a table engine buys, how often and for which share of the budget. Fixed before rows are touched."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dp_models.base import Plan
from dp_models.encoding.binning import Binning, depth_for
from dp_models.mechanisms.calibration import calibrate, round_up
from dp_models.mechanisms.events import compose
from dp_models.tables.grouping import TARGET_LEVELS, fine_enough, target_levels
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import MAX_BINS, Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import DiscreteGaussian, DpEvent, Exponential


@dataclass(frozen=True, slots=True)
class Stage:
    """``times`` tables or choices that get ``share`` of the budget (as zero-concentrated rho) together.

    ``parameter`` names their noise in the plan: a ``sigma_...`` in counts, or the ``epsilon_...`` of each choice.
    """

    parameter: str
    share: float
    times: int

    def event(self, value: float, max_rows: int) -> DpEvent:
        """One of them."""
        return Exponential(value) if self.parameter.startswith("epsilon") else DiscreteGaussian(value, max_rows)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Stages in the order in which they run; the stages of ``interleaved`` take turns. What a stage that a domain does
    not need would get is spread over the others."""

    stages: tuple[Stage, ...]
    interleaved: tuple[Stage, ...] = ()

    def noise(self, scale: float, max_rows: int) -> dict[str, float]:
        """The parameters when the whole schedule has rho = 1 / scale^2."""
        needed = [s for s in (*self.stages, *self.interleaved) if s.times]
        spread = sum(s.share for s in needed)
        out = {}
        for stage in needed:
            rho = stage.share / spread / scale**2 / stage.times
            choice = stage.parameter.startswith("epsilon")
            out[stage.parameter] = math.sqrt(8 * rho) if choice else round_up(max_rows / math.sqrt(2 * rho))
        return out

    def event(self, noise: dict[str, float], max_rows: int) -> DpEvent:
        """Everything that a fit runs, in order."""
        return compose([*_events(self.stages, noise, max_rows), *_turns(self.interleaved, noise, max_rows)])

    def calibrated(self, sizes: PublicSizes, budget: PrivacyBudget) -> dict[str, float]:
        """The parameters that spend the budget. Raises FailedPrecondition where no noise reaches it."""
        k = sizes.max_rows
        return self.noise(calibrate(lambda s: self.event(self.noise(s, k), k), budget), k)

    def planned(
        self, engine: str, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget, parameters: dict[str, Any]
    ) -> Plan:
        """The plan of an engine with these parameters, which include the calibrated noise."""
        return Plan(
            engine=engine,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=self.event(parameters, sizes.max_rows),
            parameters=parameters,
        )


def _events(stages: Iterable[Stage], noise: dict[str, float], k: int) -> list[DpEvent]:
    return [s.event(noise[s.parameter], k) for s in stages for _ in range(s.times)]


def _turns(stages: Sequence[Stage], noise: dict[str, float], k: int) -> list[DpEvent]:
    rounds = max((s.times for s in stages), default=0)
    return [s.event(noise[s.parameter], k) for _ in range(rounds) for s in stages]


def deepened(
    schedule: Callable[[int], Schedule], domain: Domain, sizes: PublicSizes, budget: PrivacyBudget
) -> tuple[Binning, Schedule, dict[str, float]]:
    """The schedule and its noise with as many nested one-way tables as pay, and the binning that buys them.

    ``schedule`` takes their number."""
    found = schedule(Binning(domain, 2).tables)
    noise = found.calibrated(sizes, budget)
    depth = depth_for(sizes.train_rows, noise["sigma_columns"])
    binning = Binning(domain, depth)
    if depth != 2:
        found = schedule(binning.tables)
        noise = found.calibrated(sizes, budget)
    return binning, found, noise


def levels(
    binning: Binning,
    *,
    rows: int,
    noise: dict[str, float],
    clear: float | None,
    most: int,
    split_by_target: bool,
    engine: str,
) -> dict[str, int]:
    """How many groups of a column and of the target the tables tell apart.

    ``noise`` holds the star's sigma; ``clear`` is the count that an even cell of a pair's table should have (None where
    no pair is measured); ``most`` bounds the cells of a junction tree that spans all columns. ``split_by_target``:
    pairs are measured by target.
    Raises FailedPrecondition where even two groups a column are too many.
    """
    domain, sizes = binning.domain, binning.codec.sizes
    others, left = len(sizes) - (domain.target is not None), most - binning.cells
    widest = max((c.size for c in binning.codec.columns if c.column.name != domain.target), default=2)

    def beside(target: int) -> int:
        fine = widest
        if clear is not None:
            fine = min(fine, int(math.sqrt(rows / (clear * (target if split_by_target else 1)))))
        fine = max(min(fine, MAX_BINS), 2)
        while fine > 2 and _spanning(others, fine, target) > left:
            fine -= 1
        return fine

    target = 1
    if domain.target is not None:
        column = next(c for c in binning.codec.columns if c.column.name == domain.target)
        # Null and other share a group.
        declared = column.size if column.ordered else column.values + 1
        target = min(declared, target_levels(column, rows / noise.get("sigma_star", rows)))
    while target > TARGET_LEVELS and not fine_enough(beside(target), widest):
        target -= 1
    fine = beside(target)
    if _spanning(others, fine, target) > left:
        raise FailedPrecondition(
            f"the declared columns have {binning.cells:,} codes, too many for the {most:,} cells of {engine};"
            " declare fewer categories or columns"
        )
    return {"depth": binning.depth, "levels": fine, "target_levels": target}


def _spanning(others: int, fine: int, target: int) -> int:
    return fine * target * (others + max(others - 1, 0) * fine)
