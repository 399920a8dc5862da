"""DP-SGD does what its event says: Poisson batches, bounded units, full noise. Each claim with a planted fault."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from dp_models.dpsgd.sampling import poisson_batches
from dp_models.dpsgd.training import PrivateSteps, Schedule, train
from synthgate.events import PoissonGaussian

SCHEDULE = Schedule(
    sampling_rate=1.0, noise_multiplier=1.5, steps=1, clip_norm=0.7, learning_rate=0.0, expected_batch=40.0
)


class Network(torch.nn.Module):
    """A small autoencoder of rows of two columns (3 and 5 codes); -1 throughout is a row that is padding."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.told = torch.nn.Linear(8, 6), torch.nn.Linear(6, 8)

    def forward(self, batch: torch.Tensor, draw: torch.Tensor) -> torch.Tensor:
        """Losses, one a unit (m,), of units (m, rows, 2) with a latent draw (m, rows, 6) a row."""
        codes, there = batch.clamp(min=0), (batch[..., 0] >= 0).float()
        blocks = [torch.nn.functional.one_hot(codes[..., i], size) for i, size in enumerate((3, 5))]
        logits = self.told(torch.tanh(self.seen(torch.cat(blocks, dim=-1).float())) + draw).split((3, 5), dim=-1)
        logs = [torch.log_softmax(block, dim=-1).gather(-1, codes[..., i : i + 1]) for i, block in enumerate(logits)]
        return -(torch.cat(logs, dim=-1).sum(-1) * there).sum(1)


class Quiet:
    """A generator whose noise is nothing."""

    def standard_normal(self, size: int, *, dtype: type) -> np.ndarray:
        return np.zeros(size, dtype)


def _units(n: int, rows: int = 2) -> torch.Tensor:
    rng = np.random.default_rng(4)
    units = np.stack([rng.integers(0, size, (n, rows)) for size in (3, 5)], axis=-1)
    units[::3, 1:] = -1
    return torch.from_numpy(units)


def _gradient(units: torch.Tensor, schedule: Schedule = SCHEDULE, noise: object = None) -> np.ndarray:
    """The summed, clipped, noisy gradient of one step on every unit, in units of the clip norm."""
    torch.manual_seed(1)
    network = Network()
    draws = torch.from_numpy(np.random.default_rng(5).standard_normal((64, 2, 6))).float()
    train(
        network,
        lambda module, batch: 30 * module(batch, draws[: len(batch)]),
        units,
        schedule,
        noise=noise or Quiet(),
        batches=np.random.default_rng(0),
    )
    flat = np.concatenate([p.grad.numpy().ravel() for p in network.parameters()])
    return flat * schedule.expected_batch / SCHEDULE.clip_norm


def test_a_unit_moves_the_gradient_by_at_most_the_clip_norm() -> None:
    """Every unit in turn is put last and left out; some of them are clipped to the full norm."""
    units, moved = _units(9), []
    for last in range(9):
        order = [*(u for u in range(9) if u != last), last]
        moved.append(np.linalg.norm(_gradient(units[order]) - _gradient(units[order[:-1]])))
    assert max(moved) <= 1 + 1e-4
    assert max(moved) > 0.99


def test_an_unclipped_gradient_is_convicted() -> None:
    units, unclipped = _units(9), replace(SCHEDULE, clip_norm=1e6)
    assert np.linalg.norm(_gradient(units, unclipped) - _gradient(units[:8], unclipped)) > 2


def test_every_coordinate_gets_the_whole_noise() -> None:
    units = _units(5)
    clean = _gradient(units)
    generator = np.random.default_rng(3)
    noise = np.concatenate([_gradient(units, noise=generator) - clean for _ in range(30)])
    assert noise.std() == pytest.approx(SCHEDULE.noise_multiplier, rel=0.04)
    halved = replace(SCHEDULE, noise_multiplier=SCHEDULE.noise_multiplier / 2)
    assert (
        np.concatenate([_gradient(units, halved, generator) - clean for _ in range(30)]).std()
        < 0.6 * SCHEDULE.noise_multiplier
    )


def test_an_empty_batch_is_a_noisy_step() -> None:
    noisy = _gradient(_units(5)[:0], noise=np.random.default_rng(3))
    assert noisy.std() == pytest.approx(SCHEDULE.noise_multiplier, rel=0.15)


def _gradient_of_nothing(shown: torch.Tensor | None) -> np.ndarray:
    """The gradient of an empty batch, with drawn units (n, 3) whose gradients are themselves beside it."""
    layer = torch.nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    steps = PrivateSteps(layer, optimizer, SCHEDULE, noise=np.random.default_rng(3))
    if shown is None:
        steps.step(None)
    else:
        steps.step(None, shown=lambda: layer(shown)[:, 0], shown_units=len(shown))
    assert layer.weight.grad is not None
    return layer.weight.grad.numpy().ravel()


