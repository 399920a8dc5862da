"""`Vae`: a residual variational autoencoder: a noisy tree first, then private gradients for what the tree missed.

1. The table stage is `Tree` with a part of the budget. It is the decoder's starting point: every column's conditional
   distribution given its parent and the target.
2. An autoencoder pre-trains on rows of the tree, which costs nothing.
3. The rest of the budget trains one linear layer, from the decoder's hidden units to residual logits, zero at first:
   few steps of DP-SGD on large Poisson batches of units, gradients normalised, several latent draws a row averaged
   before the clip (Kingma, Welling 2014; Abadi et al. 2016; Bu et al. 2023).
4. The tables are shifted until the tree's conditionals hold again on average, which reads no row.

The learning rate falls as noise grows, by public facts, so that noise alone moves a logit by no more than
``tolerance``: at a small budget the residual stays near zero and the model is its tree.

This file plans without torch; the networks are in `vae_network`, the model in `vae_model`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from dp_models.base import IntArray, Noise, Plan, Rows
from dp_models.encoding.codes import Codec
from dp_models.engines.tree import Tree
from dp_models.engines.vae_model import Chain, VaeModel
from dp_models.mechanisms.calibration import calibrate, round_up
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import MAX_BINS, UNIT_COLUMN, Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import Composed, DpEvent, PoissonGaussian

MAX_ROWS_PER_UNIT = 16
_MAX_LOGITS = 16_000_000
"""Logits of one batch: rows of its units times latent draws times groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vae:
    """Hyper-parameters: how the budget is shared, the sizes of the network, the length of both trainings.

    ``share_tables`` is the part of the budget (as rho) of the table stage; ``batch_units`` the largest expected batch;
    ``draws`` how many latent draws a row's loss is the mean of; ``free_steps`` the steps of pre-training;
    ``learning_rate`` the highest, and ``tolerance`` how far (in logits) noise alone may move the residual.
    """

    share_tables: float = 0.75
    hidden: int = 32
    latent: int = 8
    draws: int = 2
    free_steps: int = 400
    steps: int = 60
    batch_units: int = 12_288
    learning_rate: float = 0.5
    momentum: float = 0.9
    averaging: float = 0.9
    tolerance: float = 0.1

    @property
    def name(self) -> str:
        """``vae``."""
        return "vae"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """The tree's plan, then rate, noise and steps of the gradients. Raises FailedPrecondition as `Tree` does, and
        for more than 16 rows a unit."""
        k = sizes.max_rows
        if k > MAX_ROWS_PER_UNIT:
            raise FailedPrecondition(f"vae takes at most {MAX_ROWS_PER_UNIT} rows a unit; declare a smaller max_rows")
        part = PrivacyBudget(math.ceil(budget.epsilon_units * math.sqrt(self.share_tables)), budget.delta_units)
        tables = Tree().plan(domain, sizes, part)
        units = max(sizes.train_units, 1)
        groups = sum(min(size, MAX_BINS) for size in Codec(domain).sizes)
        batch = min(self.batch_units, max(_MAX_LOGITS // (k * self.draws * groups), 1))
        rate = round(min(1.0, batch / units), 6) or 1e-6

        def event_at(scale: float) -> DpEvent:
            return Composed((*_parts(tables.event), PoissonGaussian(rate, round_up(scale), self.steps)))

        scale = calibrate(event_at, budget)
        noise_multiplier = round_up(scale)
        training = {
            "sampling_rate": rate,
            "noise_multiplier": noise_multiplier,
            "steps": self.steps,
            "expected_batch": rate * units,
            "clip_norm": 1.0,
            "learning_rate": self._learning_rate(noise_multiplier / (rate * units)),
            "momentum": self.momentum,
            "averaging": self.averaging,
        }
        network = {name: getattr(self, name) for name in ("hidden", "latent", "draws", "free_steps")}
        return replace(
            tables,
            engine=self.name,
            budget=budget,
            event=event_at(scale),
            parameters={"tables": dict(tables.parameters), **network, **training},
        )

    def _learning_rate(self, noise: float) -> float:
        """The highest rate at which ``steps`` steps with ``noise`` on every coordinate of a mean gradient move a logit,
        a sum of ``hidden`` weights, by about ``tolerance``."""
        walked = noise * math.sqrt(self.steps * self.hidden) / (1 - self.momentum)
        return float(f"{min(self.learning_rate, self.tolerance / walked):.4g}")

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> VaeModel:
        """Buy the tree, then train. Raises DataCorrupted for rows that ingest did not make."""
        from dp_models.engines.vae_network import fit_residual

        tree = Tree().fit(rows, domain, replace(plan, parameters=plan.parameters["tables"]), noise=noise)
        chain = Chain.of(tree)
        groups = [chain.groups(tree.columns.codec.encode(batch)) for batch in rows.to_batches()]
        together = np.concatenate([np.zeros((len(chain.sizes), 0), dtype=np.int64), *groups], axis=1)
        units = by_unit(together, rows.column(UNIT_COLUMN).to_numpy(), plan.sizes.max_rows)
        return fit_residual(units, chain, plan.parameters, noise=noise)


def _parts(event: DpEvent) -> Iterable[DpEvent]:
    return event.events if isinstance(event, Composed) else (event,)


def by_unit(codes: IntArray, unit: IntArray, max_rows: int) -> IntArray:
    """Codes (columns, n) as (units, max_rows, columns), each unit's rows together; -1 where a unit has fewer rows."""
    _, number = np.unique(unit, return_inverse=True)
    order = np.argsort(number, kind="stable")
    sizes = np.bincount(number) if len(number) else np.zeros(0, dtype=np.int64)
    rank = np.arange(len(number)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    together = np.full((len(sizes), max_rows, len(codes)), -1, dtype=np.int64)
    together[number[order], rank] = codes.T[order]
    return together
