"""The networks of `vae`: what pre-trains for free, and the one layer that private gradients move. Loads torch.

An ordinary small autoencoder (Kingma, Welling 2014) learns from rows of the noisy tree to sum a row up in a few
numbers; that is post-processing. The residual head on top of its decoder starts at zero and is all that DP-SGD trains:
a unit's loss is the mean over several latent draws of a row, summed over the unit's rows, and its gradient is
normalised as a whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dp_models.base import Noise
from dp_models.dpsgd.placement import device_of
from dp_models.dpsgd.training import Schedule, train
from dp_models.engines.chain import Chain
from dp_models.engines.two_stages import UnitCodes
from dp_models.engines.vae_model import Decoder, VaeModel

_ROWS, _BATCH, _RATE, _SPREAD = 32_768, 512, 5e-3, 4.0


class Autoencoder(nn.Module):
    """One hidden layer each way. Rows go in as the sum of one vector a group, which is one-hot input to a layer."""

    def __init__(self, sizes: Sequence[int], *, hidden: int, latent: int, generator: np.random.Generator) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.offsets = torch.from_numpy(np.cumsum([0, *sizes[:-1]]))
        self.rows, self.posterior = nn.EmbeddingBag(sum(sizes), hidden, mode="sum"), nn.Linear(hidden, 2 * latent)
        self.inner, self.output = nn.Linear(latent, hidden), nn.Linear(hidden, sum(sizes))
        weights = [layer.weight for layer in (self.posterior, self.inner, self.output)]
        scales = (len(sizes) ** -0.5, hidden**-0.5, latent**-0.5, 0.1 * hidden**-0.5)
        with torch.no_grad():
            for weight, scale in zip((self.rows.weight, *weights), scales, strict=True):
                weight.copy_(torch.from_numpy(generator.normal(0.0, scale, tuple(weight.shape))))
            for layer in (self.posterior, self.inner, self.output):
                layer.bias.zero_()

    def encoded(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations (n, latent) of rows (n, columns)."""
        mean, log_variance = self.posterior(torch.tanh(self.rows(groups + self.offsets))).chunk(2, dim=1)
        return mean, torch.exp(log_variance.clamp(-2 * _SPREAD, _SPREAD) / 2)

    def loss(self, groups: Tensor, draw: Tensor) -> Tensor:
        """The mean negated evidence lower bound of rows (n, columns) with standard normal draws (n, latent)."""
        mean, deviation = self.encoded(groups)
        wrong = surprise(self.output(torch.tanh(self.inner(mean + deviation * draw))), groups, self.sizes)
        return (wrong + 0.5 * (mean**2 + deviation**2 - 1 - 2 * deviation.log()).sum(dim=1)).mean()


def surprise(logits: Tensor, groups: Tensor, sizes: Sequence[int]) -> Tensor:
    """- log-probability (...,) of rows (..., columns) under logits (..., groups), summed over columns."""
    total = logits.new_zeros(logits.shape[:-1])
    for i, block in enumerate(torch.split(logits, list(sizes), dim=-1)):
        total = total + torch.logsumexp(block, dim=-1) - block.gather(-1, groups[..., i : i + 1]).squeeze(-1)
    return total


def fit_residual(units: UnitCodes, chain: Chain, parameters: Mapping[str, Any], *, noise: Noise) -> VaeModel:
    """Pre-train on the chain's own rows, train the head on ``units`` (units, rows, columns) of groups, -1 in rows that
    are padding, and fit the tables to it once more."""
    free = noise.generator("vae: pre-training, latent draws and calibration")
    with one_thread(), device_of(noise) as device:
        network = pretrained(chain, parameters, free)
        head = nn.Linear(parameters["hidden"], sum(chain.sizes)).to(device)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        names = ("sampling_rate", "noise_multiplier", "steps", "clip_norm", "learning_rate", "expected_batch")
        schedule = Schedule(
            **{name: parameters[name] for name in names},
            automatic=True,
            momentum=parameters["momentum"],
            averaging=parameters["averaging"],
        )
        train(
            head,
            _losses(units, chain, network, parameters["draws"], free, device),
            torch.arange(len(units)),
            schedule,
            noise=noise.generator("vae: gradient noise"),
            batches=noise.generator("vae: Poisson batches"),
        )
    noise.ran(schedule.event)
    arrays = (network.inner.weight.T, network.inner.bias, head.weight.T, head.bias)
    decoder = Decoder(*(array.detach().cpu().numpy().astype(np.float64) for array in arrays))
    return VaeModel(chain, decoder).shifted(_ROWS, generator=free)[0]


def pretrained(chain: Chain, parameters: Mapping[str, Any], generator: np.random.Generator) -> Autoencoder:
    """An autoencoder of ``hidden`` and ``latent`` units after ``free_steps`` steps on rows of the chain, frozen."""
    hidden, latent = parameters["hidden"], parameters["latent"]
    network = Autoencoder(chain.sizes, hidden=hidden, latent=latent, generator=generator)
    rows = torch.from_numpy(chain.sample(_ROWS, generator=generator).T.copy())
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)
    for _ in range(parameters["free_steps"]):
        batch = rows[torch.from_numpy(generator.integers(0, _ROWS, _BATCH))]
        optimizer.zero_grad(set_to_none=True)
        draw = torch.from_numpy(generator.standard_normal((_BATCH, latent), dtype=np.float32))
        torch.autograd.backward(network.loss(batch, draw))
        optimizer.step()
    return network.requires_grad_(False)


def _losses(
    units: UnitCodes,
    chain: Chain,
    network: Autoencoder,
    draws: int,
    generator: np.random.Generator,
    device: torch.device,
) -> Callable[[nn.Module, Tensor], Tensor]:
    """The losses (m,) of numbered units. A batch's rows are encoded and looked up when it comes: codes are many times
    smaller than what is made of them."""
    k, columns = units.shape[1:]
    tables = [torch.from_numpy(link.logs).float().to(device) for link in chain.links]
    order = np.argsort([link.column for link in chain.links])
    inner = nn.Linear(network.inner.in_features, network.inner.out_features).to(device)
    inner.load_state_dict(network.inner.state_dict())
    inner.requires_grad_(False)

    def losses(head: nn.Module, numbers: Tensor) -> Tensor:
        batch = units[numbers.cpu().numpy()].reshape(-1, columns).astype(np.int64)
        there = torch.from_numpy(batch[:, 0] >= 0).view(-1, k).to(device)
        flat = np.maximum(batch, 0)
        codes = torch.from_numpy(flat)
        mean, deviation = (part.view(-1, k, 1, part.shape[1]).to(device) for part in network.encoded(codes))
        shape = (len(numbers), k, draws, mean.shape[-1])
        draw = torch.from_numpy(generator.standard_normal(shape, dtype=np.float32)).to(device)
        cells = [torch.from_numpy(chain.given(link, flat.T)).view(-1, k).to(device) for link in chain.links]
        base = torch.cat([tables[i][cells[i]] for i in order], dim=-1).unsqueeze(2)
        seen = torch.tanh(inner(mean + deviation * draw)) * there[..., None, None]
        groups = codes.view(-1, k, 1, columns).to(device).expand(*shape[:3], columns)
        wrong = surprise(base + head(seen), groups, chain.sizes)
        return (wrong.mean(dim=2) * there).sum(dim=1)

    return losses


@contextmanager
def one_thread() -> Iterator[None]:
    """Matrices this small are multiplied faster by one thread than by several that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
