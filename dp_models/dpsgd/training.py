"""The DP-SGD loop: clip every unit's gradient, add noise, divide by a public batch size, a fixed number of times.

The noise comes from a generator that the caller keys. Nothing about the loss leaves this module: no curve, no early
stopping, no best step (Abadi et al. 2016).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from dp_models.dpsgd.clipping import Clipping, clipped_sums
from dp_models.dpsgd.sampling import poisson_batches
from dp_models.dpsgd.separation import check_alone
from synthgate.events import PoissonGaussian


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What one training does. ``expected_batch`` is the rate times the public number of units, never a true count.

    ``automatic`` normalises gradients instead of cutting the long ones. ``momentum`` is that of plain descent, which
    noise moves by no more than its size, unlike adaptive methods. ``averaging`` is the decay of the exponential moving
    average of the weights that a training ends with (0: the last weights).
    """

    sampling_rate: float
    noise_multiplier: float
    steps: int
    clip_norm: float
    learning_rate: float
    expected_batch: float
    automatic: bool = False
    momentum: float = 0.0
    averaging: float = 0.0

    @property
    def event(self) -> PoissonGaussian:
        """What the accountant prices."""
        return PoissonGaussian(self.sampling_rate, self.noise_multiplier, self.steps)


class PrivateSteps:
    """Noisy steps of ``optimizer`` on a module's trained parameters, one batch of units each.

    A step adds Gaussian noise of ``noise_multiplier * clip_norm`` to every coordinate of the clipped sum and divides by
    the expected batch. Raises InternalError for modules that mix units.
    """

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule, *, noise: np.random.Generator
    ) -> None:
        self._clipped, self._optimizer, self._schedule, self._noise = clipped_sums(module), optimizer, schedule, noise
        self._clipping = Clipping(norm=schedule.clip_norm, automatic=schedule.automatic)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What is trained."""
        return self._clipped.parameters

    def step(
        self,
        losses: Callable[[], Tensor] | None,
        *,
        shown: Callable[[], Tensor] | None = None,
        shown_units: int = 1,
    ) -> None:
        """One step on the batch whose losses (m,), one a unit, ``losses()`` gives; None is the empty batch, which is a
        step of nothing but noise.

        ``shown()`` gives the losses of ``shown_units`` units that are not real: what a generator drew for a
        discriminator. The mean of their gradients is added, each clipped alike, so that both sides weigh the same, and
        without noise: whatever it reads must be public or private already.
        """
        flat = self._drawn().mul_(self._schedule.noise_multiplier * self._schedule.clip_norm)
        parts = torch.split(flat, [parameter.numel() for parameter in self.parameters])
        for parameter, part, total in zip(self.parameters, parts, self._sums(losses), strict=True):
            parameter.grad = part.view_as(parameter).add_(total)
        flat.div_(self._schedule.expected_batch)
        if shown is not None:
            for parameter, total in zip(self.parameters, self._sums(shown), strict=True):
                assert parameter.grad is not None  # noqa: S101  it was set above
                parameter.grad.add_(total, alpha=1 / shown_units)
        self._optimizer.step()

    def _sums(self, losses: Callable[[], Tensor] | None) -> list[Tensor]:
        if losses is None:
            return [torch.zeros_like(parameter) for parameter in self.parameters]
        return self._clipped.sums(losses, self._clipping)

    def _drawn(self) -> Tensor:
        """Standard normal noise for all parameters in a row, from one call of the generator."""
        first = self.parameters[0]
        drawn = self._noise.standard_normal(sum(parameter.numel() for parameter in self.parameters), dtype=np.float32)
        return torch.from_numpy(drawn).to(first.device, first.dtype)


def train(
    module: nn.Module,
    losses: Callable[[nn.Module, Tensor], Tensor],
    units: Tensor,
    schedule: Schedule,
    *,
    noise: np.random.Generator,
    batches: np.random.Generator,
) -> None:
    """Train ``module`` in place, on its own device, on ``units`` (n, ...), one entry a privacy unit.

    The weights become a moving average of what the steps made, which takes noise off at no cost (Polyak, Juditsky
    1992; De et al. 2022): the plain mean at first, exponential once the steps outnumber its memory.

    ``losses(module, batch)`` gives one loss a unit (m,) and must mix no units; where it is not random, the first batch
    tries that too. ``noise`` and ``batches`` are two independent generators. Raises InternalError as `PrivateSteps`
    does.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=schedule.learning_rate, momentum=schedule.momentum)
    private = PrivateSteps(module, optimizer, schedule, noise=noise)
    averaged = [torch.zeros_like(p) for p in private.parameters]
    drawn = poisson_batches(len(units), rate=schedule.sampling_rate, steps=schedule.steps, generator=batches)
    tried = False
    for step, numbers in enumerate(drawn):
        batch = units[torch.from_numpy(numbers)].to(trained[0].device)
        if not tried and len(batch) > 1:
            check_alone(partial(losses, module), batch)
            tried = True
        private.step(None if not len(batch) else lambda batch=batch: losses(module, batch))  # type: ignore[misc]
        decay = min(schedule.averaging, step / (step + 1))
        with torch.no_grad():
            for mean, parameter in zip(averaged, private.parameters, strict=True):
                mean.lerp_(parameter, 1 - decay)
    with torch.no_grad():
        for mean, parameter in zip(averaged, private.parameters, strict=True):
            parameter.copy_(mean)
