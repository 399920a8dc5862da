"""The networks of `gan`: a discriminator that private gradients train, a generator that learns from it. Loads torch.

Rows enter one closure, the discriminator's loss on a batch of units, and leave it clipped and noisy. All else follows
from the discriminator's weights and public draws and is post-processing: the generated units that it is shown, every
step of the generator, the shifted tables. A unit's loss sums over its rows; a generated unit has as many rows as the
public sizes give a unit on average.

Both networks stand on the vectors of an autoencoder that pre-trained on rows of the tree, and both start at zero: a
discriminator that tells nothing apart, a generator that is the tree.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dp_models.base import IntArray, Noise
from dp_models.dpsgd.placement import on_processor
from dp_models.dpsgd.sampling import poisson_batches
from dp_models.dpsgd.training import PrivateSteps, Schedule
from dp_models.engines.chain import Chain
from dp_models.engines.gan_model import GanModel, Residual
from dp_models.engines.two_stages import UnitCodes
from dp_models.engines.vae_network import one_thread, pretrained, surprise

_ROWS, _CHUNK = 32_768, 4_096
_LARGEST = 4.0
"""Products of two whitened numbers are cut to this, so that no row of a rare kind is all that is seen."""
_NARROW = 0.1
"""Products that deviate by less over the tree's rows are not stretched further, so that where those are all alike a row
that is not does not outweigh all others."""
_STEEP = 0.05
"""Scores that deviate by more are scaled down to this before a step of the generator, which they could overthrow."""
_FLAT = 1e-3
"""Directions in which the tree's rows vary by less than this part of the widest are left out."""


class Discriminator(nn.Module):
    """Scores (...,) of vectors (..., hidden) that stand for rows, more for real rows, 0 for all at first.

    The products of every two coordinates, after the tree's rows ``known`` (n, hidden) were made uncorrelated, each with
    mean 0 and deviation 1 over them: what is 0 on average where the tree is right about the relation of two
    directions. They are fixed by the tree; the layer that weighs them is trained.
    """

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        values, directions = torch.linalg.eigh(torch.cov(known.T))
        least = _FLAT * max(float(values.max()), _FLAT)
        kept = values > least
        kept[-1] = True  # the widest, also where all rows are alike
        self.centre, self.whitening = known.mean(dim=0), directions[:, kept] / values[kept].clamp(min=least).sqrt()
        self.first, self.second = torch.triu_indices(*[self.whitening.shape[1]] * 2)
        products = torch.cat([self._products(part) for part in torch.split(known, _CHUNK)])
        self.mean, self.deviation = products.mean(dim=0), products.std(dim=0).clamp(min=_NARROW)
        self.output = nn.Linear(products.shape[1], 1, bias=False)
        nn.init.zeros_(self.output.weight)

    def _products(self, vectors: Tensor) -> Tensor:
        white = (vectors - self.centre) @ self.whitening
        return torch.clamp(white[..., self.first] * white[..., self.second], -_LARGEST, _LARGEST)

    def forward(self, vectors: Tensor) -> Tensor:
        """See the class. What goes into the trained layer has a length of about 1."""
        seen = (self._products(vectors) - self.mean) / self.deviation / len(self.first) ** 0.5
        scores: Tensor = self.output(seen).squeeze(-1)
        return scores


