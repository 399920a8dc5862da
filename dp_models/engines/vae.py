"""`Vae`: a residual variational autoencoder: a noisy tree first, then private gradients for what the tree missed.

1. The table stage is `Tree` with a part of the budget. It is the decoder's starting point: every column's conditional
   distribution given its parent and the target.
2. An autoencoder pre-trains on rows of the tree, which costs nothing.
3. The rest of the budget trains one linear layer, from the decoder's hidden units to residual logits, zero at first:
   few steps of DP-SGD on large Poisson batches of units, gradients normalised, several latent draws a row averaged
   before the clip (Kingma, Welling 2014; Abadi et al. 2016; Bu et al. 2023).
4. The tables are shifted until the tree's conditionals hold again on average, which reads no row.

The learning rate falls as noise grows, by public facts, so that noise alone moves a logit by no more than
``tolerance``. A mean of normalised gradients is no longer than 1; where the noise of all steps together would be longer
than ``most_noise``, the plan takes no gradient and the whole budget buys a tree, or a star where pairs would be faint.

This file plans without torch; the networks are in `vae_network`, the model in `vae_model`.
"""

import math
from dataclasses import dataclass, replace

from dp_models.base import Noise, Plan, Rows
from dp_models.encoding.codes import Codec
from dp_models.engines.tree import Tree
from dp_models.engines.two_stages import first_stage, two_stages
from dp_models.engines.vae_model import VaeModel
from dp_models.settings import COUNT, DECAY, NONE_OR_MORE, POSITIVE, SHARE, check
from dp_models.tables.network import TreeModel
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import MAX_BINS, Domain

_MAX_LOGITS = 16_000_000
"""Logits of one batch: rows of its units times latent draws times groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vae:
    """Hyper-parameters: how the budget is shared, the sizes of the network, the length of both trainings.

    ``share_tables`` is the part of the budget (as rho) of the table stage; ``batch_units`` the largest expected batch;
    ``draws`` how many latent draws a row's loss is the mean of; ``free_steps`` the steps of pre-training;
    ``learning_rate`` the highest, and ``tolerance`` how far (in logits) noise alone may move the residual;
    ``most_noise`` is the longest noise, in lengths of the longest gradient, at which gradients are taken at all.
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
    most_noise: float = 0.5

    def __post_init__(self) -> None:
        check(self, share_tables=SHARE, momentum=DECAY, averaging=DECAY, learning_rate=POSITIVE)
        check(self, tolerance=POSITIVE, most_noise=POSITIVE)
        check(self, hidden=COUNT, latent=COUNT, draws=COUNT, steps=COUNT, batch_units=COUNT, free_steps=NONE_OR_MORE)

    @property
    def name(self) -> str:
        """``vae``."""
        return "vae"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """The tree's plan, then rate, noise and steps of the gradients where noise leaves something of them. Raises
        FailedPrecondition as `Tree` does, and for more than 16 rows a unit."""
        groups = sum(min(size, MAX_BINS) for size in Codec(domain).sizes)
        batch = min(self.batch_units, max(_MAX_LOGITS // (sizes.max_rows * self.draws * groups), 1))
        coordinates = (self.hidden + 1) * groups
        plan = two_stages(
            self.name,
            domain,
            sizes,
            budget,
            share_tables=self.share_tables,
            batch_units=batch,
            steps=self.steps,
            drowns=lambda noise: noise * math.sqrt(coordinates / self.steps) > self.most_noise,
        )
        if "steps" not in plan.parameters:
            return plan
        noise = plan.parameters["noise_multiplier"] / plan.parameters["expected_batch"]
        network = {name: getattr(self, name) for name in ("hidden", "latent", "draws", "free_steps")}
        descent = {
            "learning_rate": self._learning_rate(noise),
            "momentum": self.momentum,
            "averaging": self.averaging,
        }
        return replace(plan, parameters={**plan.parameters, **network, **descent})

    def _learning_rate(self, noise: float) -> float:
        """The highest rate at which ``steps`` steps with ``noise`` on every coordinate of a mean gradient move a logit,
        a sum of ``hidden`` weights, by about ``tolerance``."""
        walked = noise * math.sqrt(self.steps * self.hidden) / (1 - self.momentum)
        return float(f"{min(self.learning_rate, self.tolerance / walked):.4g}")

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> VaeModel | TreeModel:
        """Buy the tree, then train; a plan without gradients gives the tree itself. Raises DataCorrupted for rows that
        ingest did not make."""
        if "steps" not in plan.parameters:
            return Tree().fit(rows, domain, plan, noise=noise)
        from dp_models.engines.vae_network import fit_residual

        chain, units = first_stage(rows, domain, plan, noise=noise)
        return fit_residual(units, chain, plan.parameters, noise=noise)
