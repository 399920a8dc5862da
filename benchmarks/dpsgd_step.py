"""What privacy costs one training step: a private step of ours against the same step without privacy.

A multilayer perceptron VAE of widths 300-256-256-64-256-256-300, batches of 2,048 units on average. Every round runs
each way once, one after the other, so that a busy machine is busy for all; the figures are ratios of medians of one
run. A private step is all of it: drawing the Poisson batch from 32,768 units, forward and backward pass, norms,
clipped sum, keyed noise, Adam. The plain step takes a batch of the same size and the same Adam.

    .venv/bin/python benchmarks/dpsgd_step.py

Opacus is run for reference: ``ghost`` (its DPLossFastGradientClipping) a few times, ``hooks`` once or twice, since
each of its steps holds 2,048 whole gradients (about 3 GB). Writes ``benchmarks/results/dpsgd_step.json``; the last line
is JSON with ``ratio`` (ours over plain) and those of the others.
"""

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from tables import RESULTS, machine
from torch import Tensor, nn

from dp_models.dpsgd.sampling import poisson_batches
from dp_models.dpsgd.training import PrivateSteps, Schedule
from dp_models.mechanisms.noise import SystemNoise

BATCH, UNITS, WIDTH, HIDDEN, LATENT = 2_048, 32_768, 300, 256, 64
SCHEDULE = Schedule(
    sampling_rate=BATCH / UNITS, noise_multiplier=1.0, steps=1, clip_norm=1.0, learning_rate=1e-3, expected_batch=BATCH
)
Step = Callable[[np.ndarray], None]


class Vae(nn.Module):
    """Two hidden layers each way; binary cells; `forward` gives a negated evidence lower bound for each unit (m,)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT)
        )
        self.decoder = nn.Sequential(
            nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, WIDTH)
        )

    def forward(self, cells: Tensor) -> Tensor:
        mean, log_variance = self.encoder(cells).chunk(2, dim=1)
        latent = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        wrong = nn.functional.binary_cross_entropy_with_logits(self.decoder(latent), cells, reduction="none").sum(1)
        return wrong + 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def made() -> tuple[nn.Module, torch.optim.Optimizer]:
    """The same network and optimizer every time."""
    torch.manual_seed(0)
    module = Vae()
    return module, torch.optim.Adam(module.parameters(), lr=SCHEDULE.learning_rate, fused=True)


def plain(cells: Tensor) -> Step:
    module, optimizer = made()

    def step(numbers: np.ndarray) -> None:
        optimizer.zero_grad(set_to_none=True)
        module(cells[torch.from_numpy(numbers)]).mean().backward()
        optimizer.step()

    return step


def private(cells: Tensor) -> Step:
    module, optimizer = made()
    system = SystemNoise()
    noise, batches = (system.generator(purpose) for purpose in ("noise", "batches"))
    steps = PrivateSteps(module, optimizer, SCHEDULE, noise=noise)

    def step(_: np.ndarray) -> None:
        numbers = next(poisson_batches(UNITS, rate=SCHEDULE.sampling_rate, steps=1, generator=batches))
        steps.step(lambda: module(cells[torch.from_numpy(numbers)]))

    return step


def opacus_ghost(cells: Tensor) -> Step:
    bare, optimizer = made()
    module = GradSampleModuleFastGradientClipping(bare, max_grad_norm=1.0, use_ghost_clipping=True)
    noisy = DPOptimizerFastGradientClipping(
        optimizer, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=BATCH
    )

    def step(numbers: np.ndarray) -> None:
        DPTensorFastGradientClipping(module, noisy, module(cells[torch.from_numpy(numbers)]), "mean").backward()
        noisy.step()
        noisy.zero_grad()

    return step


def opacus_per_unit(cells: Tensor, *, functorch: bool) -> Step:
    bare, optimizer = made()
    module = GradSampleModule(bare, force_functorch=functorch)
    noisy = DPOptimizer(optimizer, noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=BATCH)

    def step(numbers: np.ndarray) -> None:
        module(cells[torch.from_numpy(numbers)]).mean().backward()
        noisy.step()
        noisy.zero_grad()

    return step


def timed(step: Step, rng: np.random.Generator) -> float:
    """Seconds of one step on a batch of a Poisson batch's size."""
    numbers = rng.permutation(UNITS)[: rng.binomial(UNITS, BATCH / UNITS)]
    start = time.perf_counter()
    step(numbers)
    return time.perf_counter() - start


def measure(rounds: int, *, hooks_rounds: int) -> dict[str, list[float]]:
    """Seconds of every step: the plain one, ours and Opacus' ghost in turns, Opacus' others in the last rounds."""
    rng = np.random.default_rng(0)
    cells = torch.from_numpy((rng.random((UNITS, WIDTH)) < 0.1).astype(np.float32))
    quick = {"plain": plain(cells), "private": private(cells), "opacus_ghost": opacus_ghost(cells)}
    for step in quick.values():
        timed(step, rng), timed(step, rng)
    seconds: dict[str, list[float]] = {name: [] for name in quick}
    for number in range(rounds):
        for name, step in quick.items():
            seconds[name].append(timed(step, rng))
        if number % 20 == 19:
            print(f"round {number + 1} of {rounds}: " + shown(seconds), flush=True)
    for name, functorch in (("opacus_functorch", True), ("opacus_hooks", False)):
        seconds[name] = []
        for _ in range(hooks_rounds):
            seconds[name].append(timed(opacus_per_unit(cells, functorch=functorch), rng))
            print(f"{name}: {seconds[name][-1]:.2f} s", flush=True)
    return seconds


def shown(seconds: dict[str, list[float]]) -> str:
    return ", ".join(f"{name} {1_000 * statistics.median(s):.1f} ms" for name, s in seconds.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--hooks-rounds", type=int, default=2, help="0 leaves Opacus' slow modes out")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    seconds = measure(arguments.rounds, hooks_rounds=arguments.hooks_rounds)
    median = {name: statistics.median(s) for name, s in seconds.items() if s}
    ratios = {f"{name}_ratio": round(m / median["plain"], 3) for name, m in median.items() if "opacus" in name}
    figures: dict[str, Any] = {"ratio": round(median["private"] / median["plain"], 3), **ratios}
    run = {"median_s": median, "rounds": arguments.rounds, "threads": arguments.threads}
    RESULTS.mkdir(parents=True, exist_ok=True)
    told = figures | run | machine(("torch", "opacus", "numpy"))
    (RESULTS / "dpsgd_step.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
