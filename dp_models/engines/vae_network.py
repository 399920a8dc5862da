"""The network of `vae`: encoder, decoder, loss, and what is kept of it. The one file of the engine that loads torch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from dp_models.base import FloatArray, IntArray, Noise
from dp_models.dpsgd.training import Schedule, train
from dp_models.encoding.codes import Codec
from dp_models.tables.drawing import draw_each

_CALIBRATION_DRAWS, _CALIBRATION_ROUNDS = 4_096, 20


class Network(nn.Module):
    """One hidden layer each way. Input and output are one-hot blocks side by side, a block a column."""

    def __init__(self, sizes: Sequence[int], *, hidden: int, latent: int) -> None:
        super().__init__()
        width = sum(sizes)
        self.sizes, self.latent = tuple(sizes), latent
        self.rows, self.posterior = nn.Linear(width, hidden), nn.Linear(hidden, 2 * latent)
        self.hidden, self.output = nn.Linear(latent, hidden), nn.Linear(hidden, width)

    def forward(self, batch: torch.Tensor, draw: torch.Tensor) -> torch.Tensor:
        """Evidence lower bounds, negated, one a unit (m,).

        ``batch`` (m, rows, columns) holds codes, -1 throughout a row that is padding; ``draw`` (m, rows, latent) is
        standard normal.
        """
        there = (batch[..., 0] >= 0).to(draw.dtype)
        codes = batch.clamp(min=0)
        blocks = [nn.functional.one_hot(codes[..., i], size) for i, size in enumerate(self.sizes)]
        seen = torch.relu(self.rows(torch.cat(blocks, dim=-1).to(draw.dtype)))
        mean, log_variance = self.posterior(seen).chunk(2, dim=-1)
        log_variance = log_variance.clamp(-8, 8)
        inner = torch.relu(self.hidden(mean + torch.exp(log_variance / 2) * draw))
        logits = self.output(inner).split(self.sizes, dim=-1)
        wrong = sum(
            -nn.functional.log_softmax(block, dim=-1).gather(-1, codes[..., i : i + 1]).squeeze(-1)
            for i, block in enumerate(logits)
        )
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=-1)
        bounds: torch.Tensor = ((wrong + divergence) * there).sum(dim=-1)
        return bounds


@dataclass(frozen=True)
class VaeModel:
    """The decoder's weights as arrays: hidden (latent, hidden), output (hidden, codes), with biases."""

    codec: Codec
    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray
    output_bias: FloatArray

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows, each from a latent draw of its own."""
        latent = generator.standard_normal((rows, len(self.hidden)))
        logits = self.logits(latent)
        codes = []
        for column, block in zip(self.codec.columns, blocks(logits, self.codec.sizes), strict=True):
            codes.append(draw_each(column.settle(softmax(block)), generator=generator))
        return self.codec.decode(np.stack(codes), generator=generator)

    def logits(self, latent: FloatArray) -> FloatArray:
        """Unnormalised log-probabilities (n, codes) from latent draws (n, latent)."""
        return np.asarray(np.maximum(latent @ self.hidden + self.hidden_bias, 0) @ self.output + self.output_bias)


def fit_network(
    units: IntArray, codec: Codec, columns: Sequence[FloatArray], parameters: Mapping[str, Any], *, noise: Noise
) -> VaeModel:
    """Train on ``units`` (units, rows, columns) of codes, starting from noisy one-way probabilities, which the biases
    are fitted to once more at the end: that reads the noisy tables and the trained weights alone."""
    network = Network(codec.sizes, hidden=parameters["hidden"], latent=parameters["latent"])
    latent_draws = noise.generator("vae: initial weights and latent draws")
    _initialise(network, columns, latent_draws)

    def losses(module: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        shape = (*batch.shape[:2], network.latent)
        result: torch.Tensor = module(batch, torch.from_numpy(latent_draws.standard_normal(shape)).float())
        return result

    names = ("sampling_rate", "noise_multiplier", "steps", "clip_norm", "learning_rate", "expected_batch")
    schedule = Schedule(**{name: parameters[name] for name in names})
    with _one_thread():
        train(
            network,
            losses,
            torch.from_numpy(units),
            schedule,
            noise=noise.generator("vae: gradient noise"),
            batches=noise.generator("vae: Poisson batches"),
        )
    noise.ran(schedule.event)
    first, last = network.hidden, network.output
    arrays = (first.weight.T, first.bias, last.weight.T, last.bias)
    weights = [array.detach().numpy().astype(np.float64) for array in arrays]
    return _calibrated(VaeModel(codec, *weights), columns, latent_draws)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices this small are multiplied faster by one thread than by several that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _initialise(network: Network, columns: Sequence[FloatArray], generator: np.random.Generator) -> None:
    """Start with a latent space that already tells rows apart, and an output that is the noisy one-way tables.

    Gradient noise leaves too few useful steps to find the first and to escape a collapsed posterior: the encoder begins
    as a random projection of centred rows, of about unit variance, with little variance of its own.
    """
    shares = torch.from_numpy(np.concatenate(columns)).float()
    logs = torch.from_numpy(np.concatenate([_log(column) for column in columns]))
    with torch.no_grad():
        for layer, scale in (
            (network.rows, len(columns) ** -0.5),
            (network.posterior, (2 / network.hidden.out_features) ** 0.5),
            (network.hidden, network.latent**-0.5),
            (network.output, 0.1 * network.hidden.out_features**-0.5),
        ):
            shape = (layer.out_features, layer.in_features)
            layer.weight.copy_(torch.from_numpy(generator.normal(0.0, scale, shape)))
            layer.bias.zero_()
        network.rows.bias.copy_(-network.rows.weight @ shares)
        network.posterior.weight[network.latent :] = 0
        network.posterior.bias[network.latent :] = -3
        network.output.bias.copy_(logs)


def _calibrated(model: VaeModel, columns: Sequence[FloatArray], generator: np.random.Generator) -> VaeModel:
    """Move the output biases until the model's own one-way probabilities are the noisy ones."""
    latent = generator.standard_normal((_CALIBRATION_DRAWS, len(model.hidden)))
    bias = model.output_bias
    plain = model.logits(latent) - bias
    wanted = np.concatenate([_log(column) for column in columns])
    for _ in range(_CALIBRATION_ROUNDS):
        shown = [softmax(block).mean(axis=0) for block in blocks(plain + bias, model.codec.sizes)]
        bias = bias + wanted - np.concatenate([_log(column) for column in shown])
    return VaeModel(model.codec, model.hidden, model.hidden_bias, model.output, bias)


def blocks(matrix: FloatArray, sizes: Sequence[int]) -> list[FloatArray]:
    """The columns' blocks (n, size) of a matrix (n, codes)."""
    return np.split(matrix, np.cumsum(sizes)[:-1], axis=1)


def softmax(logits: FloatArray) -> FloatArray:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def _log(probabilities: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(probabilities, 1e-5)))
