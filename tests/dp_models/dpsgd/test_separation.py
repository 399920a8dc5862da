"""What clipping cannot bound is refused, whether the module shows it or only its first batch does."""

import copy
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dp_models.dpsgd.clipping import Ghost, PerUnit, clipped_sums
from dp_models.dpsgd.training import Schedule, train
from synthgate.errors import InternalError
from tests.dp_models.dpsgd.gradients import FLAT, UNITS, far, losses, one_by_one, words


class TestRefusals:
    def test_a_layer_that_runs_twice(self) -> None:
        layer = nn.Linear(4, 4)
        module = nn.Sequential(layer, nn.Tanh(), layer)
        with pytest.raises(InternalError, match="twice"):
            Ghost(module).sums(lambda: module(torch.randn(3, 4)).sum(1), FLAT)

    def test_layers_that_share_a_parameter(self) -> None:
        module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        module[1].weight = module[0].weight
        with pytest.raises(InternalError, match="share"):
            Ghost(module)

    def test_a_change_in_place(self) -> None:
        module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(inplace=True))
        with pytest.raises(InternalError, match="in place"):
            Ghost(module).sums(lambda: module(torch.randn(3, 4)).sum(1), FLAT)

    def test_a_unit_that_is_not_the_first_axis(self) -> None:
        module = nn.Linear(4, 4)
        with pytest.raises(InternalError, match="first axis"):
            Ghost(module).sums(lambda: module(torch.randn(6, 4)).view(3, -1).sum(1), FLAT)

    @pytest.mark.parametrize("norm", [nn.BatchNorm1d(4), nn.InstanceNorm1d(4, track_running_stats=True)])
    def test_statistics_of_batches(self, norm: nn.Module) -> None:
        """The second mixes no units, but its running means, which would be stored, have no noise."""
        with pytest.raises(InternalError, match=r"normalisation|running"):
            clipped_sums(nn.Sequential(nn.Conv1d(4, 4, 1), norm))

    def test_nothing_that_is_trained(self) -> None:
        module = nn.Linear(4, 4)
        with pytest.raises(InternalError, match="no trained layer"):
            Ghost(module).sums(lambda: torch.ones(3), FLAT)


class Places(nn.Module):
    """Adds a learnt place to every word: a layer without a unit axis, which shows where units are as many as places."""

    def __init__(self, places: int) -> None:
        super().__init__()
        self.words, self.places, self.out = nn.Embedding(11, 6), nn.Embedding(places, 6), nn.Linear(6, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.out(torch.tanh(self.words(words) + self.places(torch.arange(words.shape[1]))))


class Centred(nn.Linear):
    """Takes the mean of the batch off, so that each unit moves the others."""

    def forward(self, cells: Tensor) -> Tensor:
        made = super().forward(cells)
        return made - made.mean(0)


class Tied(nn.Module):
    """Uses a layer's weight once more, outside it."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6)

    def forward(self, words: Tensor) -> Tensor:
        return nn.functional.linear(torch.tanh(self.words(words)), self.words.weight)


class Named(nn.Module):
    """Calls its layer by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, cells: Tensor) -> Tensor:
        return self.layer(input=cells)


def _doubled() -> nn.Module:
    layer = nn.Linear(5, 3)
    layer.register_forward_hook(lambda _layer, _inputs, output: 2 * output)
    return layer


def _old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.Linear(5, 3))


