"""Games with DP-SGD: the attacker sees the noisy gradient of every step, and all that is not noise.

`Steps` is noise for anything that trains through `PrivateSteps`: it hands out the generators of gradient noise and of
Poisson batches, and a hook on the optimizer writes down each noisy gradient. What else is random (initial weights,
latent draws, which of the others are in a batch) is no secret: a claim holds whatever it is, so both tables get the
same. Only whether the victim is in a batch is secret; `PlayedBack` shows each step's gradient with the victim in it.
The victim is the last unit of the second table, and the first has all others.
"""

import secrets
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from dp_models.base import FloatArray, Noise
from dp_models.dpsgd.training import Schedule, train
from dp_models.mechanisms.noise import SystemNoise
from tests.audit.games import Dictated, Draw, Fit, Private, Recorded, Verdict, mixed

Losses = Callable[[nn.Module, Tensor], Tensor]


class Over(Exception):
    """The last private step was seen; what a fit does after it is post-processing."""


class Told:
    """A generator whose calls give the same on both tables, but for the last unit, whose share comes last."""

    def __init__(self, *key: int) -> None:
        self._key, self._calls = key, 0

    def __getattr__(self, name: str) -> Any:
        self._calls += 1
        return getattr(np.random.default_rng((*self._key, self._calls)), name)


@dataclass
class _Noise:
    """What `PrivateSteps` takes for a generator."""

    draw: Callable[[int], FloatArray]

    def standard_normal(self, size: int, *, dtype: type) -> FloatArray:
        return self.draw(size).astype(dtype)


@dataclass
class _Coins:
    """What `poisson_batches` takes for a generator."""

    draw: Callable[[int], FloatArray]

    def random(self, units: int) -> FloatArray:
        return self.draw(units)