class Generator:
    """The residual's head, zero at first, over the chain's tables and ``vectors`` (groups, hidden)."""

    def __init__(self, chain: Chain, vectors: Tensor, parameters: Mapping[str, Any]) -> None:
        self._chain, self.vectors, self._drawn = chain, vectors, parameters["generated"]
        self._head = nn.Parameter(torch.zeros(vectors.shape[1], len(vectors)))
        self._optimizer = torch.optim.SGD([self._head], lr=parameters["generator_rate"])
        self._starts = torch.from_numpy(np.cumsum([0, *chain.sizes[:-1]]))

    def model(self, generator: np.random.Generator, *, draws: int | None = None) -> tuple[GanModel, IntArray]:
        """What the generator is now, with the tree's tables shifted to it on ``draws`` rows; and the groups of those
        rows (columns, draws)."""
        vectors, head = (part.detach().numpy().astype(np.float64) for part in (self.vectors, self._head))
        return GanModel(self._chain, Residual(vectors, head)).shifted(draws or self._drawn, generator=generator)

    def summed(self, groups: Tensor) -> Tensor:
        """Vectors (..., hidden) that stand for rows (..., columns) of groups."""
        rows = (groups + self._starts).view(-1, len(self._starts))
        return functional.embedding_bag(rows, self.vectors, mode="sum").view(*groups.shape[:-1], -1)

    def step(self, chain: Chain, groups: IntArray, scores: Tensor) -> None:
        """Make rows (columns, n) drawn from the model with the tables of ``chain`` likelier where they score (n,) above
        their mean (Williams 1992; Yu, Zhang, Wang, Yu 2017)."""
        rows = torch.from_numpy(groups.T.copy())
        told = torch.zeros(len(rows), self.vectors.shape[1])
        above = (scores - scores.mean()) / max(1.0, float(scores.std()) / _STEEP)
        self._optimizer.zero_grad(set_to_none=True)
        for link in chain.links:
            i, size, start = link.column, chain.sizes[link.column], int(self._starts[link.column])
            base = torch.from_numpy(link.logs[chain.given(link, groups)]).float()
            logits = base + torch.tanh(told) @ self._head[:, start : start + size]
            wrong = surprise(logits, rows[:, i : i + 1], (size,))
            torch.autograd.backward((above * wrong).mean())  # gradients of columns add up; one column's logits are held
            told = told + self.vectors[rows[:, i] + start]
        self._optimizer.step()


def fit_adversary(units: UnitCodes, chain: Chain, parameters: Mapping[str, Any], *, noise: Noise) -> GanModel:
    """Pre-train on the chain's own rows, then play the game on ``units`` (units, rows, columns) of groups, -1 in rows
    that are padding: ``steps_each`` steps of the discriminator, one of the generator, until all steps are done."""
    free = noise.generator("gan: pre-training, generated rows and calibration")
    with one_thread(), on_processor():
        generator = Generator(chain, pretrained(chain, parameters, free).rows.weight.detach(), parameters)
        known = generator.summed(torch.from_numpy(chain.sample(_ROWS, generator=free).T.copy()))
        discriminator = Discriminator(known)
        real = _losses(discriminator, generator, units)
        names = ("sampling_rate", "noise_multiplier", "steps", "clip_norm", "learning_rate", "expected_batch")
        schedule = Schedule(**{name: parameters[name] for name in names}, automatic=True)
        optimizer = torch.optim.SGD(
            discriminator.parameters(), lr=schedule.learning_rate, weight_decay=parameters["decay"]
        )
        private = PrivateSteps(discriminator, optimizer, schedule, noise=noise.generator("gan: gradient noise"))
        batches = poisson_batches(
            len(units),
            rate=schedule.sampling_rate,
            steps=schedule.steps,
            generator=noise.generator("gan: Poisson batches"),
        )
        per_unit, each = parameters["generated_rows"], parameters["steps_each"]
        for number, batch in enumerate(batches):
            if number % each == 0:
                model, groups = generator.model(free)
                drawn = generator.summed(torch.from_numpy(groups.T.copy()))
            shown = drawn[: len(drawn) // per_unit * per_unit].view(-1, per_unit, drawn.shape[1])
            private.step(
                (lambda batch=batch: real(torch.from_numpy(batch))) if len(batch) else None,  # type: ignore[misc]
                shown=lambda shown=shown: torch.relu(1 + discriminator(shown)).sum(dim=1),  # type: ignore[misc]
                shown_units=len(shown),
            )
            if number % each == each - 1:
                with torch.no_grad():
                    scores = discriminator(drawn)
                generator.step(model.chain, groups, scores)
        noise.ran(schedule.event)
        return generator.model(free, draws=_ROWS)[0]


def _losses(discriminator: Discriminator, generator: Generator, units: UnitCodes) -> Callable[[Tensor], Tensor]:
    """The hinge losses (m,) of numbered units: the one place where the discriminator meets rows. Vectors are made of a
    batch's rows alone, which are many times smaller as codes."""

    def losses(numbers: Tensor) -> Tensor:
        groups = torch.from_numpy(units[numbers.numpy()].astype(np.int64))
        vectors, there = generator.summed(groups.clamp(min=0)), groups[..., 0] >= 0
        return (torch.relu(1 - discriminator(vectors)) * there).sum(dim=1)

    return losses
