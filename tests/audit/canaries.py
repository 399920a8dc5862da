"""The audit of DP-SGD in one run: many canaries, each in the training by a fair coin, and guesses who was.

Steinke, Nasr, Jagielski, "Privacy auditing with one (1) training run" (2023). Each canary is a unit. The auditor
guesses about the canaries that show most and abstains on the rest. Of r guesses an epsilon-private training lets no
more be right than a binomial W with chance exp(epsilon) / (1 + exp(epsilon)); a delta adds at most 2 canaries delta
times the largest P(v > W >= v - i) / i, so it must be small beside alpha / canaries. Unlike games, whose runs are
independent, this holds whatever the loop does to canaries together.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binom
from torch import nn

from dp_models.dpsgd.training import Schedule
from tests.audit.gradients import Losses, Steps, alone, training

_HALVINGS = 40


@dataclass(frozen=True)
class Guesses:
    """How many of ``guesses`` about ``canaries`` were ``correct``."""

    canaries: int
    guesses: int
    correct: int

    def p_value(self, epsilon: float, delta: float) -> float:
        """At least the chance that an (epsilon, delta)-private training lets so many guesses be right."""
        chances = binom(self.guesses, 1 / (1 + np.exp(-epsilon)))
        before = chances.pmf(np.arange(self.correct - 1, -1, -1)).cumsum()
        added = (before / np.arange(1, self.correct + 1)).max(initial=0.0)
        return float(min(1.0, chances.sf(self.correct - 1) + 2 * self.canaries * delta * added))

    def proves(self, delta: float, *, alpha: float) -> float:
        """An epsilon that the training exceeds at ``delta``, with confidence 1 - ``alpha``; 0 where none is shown."""
        low, high = 0.0, 50.0
        if self.p_value(low, delta) > alpha:
            return 0.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.p_value(middle, delta) <= alpha else (low, middle)
        return low


def one_run(
    schedule: Schedule,
    *,
    canaries: int,
    guesses: int,
    losses: Losses = alone,
    trained: Schedule | None = None,
) -> Guesses:
    """Train once on the canaries that coins put in, and guess by the sum of the noisy gradients of each canary's row:
    the highest half of the guesses were in, the lowest half out. ``trained`` is the schedule that runs where that is
    not the claimed one."""
    source = Steps(schedule, 0)
    inside = np.random.default_rng(source.key).random(canaries) < 0.5
    units = torch.from_numpy(np.flatnonzero(inside))[:, None]
    training(trained or schedule, lambda: nn.Embedding(canaries, 1), losses)(units, source)
    order = np.argsort(np.sum([np.asarray(draw.output) for draw in source.draws], axis=0))
    half = guesses // 2
    correct = inside[order[-half:]].sum() + (~inside[order[:half]]).sum()
    return Guesses(canaries=canaries, guesses=2 * half, correct=int(correct))
