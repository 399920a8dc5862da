"""`Gan`: a noisy tree first, then a generator that a private discriminator teaches what the tree missed.

1. The table stage is `Tree` with a part of the budget. It is where the generator starts: every column's conditional
   distribution given its parent and the target.
2. An autoencoder pre-trains on rows of the tree, which costs nothing, and gives every group a vector.
3. The rest of the budget trains a discriminator by DP-SGD, hinge loss, few steps on large Poisson batches, gradients
   normalised (Lim, Ye 2017; Xie et al. 2018; Bu et al. 2023). It alone sees rows. After several of its steps (Bie,
   Kamath, Zhang 2023) the generator takes one, along the scores of rows that it drew (Yu et al. 2017).
4. Whenever the generator moved, the tables are shifted until the tree's conditionals hold on average: it may add
   relations that the tree lacks and loses none that the tree has.

The generator's rate falls as noise grows, by public facts, so that noise in the scores moves it less and less. Where it
would fall below ``least_gain`` of itself, the generator would stay the tree that it starts as; then the plan takes no
gradient, and the whole budget buys a tree, or a star where pairs would be faint.

This file plans without torch; the networks are in `gan_network`, the model in `gan_model`.
"""

import math
from dataclasses import dataclass, replace

from dp_models.base import Noise, Plan, Rows
from dp_models.engines.gan_model import GanModel
from dp_models.engines.tree import Tree
from dp_models.engines.two_stages import MAX_ROWS_PER_UNIT, first_stage, two_stages
from dp_models.settings import COUNT, DECAY, NONE_OR_MORE, POSITIVE, SHARE, check
from dp_models.tables.network import TreeModel
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain

_MAX_PRODUCTS = 16_000_000
"""Numbers that the discriminator weighs in one batch: rows of its units times products."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gan:
    """Hyper-parameters: how the budget is shared, the sizes of the networks, the length of both trainings.

    ``share_tables`` is the part of the budget (as rho) of the table stage; ``hidden``, ``latent`` and ``free_steps``
    belong to the autoencoder; ``batch_units`` is the largest expected batch; ``steps_each`` how many of the
    discriminator's ``steps`` come before one of the generator's, on ``generated`` rows (16 at least, as a unit may have
    so many); ``learning_rate`` and ``decay`` (of weights, so that it forgets what the generator has mended) are the
    discriminator's. ``generator_rate`` is the generator's, halved where noise alone gives a score the deviation
    ``signal``; ``least_gain`` is the least part of it at which gradients are taken at all.
    """

    share_tables: float = 0.75
    hidden: int = 32
    latent: int = 8
    free_steps: int = 400
    steps: int = 60
    steps_each: int = 3
    generated: int = 8_192
    batch_units: int = 12_288
    learning_rate: float = 1.0
    decay: float = 0.2
    generator_rate: float = 100.0
    signal: float = 0.0015
    least_gain: float = 0.01

    def __post_init__(self) -> None:
        check(self, share_tables=SHARE, least_gain=DECAY, free_steps=NONE_OR_MORE)
        check(self, **dict.fromkeys(("latent", "steps", "steps_each", "batch_units"), COUNT))
        check(self, hidden=replace(COUNT, least=2), generated=replace(COUNT, least=MAX_ROWS_PER_UNIT))
        check(self, **dict.fromkeys(("learning_rate", "decay", "generator_rate", "signal"), POSITIVE))

    @property
    def name(self) -> str:
        """``gan``."""
        return "gan"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """The tree's plan, then rate, noise and steps of the discriminator where noise leaves something of them. Raises
        FailedPrecondition as `Tree` does, and for more than 16 rows a unit."""
        products = self.hidden * (self.hidden + 1) // 2
        plan = two_stages(
            self.name,
            domain,
            sizes,
            budget,
            share_tables=self.share_tables,
            batch_units=min(self.batch_units, max(_MAX_PRODUCTS // (sizes.max_rows * products), 1)),
            steps=self.steps,
            drowns=lambda noise: self._gain(noise) < self.least_gain,
        )
        if "steps" not in plan.parameters:
            return plan
        noise = plan.parameters["noise_multiplier"] / plan.parameters["expected_batch"]
        network = {name: getattr(self, name) for name in ("hidden", "latent", "free_steps", "generated")}
        game = {
            "steps_each": self.steps_each,
            "learning_rate": self.learning_rate,
            "decay": self.decay,
            "generator_rate": float(f"{self.generator_rate * self._gain(noise):.4g}"),
            "generated_rows": max(1, round(sizes.train_rows / max(sizes.train_units, 1))),
        }
        return replace(plan, parameters={**plan.parameters, **network, **game})

    def _gain(self, noise: float) -> float:
        """The gain of a Wiener filter for scores that vary by ``signal``, and by ``score`` from ``noise`` on every
        coordinate of a mean gradient: rows have length 1, and weights gather the noise of 1 / (2 rate decay) steps."""
        score = noise * math.sqrt(self.learning_rate / (2 * self.decay))
        return 1 / (1 + (score / self.signal) ** 2)

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> GanModel | TreeModel:
        """Buy the tree, then train; a plan without gradients gives the tree itself. Raises DataCorrupted for rows that
        ingest did not make."""
        if "steps" not in plan.parameters:
            return Tree().fit(rows, domain, plan, noise=noise)
        from dp_models.engines.gan_network import fit_adversary

        chain, units = first_stage(rows, domain, plan, noise=noise)
        return fit_adversary(units, chain, plan.parameters, noise=noise)
