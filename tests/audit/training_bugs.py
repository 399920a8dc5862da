"""Mistakes in training that cost privacy, planted on purpose: clipping, sampling, noise of DP-SGD."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from dp_models.base import FloatArray, Noise, Plan
from dp_models.dpsgd.training import Schedule
from dp_models.engines.gan import Gan
from dp_models.engines.gan_model import GanModel
from dp_models.engines.gan_network import Generator
from synthgate.domain import Domain
from tests.audit.gradients import Steps, alone, linear


class RealRows(Gan):
    """`gan` whose generator takes one step along the rows themselves, beside the discriminator."""

    def fit(self, rows: pa.Table, domain: Domain, plan: Plan, *, noise: Noise) -> GanModel:
        model = super().fit(rows, domain, plan, noise=noise)
        groups = model.chain.groups(model.columns.codec.encode(rows.to_batches()[0]))
        generator = Generator(model.chain, torch.from_numpy(model.residual.vectors).float(), plan.parameters)
        generator.step(model.chain, groups, torch.arange(groups.shape[1]) % 2.0)
        taught = generator.model(np.random.default_rng(0))[0].residual.head
        return replace(model, residual=replace(model.residual, head=model.residual.head + taught))


class HalfSteps(Steps):
    """Half of the gradient noise that is claimed."""

    def noise(self, size: int) -> FloatArray:
        return super().noise(size) / 2


class SilentLast(Steps):
    """No noise in the last step, as where the weights are saved before it is added."""

    def noise(self, size: int) -> FloatArray:
        return super().noise(size) * (self.taken < self.schedule.steps - 1)


class ReusedSteps(Steps):
    """The same noise in every step, as from a generator that is seeded anew."""

    def noise(self, size: int) -> FloatArray:
        if not self.taken:
            self._first = super().noise(size)
        return self._first


class Shuffled(Steps):
    """Each unit in exactly one batch of an epoch."""

    def coins(self, units: int) -> FloatArray:
        parts = round(1 / self.schedule.sampling_rate)
        if self.taken % parts == 0:
            self._part = np.random.default_rng((self.key, self.taken)).permutation(np.arange(units) % parts)
        return np.where(self._part == self.taken % parts, 0.0, 1.0)


def unclipped(schedule: Schedule) -> Schedule:
    """The same noise, and gradients as long as they are."""
    return replace(schedule, clip_norm=1e4, noise_multiplier=schedule.noise_multiplier * schedule.clip_norm / 1e4)


def clipped_after_sum(module: nn.Module, batch: Tensor) -> Tensor:
    """The batch as one unit with one loss, so that its sum is clipped."""
    return linear(module, batch.sum(dim=0, keepdim=True))


def clipped_draw_by_draw(module: nn.Module, batch: Tensor) -> Tensor:
    """Sixteen latent draws of every unit, each clipped on its own; random as draws are, or they would be refused."""
    return alone(module, batch.repeat_interleave(16, dim=0)) + torch.rand(())
