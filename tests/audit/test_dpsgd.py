"""The audit of DP-SGD through the real loop: Poisson batches, clipping, noise and divisor, one mistake in each.

Worst case: one unit has a long gradient, all others have none. Games that do not mix units are played many at once.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from dp_models.dpsgd.training import Schedule
from dp_models.mechanisms.noise import SystemNoise
from tests.audit.conftest import Note
from tests.audit.games import Verdict, play
from tests.audit.gradients import Losses, Steps, linear, together, training
from tests.audit.training_bugs import (
    HalfSteps,
    ReusedSteps,
    Shuffled,
    SilentLast,
    clipped_after_sum,
    clipped_draw_by_draw,
    unclipped,
)


def schedule(rate: float, noise_multiplier: float, steps: int, *, clip_norm: float = 0.7) -> Schedule:
    return Schedule(
        sampling_rate=rate,
        noise_multiplier=noise_multiplier,
        steps=steps,
        clip_norm=clip_norm,
        learning_rate=1.0,
        expected_batch=40 * rate,
    )


def averaged(module: nn.Module, batch: Tensor) -> Tensor:
    """Sixteen latent draws of every unit, averaged before the clip."""
    return 1_000 * module(batch.expand(-1, 16))[..., 0].mean(dim=1)


CLAIMS = [(1.0, 0.8, 1), (1.0, 8.0, 60), (0.5, 0.8, 3), (0.1, 0.6, 10), (0.02, 0.6, 50)]


@pytest.mark.parametrize("games", [4_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("rate", "noise_multiplier", "steps"), CLAIMS)
def test_the_loop_is_within_its_claim(rate: float, noise_multiplier: float, steps: int, games: int, note: Note) -> None:
    claimed = schedule(rate, noise_multiplier, steps)
    what = f"DP-SGD, rate {rate:g}, noise {noise_multiplier:g}, {steps} steps"
    assert not note(what, claimed.event, together(claimed, games=games))


@pytest.mark.parametrize("games", [4_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_several_latent_draws_are_within_the_claim(games: int, note: Note) -> None:
    claimed = schedule(0.5, 0.8, 3)
    assert not note("DP-SGD, 16 draws averaged", claimed.event, together(claimed, games=games, losses=averaged))


@pytest.mark.parametrize("games", [4_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_normalised_gradients_are_within_the_claim(games: int, note: Note) -> None:
    claimed = replace(schedule(0.5, 0.8, 3), automatic=True)
    assert not note("DP-SGD, normalised", claimed.event, together(claimed, games=games))


def test_half_the_noise_is_convicted(note: Note) -> None:
    claimed = schedule(0.5, 2.0, 4)
    assert note("DP-SGD: half noise", claimed.event, together(claimed, games=4_000, noise=HalfSteps))


def test_no_clip_is_convicted(note: Note) -> None:
    claimed = schedule(0.5, 2.0, 4)
    assert note("DP-SGD: no clip", claimed.event, together(claimed, games=4_000, trained=unclipped(claimed)))


def test_every_latent_draw_clipped_on_its_own_is_convicted(note: Note) -> None:
    claimed = schedule(0.5, 2.0, 4)
    verdict = together(claimed, games=4_000, losses=clipped_draw_by_draw)
    assert note("DP-SGD: every draw clipped alone", claimed.event, verdict)


def test_shuffled_batches_are_convicted(note: Note) -> None:
    """Three batches an epoch, one epoch. With little noise a unit is seen as soon as it takes part. Under the claim it
    stays away with chance (2/3)^3 = 0.30, and epsilon is 0 at delta 0.5; shuffled, it never stays away, and who guesses
    is right 0.79 times and wrong 0.11 times: 0.79 > 0.11 + 0.5."""
    claimed = schedule(0.333333, 0.4, 3)
    assert note("DP-SGD: shuffled batches", claimed.event, together(claimed, games=4_000, noise=Shuffled))


def _layer(units: Tensor) -> Callable[[], nn.Module]:
    """Weights (1, d) for units (n, d), zero at the start."""

    def made() -> nn.Module:
        layer = nn.Linear(units.shape[1], 1, bias=False)
        nn.init.zeros_(layer.weight)
        return layer

    return made


def _one_by_one(
    claimed: Schedule,
    others: Tensor,
    victim: Tensor,
    *,
    games: int,
    noise: type[Steps] = Steps,
    losses: Losses = linear,
) -> dict[str, Verdict]:
    """Games with and without the victim among the others, units (n, d)."""
    fit = training(claimed, _layer(others), losses)
    return play(fit, others, torch.cat([others, victim]), games=games, noise=partial(noise, claimed, len(others)))


NOBODY, AGAINST, LONG = torch.zeros(1, 2), torch.tensor([[-90.0, 0.0]]), torch.tensor([[300.0, 0.0]])


def test_a_victim_that_turns_the_sum_is_within_the_claim(note: Note) -> None:
    claimed = schedule(1.0, 0.8, 1)
    verdict = _one_by_one(claimed, AGAINST, LONG, games=150)["likelihood"]
    assert not note("DP-SGD, victim against the others", claimed.event, verdict)


def test_clipping_the_sum_is_convicted(note: Note) -> None:
    """The sum turns from one end of the ball to the other: twice the clip norm."""
    claimed = schedule(1.0, 0.8, 1)
    verdict = _one_by_one(claimed, AGAINST, LONG, games=300, losses=clipped_after_sum)["likelihood"]
    assert note("DP-SGD: clip after sum", claimed.event, verdict)


def test_a_last_step_without_noise_is_convicted(note: Note) -> None:
    claimed = schedule(1.0, 8.0, 3)
    verdict = _one_by_one(claimed, NOBODY, LONG, games=40, noise=SilentLast)["coincidences"]
    assert note("DP-SGD: last step without noise", claimed.event, verdict)


def restless(module: nn.Module, batch: Tensor) -> Tensor:
    """Losses whose gradients depend on the weights: none where those are zero, then as long as may be. So steps differ,
    and the same noise in all of them shows around the right gradients alone."""
    return 1_000 * module(batch)[:, 0] ** 2


def test_noise_that_is_used_again_is_convicted(note: Note) -> None:
    claimed = schedule(1.0, 8.0, 3)
    verdict = _one_by_one(claimed, NOBODY, LONG, games=40, noise=ReusedSteps, losses=restless)["coincidences"]
    assert note("DP-SGD: noise used again", claimed.event, verdict)


def test_dividing_by_the_true_batch_is_convicted(note: Note) -> None:
    """Nobody has a gradient, and yet the noise, which is divided too, tells how many there are."""
    claimed = replace(schedule(1.0, 8.0, 3), expected_batch=1.0)

    def fit(units: Tensor, source: SystemNoise) -> None:
        training(replace(claimed, expected_batch=float(len(units))), _layer(units), linear)(units, source)

    nobody = torch.zeros(1, 64)
    verdict = play(fit, nobody, torch.zeros(2, 64), games=40, noise=partial(Steps, claimed, 1))["spread"]
    assert note("DP-SGD: divided by the true size", claimed.event, verdict)


def test_an_honest_loop_shows_nothing_to_the_other_attacks() -> None:
    claimed = schedule(1.0, 8.0, 3)
    verdicts = _one_by_one(claimed, torch.zeros(1, 64), torch.ones(1, 64), games=40, losses=restless)
    assert not any(verdict.breaks(claimed.event) for verdict in verdicts.values())
