"""`Independent`: noisy one-way tables, columns drawn independently. The cheapest synthesizer and the yardstick.

Every modelled column is counted once with exact discrete Gaussian noise; the counts are projected to the public number
of rows. Loads no torch.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray, Noise, Plan
from dp_models.encoding.codes import Codec
from dp_models.encoding.table import check_rows
from dp_models.mechanisms.calibration import calibrate, round_up
from dp_models.mechanisms.events import compose
from dp_models.tables.consistency import to_simplex
from dp_models.tables.counting import count
from dp_models.tables.drawing import draw
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.events import DiscreteGaussian, DpEvent


@dataclass(frozen=True, slots=True)
class Independent:
    """One noisy table a column, all with the same noise."""

    @property
    def name(self) -> str:
        """``independent``."""
        return "independent"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """One sigma for all columns. Raises FailedPrecondition where no noise reaches the budget."""
        tables, k = len(domain.modelled), sizes.max_rows

        def event_at(scale: float) -> DpEvent:
            return compose([DiscreteGaussian(round_up(k * scale), k)] * tables)

        sigma = round_up(k * calibrate(event_at, budget))
        return Plan(
            engine=self.name,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=compose([DiscreteGaussian(sigma, k)] * tables),
            parameters={"sigma": sigma},
        )

    def fit(self, rows: pa.Table, domain: Domain, plan: Plan, *, noise: Noise) -> "IndependentModel":
        """Count every column with noise. Raises DataCorrupted for rows that ingest did not make."""
        check_rows(rows, domain, max_rows=plan.sizes.max_rows)
        codec = Codec(domain)
        sigma, k, total = plan.parameters["sigma"], plan.sizes.max_rows, plan.sizes.train_rows
        weights = []
        for codes, column in zip(codec.encode(rows), codec.columns, strict=True):
            noisy = noise.discrete_gaussian(count([codes], [column.size]), sigma=sigma, sensitivity=k)
            weights.append(column.settle(to_simplex(noisy, total)))
        return IndependentModel(codec, tuple(weights))


@dataclass(frozen=True)
class IndependentModel:
    """Per-column probabilities over codes."""

    codec: Codec
    probabilities: tuple[FloatArray, ...]

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, every column on its own."""
        codes = [draw(p, rows, generator=generator) for p in self.probabilities]
        return self.codec.decode(np.stack(codes), generator=generator)
