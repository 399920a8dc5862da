"""`Independent`: noisy one-way tables, columns drawn independently. The cheapest synthesizer and the yardstick.

Every modelled column is counted with exact discrete Gaussian noise, numeric ones on nested partitions (`Binning`); the
counts are projected to the public number of rows. One pass over the rows, a batch at a time. Loads no torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, IntArray, Noise, Plan, Rows
from dp_models.encoding.binning import Binning, Columns, depth_for
from dp_models.mechanisms.calibration import calibrate, round_up
from dp_models.mechanisms.events import compose
from dp_models.stored.bought import bought_parts, read_bought
from dp_models.stored.format import Parts, columns_parts
from dp_models.tables.bought import Bought
from dp_models.tables.drawing import draw
from dp_models.tables.evidence import weighed
from dp_models.tables.grouping import group
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import MAX_BINS, Domain
from synthgate.events import DiscreteGaussian, DpEvent

_UNEVEN = 4.0
"""A group of codes weighs at least this part (a quarter) of an even one, where that can be helped."""


@dataclass(frozen=True, slots=True)
class Independent:
    """One noise scale for all tables."""

    @property
    def name(self) -> str:
        """``independent``."""
        return "independent"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """One sigma for all tables. Raises FailedPrecondition where no noise reaches the budget."""
        k = sizes.max_rows

        def event_at(sigma: float, tables: int) -> DpEvent:
            return compose([DiscreteGaussian(sigma, k)] * tables)

        def sigma_at(depth: int) -> float:
            tables = Binning(domain, depth).tables
            return round_up(k * calibrate(lambda s: event_at(round_up(k * s), tables), budget))

        depth = depth_for(sizes.train_rows, sigma_at(2))
        sigma = sigma_at(depth)
        return Plan(
            engine=self.name,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=event_at(sigma, Binning(domain, depth).tables),
            parameters={"sigma": sigma, "depth": depth},
        )

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> "IndependentModel":
        """Count every column with noise. Raises DataCorrupted for rows that ingest did not make."""
        k = plan.sizes.max_rows
        binning = Binning(domain, plan.parameters["depth"])
        total = float(plan.sizes.train_rows)
        columns = binning.bought(rows, sigma=plan.parameters["sigma"], noise=noise, sensitivity=k, total=total)
        settled = [c.settle(w) for c, w in zip(columns.codec.columns, columns.weights, strict=True)]
        least = total / MAX_BINS / _UNEVEN
        pairs = zip(columns.codec.columns, columns.weights, strict=True)
        groups = tuple(group(c, w, levels=MAX_BINS, least=least) for c, w in pairs)
        bought = Bought(
            one_way=columns.one_way, sigma=plan.parameters["sigma"], groups=groups, tables=(), rows=total, max_rows=k
        )
        return IndependentModel(columns, tuple(settled), bought)


@dataclass(frozen=True)
class IndependentModel:
    """Per-column probabilities over codes."""

    columns: Columns
    probabilities: tuple[FloatArray, ...]
    bought: Bought | None = None

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, every column on its own."""
        return self.columns.decode(self.codes(rows, generator=generator), generator=generator)

    def codes(self, rows: int, *, generator: np.random.Generator) -> list[IntArray]:
        """Fine codes (rows,) of every column."""
        return [draw(p, rows, generator=generator) for p in self.probabilities]

    def given(self, likelihoods: Sequence[FloatArray]) -> tuple[Self, float]:
        """The model given evidence, and the evidence's probability; a likelihood (codes,) for each column."""
        pairs = list(zip(self.probabilities, likelihoods, strict=True))
        probability = math.prod(float(p @ likelihood / p.sum()) for p, likelihood in pairs)
        return replace(self, probabilities=tuple(weighed(p, likelihood) for p, likelihood in pairs)), probability

    def parts(self) -> Parts:
        """The model taken apart, to be stored."""
        structure, arrays = columns_parts(self.columns)
        kept, counts = bought_parts(self.bought)
        structure, arrays = structure | kept, arrays | counts
        arrays |= {f"probabilities.{i}": p for i, p in enumerate(self.probabilities)}
        return Parts(kind="independent", domain=self.columns.codec.domain, structure=structure, arrays=arrays)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Put together what `parts` took apart. Raises DataCorrupted."""
        columns = parts.columns()
        sizes = columns.codec.sizes
        probabilities = tuple(parts.weights(f"probabilities.{i}", size) for i, size in enumerate(sizes))
        return cls(columns, probabilities, read_bought(parts, columns))
