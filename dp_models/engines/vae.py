"""`Vae`: a variational autoencoder trained by DP-SGD, its output tied to noisy one-way tables.

Two parts, both fixed in the plan: one-way tables with exact discrete Gaussian noise set the decoder's biases, so that
gradients need to find relations only; then a fixed number of DP-SGD steps on Poisson samples of units (Kingma, Welling
2014; Abadi et al. 2016). Rows go in as one-hot codes, each column comes out as a softmax over its codes. A unit's rows
are one sequence: their losses are summed before its gradient is clipped.

This file plans without torch; the network is in `vae_network`.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dp_models.base import IntArray, Noise, Plan
from dp_models.encoding.codes import Codec
from dp_models.encoding.table import check_rows
from dp_models.mechanisms.calibration import calibrate, round_up
from dp_models.mechanisms.events import compose
from dp_models.tables.consistency import to_simplex
from dp_models.tables.counting import count
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import UNIT_COLUMN, Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import DiscreteGaussian, DpEvent, PoissonGaussian

if TYPE_CHECKING:
    from dp_models.engines.vae_network import VaeModel

MAX_CODES = 4_096
MAX_ROWS_PER_UNIT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Vae:
    """Hyper-parameters: the size of the network and the length of its training.

    ``batch_units`` is the expected batch (public units times the rate); ``clip_norm`` bounds a unit's gradient;
    ``share_columns`` is the part of the budget (as rho) that the one-way tables take.
    """

    hidden: int = 32
    latent: int = 4
    steps: int = 300
    batch_units: int = 512
    clip_norm: float = 1.0
    learning_rate: float = 0.01
    share_columns: float = 0.1

    @property
    def name(self) -> str:
        """``vae``."""
        return "vae"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """Noise, rate and steps. Raises FailedPrecondition for more than 4,096 codes or 16 rows a unit, and where no
        noise reaches the budget."""
        codes, k = sum(Codec(domain).sizes), sizes.max_rows
        if codes > MAX_CODES:
            raise FailedPrecondition(f"vae takes at most {MAX_CODES:,} codes, the declared columns have {codes:,}")
        if k > MAX_ROWS_PER_UNIT:
            raise FailedPrecondition(f"vae takes at most {MAX_ROWS_PER_UNIT} rows a unit; declare a smaller max_rows")
        units = max(sizes.train_units, 1)
        rate = round(min(1.0, self.batch_units / units), 6)
        tables = len(domain.modelled)
        part = PrivacyBudget(math.ceil(budget.epsilon_units * math.sqrt(self.share_columns)), budget.delta_units)
        sigma = round_up(k * calibrate(lambda s: compose([DiscreteGaussian(round_up(k * s), k)] * tables), part))

        def event_at(scale: float) -> DpEvent:
            training = PoissonGaussian(rate, round_up(scale), self.steps)
            return compose([*([DiscreteGaussian(sigma, k)] * tables), training])

        scale = calibrate(event_at, budget)
        return Plan(
            engine=self.name,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=event_at(scale),
            parameters={
                "sigma_columns": sigma,
                "sampling_rate": rate,
                "noise_multiplier": round_up(scale),
                "steps": self.steps,
                "expected_batch": rate * units,
                "clip_norm": self.clip_norm,
                "learning_rate": self.learning_rate,
                "hidden": self.hidden,
                "latent": self.latent,
            },
        )

    def fit(self, rows: pa.Table, domain: Domain, plan: Plan, *, noise: Noise) -> "VaeModel":
        """Count every column with noise, then train. Raises DataCorrupted for rows that ingest did not make."""
        from dp_models.engines.vae_network import fit_network

        k, total = plan.sizes.max_rows, plan.sizes.train_rows
        check_rows(rows, domain, max_rows=k)
        codec = Codec(domain)
        codes = codec.encode(rows)
        columns = []
        for column, size in zip(codes, codec.sizes, strict=True):
            noisy = noise.discrete_gaussian(
                count([column], [size]), sigma=plan.parameters["sigma_columns"], sensitivity=k
            )
            columns.append(to_simplex(noisy, total) / total)
        units = by_unit(codes, rows.column(UNIT_COLUMN).to_numpy(), k)
        return fit_network(units, codec, columns, plan.parameters, noise=noise)


def by_unit(codes: IntArray, unit: IntArray, max_rows: int) -> IntArray:
    """Codes (columns, n) as (units, max_rows, columns), each unit's rows together; -1 where a unit has fewer rows."""
    _, number = np.unique(unit, return_inverse=True)
    order = np.argsort(number, kind="stable")
    sizes = np.bincount(number) if len(number) else np.zeros(0, dtype=np.int64)
    rank = np.arange(len(number)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    together = np.full((len(sizes), max_rows, len(codes)), -1, dtype=np.int64)
    together[number[order], rank] = codes.T[order]
    return together