def test_units_that_were_drawn_add_the_mean_of_their_clipped_gradients_without_noise() -> None:
    """One is cut to the norm of 0.7, one is shorter, two are nothing: (0.7, 0.2, 0) / 4."""
    shown = torch.tensor([[7.0, 0, 0], [0, 0.2, 0], [0, 0, 0], [0, 0, 0]])
    added = _gradient_of_nothing(shown) - _gradient_of_nothing(None)
    assert added == pytest.approx([0.7 / 4, 0.2 / 4, 0], abs=1e-6)


def test_the_divisor_is_public() -> None:
    """An eighth of the units, the same schedule: the gradient is a sum over a public constant, not a batch's mean."""
    few, many = _gradient(_units(48)[:6]), _gradient(_units(48))
    assert np.linalg.norm(many) > 4 * np.linalg.norm(few)


def test_the_schedule_states_its_event() -> None:
    assert SCHEDULE.event == PoissonGaussian(1.0, 1.5, 1)


def test_normalised_gradients_are_bounded_alike() -> None:
    """Every unit in turn is left out; normalised, even the short gradients come close to the norm."""
    units, automatic = _units(9), replace(SCHEDULE, automatic=True)
    moved = []
    for last in range(9):
        order = [*(u for u in range(9) if u != last), last]
        moved.append(np.linalg.norm(_gradient(units[order], automatic) - _gradient(units[order[:-1]], automatic)))
    assert 0.9 < min(moved) <= max(moved) <= 1 + 1e-4


def _weights(averaging: float, steps: int) -> np.ndarray:
    """What a training ends with in which nothing but noise, always the same, moves one weight a step at a time."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    schedule = replace(SCHEDULE, learning_rate=SCHEDULE.expected_batch, steps=steps, averaging=averaging)

    class Ones:
        def standard_normal(self, size: int, *, dtype: type) -> np.ndarray:
            return -np.ones(size, dtype) / (SCHEDULE.noise_multiplier * SCHEDULE.clip_norm)

    train(
        layer,
        lambda module, batch: module(batch)[:, 0],
        torch.zeros(0, 1),
        schedule,
        noise=Ones(),
        batches=np.random.default_rng(0),
    )
    return layer.weight.detach().numpy().ravel()


def test_weights_are_averaged_over_the_steps() -> None:
    """Steps end at 1, 2, ..., 5: the last, their mean, and a mean that forgets."""
    assert _weights(0.0, 5) == pytest.approx(5, rel=1e-3)
    assert _weights(0.99, 5) == pytest.approx(3, rel=1e-3)
    assert _weights(0.5, 5) == pytest.approx(4.0625, rel=1e-3)


def _inclusion(batches: list[np.ndarray], units: int) -> np.ndarray:
    return np.array([np.isin(np.arange(units), batch) for batch in batches])


def _sizes_p_value(batches: list[np.ndarray], units: int, rate: float) -> float:
    """How surprising the spread of batch sizes is if every unit were drawn on its own (dispersion test, two-sided)."""
    sizes = np.array([len(batch) for batch in batches])
    statistic = ((sizes - units * rate) ** 2).sum() / (units * rate * (1 - rate))
    tail = chi2.cdf(statistic, len(sizes))
    return float(2 * min(tail, 1 - tail))


def test_units_are_sampled_on_their_own() -> None:
    batches = list(poisson_batches(200, rate=0.1, steps=600, generator=np.random.default_rng(0)))
    assert len(batches) == 600
    assert _sizes_p_value(batches, 200, 0.1) > 1e-4
    inside = _inclusion(batches, 200)
    assert inside.mean(axis=0) == pytest.approx(0.1, abs=0.06)
    assert np.corrcoef(inside[:-1, 0], inside[1:, 0])[0, 1] == pytest.approx(0, abs=0.15)


def test_shuffled_batches_are_convicted() -> None:
    rng = np.random.default_rng(0)
    shuffled = [part for _ in range(60) for part in np.split(rng.permutation(200), 10)]
    assert _sizes_p_value(shuffled, 200, 0.1) < 1e-9


def test_no_unit_and_rate_one() -> None:
    assert [len(b) for b in poisson_batches(0, rate=0.5, steps=3, generator=np.random.default_rng(0))] == [0, 0, 0]
    assert [len(b) for b in poisson_batches(4, rate=1.0, steps=2, generator=np.random.default_rng(0))] == [4, 4]