class TestSeparation:
    """What rules for layers cannot know of a module is seen on its first batch."""

    @pytest.mark.parametrize("way", [Ghost, PerUnit])
    def test_a_layer_without_units_is_seen_where_a_batch_has_its_size(self, way: type[Ghost] | type[PerUnit]) -> None:
        module, batch = Places(UNITS), words(UNITS)
        with pytest.raises(InternalError, match="depends on other units"):
            way(module).sums(lambda: losses(module, batch), FLAT)

    def test_units_that_move_each_other(self) -> None:
        module = nn.Sequential(nn.Linear(5, 4), Centred(4, 3))
        with pytest.raises(InternalError, match="depends on other units"):
            clipped_sums(module).sums(lambda: losses(module, torch.randn(UNITS, 5)), FLAT)

    @pytest.mark.parametrize("way", [Ghost, PerUnit])
    @pytest.mark.parametrize("parts", [1, 2, 4])
    def test_units_that_move_each_other_in_parts(self, way: type[Ghost] | type[PerUnit], parts: int) -> None:
        """A virtual batch norm: parts of the batch that are centred each on its own."""
        module = nn.Linear(5, 4)

        def mixed() -> Tensor:
            made = module(torch.randn(16, 5)).view(parts, 16 // parts, 4)
            return (made - made.mean(1, keepdim=True)).view(16, 4).square().sum(1)

        with pytest.raises(InternalError, match="depends on other units"):
            way(module).sums(mixed, FLAT)

    @pytest.mark.parametrize("detached", [False, True])
    def test_what_is_mixed_before_the_first_layer_or_detached_is_seen_by_losses_that_are_not_random(
        self, detached: bool
    ) -> None:
        def losses_of(module: nn.Module, batch: Tensor) -> Tensor:
            mean = batch.mean(0)
            made = module(batch if detached else batch - mean).square().sum(1)
            return made * mean.sum().detach() if detached else made

        schedule = Schedule(
            sampling_rate=1.0, noise_multiplier=1.0, steps=2, clip_norm=1.0, learning_rate=0.1, expected_batch=16.0
        )
        with pytest.raises(InternalError, match="depends on other units"):
            generators = (np.random.default_rng(0), np.random.default_rng(1))
            train(nn.Linear(5, 4), losses_of, torch.randn(16, 5), schedule, noise=generators[0], batches=generators[1])

    def test_draws_in_the_place_of_units_are_seen_where_they_are_not_random(self) -> None:
        schedule = Schedule(
            sampling_rate=1.0, noise_multiplier=1.0, steps=2, clip_norm=1.0, learning_rate=0.1, expected_batch=16.0
        )

        def drawn(module: nn.Module, batch: Tensor) -> Tensor:
            return module(batch.repeat_interleave(3, dim=0)).square().sum(1)

        with pytest.raises(InternalError, match="depends on other units"):
            generators = (np.random.default_rng(0), np.random.default_rng(1))
            train(nn.Linear(5, 4), drawn, torch.randn(16, 5), schedule, noise=generators[0], batches=generators[1])

    def test_gradients_that_cancel_to_rounding_are_whole(self) -> None:
        """A bias before a centring learns nothing, whatever rounding leaves."""
        module = nn.Linear(5, 4)
        module.weight.requires_grad_(False)

        def centred() -> Tensor:
            made = module(torch.randn(UNITS, 64, 5))
            return (made - made.mean(1, keepdim=True)).square().sum((1, 2))

        assert max(float(one.abs().max()) for one in Ghost(module).sums(centred, FLAT)) < 1e-3

    @pytest.mark.parametrize("way", [Ghost, PerUnit])
    def test_losses_that_are_not_one_a_unit(self, way: type[Ghost] | type[PerUnit]) -> None:
        module = nn.Linear(5, 4)
        for wrong in (lambda: module(torch.randn(UNITS, 5)).sum(), lambda: torch.ones(UNITS)):
            with pytest.raises(InternalError, match=r"one a unit|no trained layer"):
                way(module).sums(wrong, FLAT)

    def test_a_first_batch_of_one_unit_leaves_the_trial_to_the_next(self) -> None:
        module = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 4))
        sums = Ghost(module)
        sums.sums(lambda: module(torch.randn(1, 5)).sum(1), FLAT)
        with pytest.raises(InternalError, match="depends on other units"):
            sums.sums(lambda: (made := module(torch.randn(UNITS, 5))).sum(1) * made.mean(), FLAT)

    @pytest.mark.parametrize(
        ("made", "batch"),
        [
            (Tied, lambda: words(4)),
            (_doubled, lambda: torch.randn(UNITS, 5)),
            (lambda: nn.Conv1d(5, 3, 3, padding=1, padding_mode="circular"), lambda: torch.randn(UNITS, 5, 7)),
        ],
        ids=["tied", "hook", "opacus"],
    )
    def test_gradients_that_are_not_all(self, made: Callable[[], nn.Module], batch: Callable[[], Tensor]) -> None:
        """A weight used twice, a hook, and a padding of which Opacus makes another layer's gradients."""
        torch.manual_seed(3)
        module, rows = made(), batch()
        with pytest.raises(InternalError, match="do not add up"):
            clipped_sums(module).sums(lambda: losses(module, rows), FLAT)

    @pytest.mark.parametrize(
        ("made", "batch"),
        [
            (_old_weight_norm, lambda: torch.randn(UNITS, 5)),
            (lambda: nn.EmbeddingBag(11, 4), lambda: words(3)),
        ],
        ids=["old weight norm", "bag"],
    )
    def test_what_opacus_cannot_take_is_a_typed_error(
        self, made: Callable[[], nn.Module], batch: Callable[[], Tensor]
    ) -> None:
        module, rows = made(), batch()
        with pytest.raises(InternalError, match="Opacus has no"):
            clipped_sums(module).sums(lambda: losses(module, rows), FLAT)

    @pytest.mark.parametrize(
        "module", [Named(), nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))], ids=["keyword", "weight norm"]
    )
    def test_calls_by_keyword_and_weights_that_are_made_are_taken(self, module: nn.Module) -> None:
        batch = torch.randn(UNITS, 5)
        wanted = one_by_one(copy.deepcopy(module), batch, FLAT)
        assert far(clipped_sums(module).sums(lambda: losses(module, batch), FLAT), wanted) < 1e-5