class Watch(ABC):
    """Generators for a training, and eyes on its steps. ``units`` are those of the first table."""

    def __init__(self, schedule: Schedule, units: int, key: int) -> None:
        self.schedule, self.units, self.key = schedule, units, key
        self._others = Told(key)
        self.taken, self._due = 0, False

    @abstractmethod
    def noise(self, size: int) -> FloatArray:
        """Standard normal noise of one step."""

    @abstractmethod
    def victims(self, units: int) -> FloatArray:
        """A number in [0, 1) for each of the victim's units."""

    @abstractmethod
    def seen(self, parameters: list[nn.Parameter]) -> None:
        """Called before each private step."""

    def coins(self, units: int) -> FloatArray:
        """A number in [0, 1) for each unit; those below the rate are in the batch."""
        return np.concatenate([self._others.random(self.units)[:units], self.victims(max(units - self.units, 0))])

    def generator(self, purpose: str) -> Any:
        if purpose.endswith("gradient noise"):
            return _Noise(self._noise)
        if purpose.endswith("Poisson batches"):
            return _Coins(self.coins)
        return Told(self.key, zlib.crc32(purpose.encode()))

    def _noise(self, size: int) -> FloatArray:
        self._due = True
        return self.noise(size)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Called before every step of every optimizer; those that had gradient noise are private."""
        if self._due:
            self.seen([p for group in optimizer.param_groups for p in group["params"] if p.grad is not None])
            self._due = False
            self.taken += 1

    def gradient(self, parameters: list[nn.Parameter]) -> FloatArray:
        """All gradients in a row, times the public size of a batch."""
        flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
        return flat.double().cpu().numpy() * self.schedule.expected_batch


class Steps(Watch, Recorded):
    """System noise that writes gradients down. Planted bugs override `noise` and `coins`."""

    secretive: ClassVar[bool] = True

    def __init__(self, schedule: Schedule, units: int) -> None:
        Recorded.__init__(self)
        Watch.__init__(self, schedule, units, secrets.randbits(64))
        self._system = SystemNoise.generator(self, "gradient noise")

    def noise(self, size: int) -> FloatArray:
        return self._system.standard_normal(size)

    def victims(self, units: int) -> FloatArray:
        return self._system.random(units)

    def seen(self, parameters: list[nn.Parameter]) -> None:
        output, s = self.gradient(parameters), self.schedule
        self.draws.append(Draw(output, output, s.noise_multiplier * s.clip_norm, s.clip_norm, s.sampling_rate))

    def dictated(self) -> "PlayedBack":
        return PlayedBack(self)


class PlayedBack(Watch, Dictated):
    """Goes the way of a transcript again, without noise and with the victim in every batch, and writes down what the
    gradients would have been drawn around."""

    def __init__(self, source: Steps) -> None:
        Dictated.__init__(self, source.draws)
        Watch.__init__(self, source.schedule, source.units, source.key)

    def noise(self, size: int) -> FloatArray:
        return np.zeros(size)

    def victims(self, units: int) -> FloatArray:
        return np.zeros(units)

    def seen(self, parameters: list[nn.Parameter]) -> None:
        output = torch.from_numpy(np.asarray(self.next(self.gradient(parameters)))) / self.schedule.expected_batch
        for parameter, part in zip(parameters, output.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).to(parameter)


def watched(fit: Fit[Private], *, whole: bool = False) -> Fit[Private]:
    """A fit, up to its last private step, or the ``whole`` of it. Raises AssertionError where it takes other steps than
    those of its plan."""

    def run(rows: Private, noise: SystemNoise) -> object:
        assert isinstance(noise, Watch)

        def step(optimizer: torch.optim.Optimizer, *_: object) -> None:
            noise.step(optimizer)
            if noise.taken == noise.schedule.steps and not whole:
                raise Over

        handle = register_optimizer_step_pre_hook(step)
        made: object = None
        try:
            made = fit(rows, noise)
        except Over:
            pass
        finally:
            handle.remove()
        assert noise.taken == noise.schedule.steps, "the fit took other private steps than those of its plan"
        return made

    return run


def linear(module: nn.Module, batch: Tensor) -> Tensor:
    """Losses (m,) of units (m, d) whose gradients are the units themselves."""
    return module(batch)[:, 0]


def alone(module: nn.Module, batch: Tensor) -> Tensor:
    """Losses (m,) of units (m, 1), each the number of a row of an embedding, whose gradients are long and lie there."""
    return 1_000 * module(batch)[:, 0, 0]


def training(schedule: Schedule, layer: Callable[[], nn.Module], losses: Losses) -> Fit[Tensor]:
    """The real loop on one layer; its fits take units (n, ...)."""

    def fit(units: Tensor, noise: Noise) -> None:
        generators = noise.generator("gradient noise"), noise.generator("Poisson batches")
        train(layer(), losses, units, schedule, noise=generators[0], batches=generators[1])

    return watched(fit)


def together(
    schedule: Schedule,
    *,
    games: int,
    noise: Callable[[Schedule, int], Steps] = Steps,
    losses: Losses = alone,
    trained: Schedule | None = None,
) -> Verdict:
    """As many games at once as a layer has rows, each on one unit whose gradient lies in one row, and which is there in
    the first half of the rows. ``trained`` is the schedule that runs where that is not the claimed one.

    A row's unit, its coins and the row's noise are its own: the games are independent as long as the loop mixes no
    units. The evidence is the exact likelihood ratio of a row's noisy gradients in all steps.
    """
    source = noise(schedule, 0)
    training(trained or schedule, lambda: nn.Embedding(2 * games, 1), losses)(torch.arange(games)[:, None], source)
    outputs = np.stack([np.asarray(draw.output) for draw in source.draws]) / schedule.clip_norm
    gains = mixed((outputs - 0.5) / schedule.noise_multiplier**2, schedule.sampling_rate).sum(axis=0)
    return Verdict(hits=int((gains[:games] > 0).sum()), alarms=int((gains[games:] > 0).sum()), games=games)
