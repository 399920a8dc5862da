"""The DP-SGD loop: clip every unit's gradient, add noise, divide by a public batch size, a fixed number of times.

Opacus gives per-unit gradients and clips them (Abadi et al. 2016); the noise comes from a generator that the caller
keys, since Opacus' own secure mode cannot be imported any more. Nothing about the loss leaves this module: no curve, no
early stopping, no best step.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer

from dp_models.dpsgd.sampling import poisson_batches
from synthgate.events import PoissonGaussian


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What one training does. ``expected_batch`` is the rate times the public number of units, never a true count."""

    sampling_rate: float
    noise_multiplier: float
    steps: int
    clip_norm: float
    learning_rate: float
    expected_batch: float

    @property
    def event(self) -> PoissonGaussian:
        """What the accountant prices."""
        return PoissonGaussian(self.sampling_rate, self.noise_multiplier, self.steps)


class KeyedOptimizer(DPOptimizer):  # type: ignore[misc]  # opacus ships no types
    """Opacus' optimizer with Gaussian noise from a numpy generator."""

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: Schedule, generator: np.random.Generator) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=schedule.noise_multiplier,
            max_grad_norm=schedule.clip_norm,
            expected_batch_size=schedule.expected_batch,
            loss_reduction="mean",
        )
        self._keyed = generator

    def add_noise(self) -> None:
        """Add noise of ``noise_multiplier * clip_norm`` to every coordinate of the summed gradient."""
        for parameter in self.params:
            drawn = self._keyed.standard_normal(tuple(parameter.shape))
            noise = torch.from_numpy(drawn * self.noise_multiplier * self.max_grad_norm).to(parameter.dtype)
            parameter.grad = parameter.summed_grad.view_as(parameter) + noise


def train(
    module: torch.nn.Module,
    losses: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor],
    units: torch.Tensor,
    schedule: Schedule,
    *,
    noise: np.random.Generator,
    batches: np.random.Generator,
) -> None:
    """Train ``module`` in place on ``units`` (n, ...), one entry a privacy unit.

    The weights become the mean over the second half of the steps, which takes noise off at no cost (Polyak, Juditsky
    1992).

    ``losses(module, batch)`` gives one loss a unit (m,) and must mix no units. ``noise`` and ``batches`` are two
    independent generators.
    """
    private = GradSampleModule(module, batch_first=True, loss_reduction="sum", strict=True)
    adam = torch.optim.Adam(private.parameters(), lr=schedule.learning_rate)
    optimizer = KeyedOptimizer(adam, schedule, noise)
    averaged, first = [torch.zeros_like(p) for p in private.parameters()], schedule.steps // 2
    drawn = poisson_batches(len(units), rate=schedule.sampling_rate, steps=schedule.steps, generator=batches)
    for step, batch in enumerate(drawn):
        optimizer.zero_grad(set_to_none=True)
        if len(batch):
            with warnings.catch_warnings():
                # Rows are data: nothing needs a gradient with respect to them, which torch finds worth a warning.
                warnings.filterwarnings("ignore", "Full backward hook is firing")
                torch.autograd.backward(losses(private, units[torch.from_numpy(batch)]).sum())
        else:
            for parameter in private.parameters():
                parameter.grad_sample = torch.zeros((0, *parameter.shape), dtype=parameter.dtype)
        optimizer.step()
        if step >= first:
            for mean, parameter in zip(averaged, private.parameters(), strict=True):
                mean += parameter.detach() / (schedule.steps - first)
    private.to_standard_module()
    with torch.no_grad():
        for mean, parameter in zip(averaged, module.parameters(), strict=True):
            parameter.copy_(mean)
