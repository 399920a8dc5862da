"""Clipped sums are what clipping every unit's own gradient gives, however they are obtained; and each fault is seen.

The law is checked against gradients taken one unit at a time and against Opacus' hooks, over types of layers, lengths
of sequences, and ways to clip.
"""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dp_models.dpsgd.clipping import Clipping, Ghost, PerUnit, clipped_sums, unknown_layers
from synthgate.errors import InternalError
from tests.dp_models.dpsgd.cases import CASES, Sequence, perceptron
from tests.dp_models.dpsgd.gradients import AUTOMATIC, FLAT, OPEN, UNITS, far, losses, one_by_one, words


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(3)
    module, batch = CASES[request.param]
    return module(), batch()


@pytest.mark.parametrize("clipping", [FLAT, AUTOMATIC, OPEN], ids=["flat", "automatic", "open"])
class TestEveryLayer:
    def test_is_the_sum_of_clipped_gradients(self, case: tuple[nn.Module, Tensor], clipping: Clipping) -> None:
        module, batch = case
        found = Ghost(module).sums(lambda: losses(module, batch), clipping)
        assert far(found, one_by_one(module, batch, clipping)) < 1e-5

    def test_agrees_with_opacus(self, case: tuple[nn.Module, Tensor], clipping: Clipping) -> None:
        module, batch = case
        other = copy.deepcopy(module)
        found = Ghost(module).sums(lambda: losses(module, batch), clipping)
        assert far(PerUnit(other).sums(lambda: losses(other, batch), clipping), found) < 1e-5


@pytest.mark.parametrize(
    ("made", "batch"),
    [
        (lambda: Sequence(padding=0), lambda: words(12)),
        (lambda: nn.Sequential(nn.Embedding(11, 6, padding_idx=0), nn.Linear(6, 3)), lambda: torch.arange(UNITS)),
    ],
    ids=["sentence", "bare index"],
)
def test_a_padding_index_learns_nothing(made: Callable[[], nn.Module], batch: Callable[[], Tensor]) -> None:
    torch.manual_seed(3)
    module, rows = made(), batch()
    found = Ghost(module).sums(lambda: losses(module, rows), FLAT)
    assert far(found, one_by_one(module, rows, FLAT)) < 1e-5
    assert not found[0][0].any()


def test_parameters_are_as_before_and_hold_no_gradient() -> None:
    module = perceptron()
    sums = Ghost(module)
    sums.sums(lambda: losses(module, torch.randn(4, 5)), FLAT)
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
    assert [p.shape for p in sums.parameters] == [p.shape for p in module.parameters()]


def test_no_unit_is_longer_than_the_norm() -> None:
    """Also where positions cancel, so that the norm is far below what it is the difference of."""
    torch.manual_seed(3)
    module = nn.Linear(6, 5)
    seen, back = torch.randn(1, 1, 6).expand(20, 1, 6), 1e4 * torch.randn(20, 1, 5)
    twice = torch.cat([seen, seen + 1e-4 * torch.randn(20, 1, 6)], dim=1)
    signed = torch.cat([back, -back], dim=1)
    for unit in range(20):
        part = slice(unit, unit + 1)
        sums = Ghost(module).sums(lambda part=part: (module(twice[part]) * signed[part]).sum((1, 2)), FLAT)
        assert torch.stack([s.norm() for s in sums]).norm() <= FLAT.norm * (1 + 1e-3)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("way", [Ghost, PerUnit])
def test_a_unit_without_a_finite_gradient_counts_as_nothing(way: type[Ghost] | type[PerUnit], poison: float) -> None:
    torch.manual_seed(3)
    module, batch = perceptron(), torch.randn(UNITS, 5)
    scaled = torch.ones(UNITS)
    scaled[4] = poison
    wanted = one_by_one(module, batch, FLAT)
    alone = Ghost(module).sums(lambda: losses(module, batch) * (torch.arange(UNITS) == 4), FLAT)
    found = way(module).sums(lambda: losses(module, batch) * scaled, FLAT)
    assert far(found, [w - a for w, a in zip(wanted, alone, strict=True)]) < 1e-4


class TestFaults:
    """A decoder that sees two latent draws of one record, with every way to get the clipping wrong."""

    @staticmethod
    def _case() -> tuple[nn.Module, Tensor]:
        torch.manual_seed(3)
        return nn.Linear(4, 3), torch.randn(1, 2, 4) + 3

    def _sum(self, module: nn.Module, draws: Tensor, clipping: Clipping = FLAT) -> float:
        sums = Ghost(module).sums(
            lambda: 50 * module(draws).square().sum(-1).mean(-1).view(len(draws), -1).sum(1), clipping
        )
        return float(torch.stack([s.norm() for s in sums]).norm())

    def test_draws_are_averaged_before_the_clip(self) -> None:
        module, draws = self._case()
        assert self._sum(module, draws) == pytest.approx(FLAT.norm, rel=1e-5)

    def test_clipping_every_draw_is_convicted(self) -> None:
        """Draws in the place of units: one record moves the sum by up to as many norms as it has draws."""
        module, draws = self._case()
        assert self._sum(module, draws.transpose(0, 1)) > 1.8 * FLAT.norm

    def test_no_clip_is_convicted(self) -> None:
        module, draws = self._case()
        assert self._sum(module, draws, OPEN) > 10 * FLAT.norm

    def test_clipping_after_the_sum_is_convicted(self) -> None:
        """The sum of all is short enough, and one record turns it round: neighbours differ by almost two norms."""
        module, draws = self._case()
        signs = torch.tensor([1.0, -50.0])

        def sums(units: int, clipping: Clipping) -> list[Tensor]:
            batch = draws.expand(units, -1, -1)
            return Ghost(module).sums(lambda: signs[:units] * module(batch).sum((1, 2)), clipping)

        def clipped_late(units: int) -> list[Tensor]:
            whole = sums(units, OPEN)
            factor = FLAT.factors(torch.stack([s.norm() for s in whole]).norm()[None])
            return [s * factor[0] for s in whole]

        def moved(ways: Callable[[int], list[Tensor]]) -> float:
            gaps = [(a - b).norm() for a, b in zip(ways(2), ways(1), strict=True)]
            return float(torch.stack(gaps).norm()) / FLAT.norm

        assert moved(lambda units: sums(units, FLAT)) == pytest.approx(1, rel=1e-5)
        assert moved(clipped_late) > 1.9


class Scaled(nn.Linear):
    """A layer whose forward is not a linear layer's, so that the rule of one would be wrong."""

    def forward(self, cells: Tensor) -> Tensor:
        return 2 * super().forward(cells)


@pytest.mark.parametrize(
    "unknown", [nn.GroupNorm(2, 6), Scaled(6, 6), nn.Conv1d(6, 6, 1, groups=2)], ids=["type", "subclass", "option"]
)
def test_unknown_layers_fall_back_to_opacus(unknown: nn.Module) -> None:
    torch.manual_seed(3)
    convolution = isinstance(unknown, nn.Conv1d)
    module = nn.Sequential(nn.Linear(5, 6), nn.Unflatten(1, (6, 1)) if convolution else nn.Tanh(), unknown).double()
    batch = torch.randn(UNITS, 5).double()  # group norm of three values nearly alike loses more than 1e-5 in single
    assert unknown_layers(module) == ["2"]
    found = clipped_sums(module)
    assert isinstance(found, PerUnit) and isinstance(clipped_sums(perceptron()), Ghost)
    with pytest.raises(InternalError, match="no rule"):
        Ghost(module)
    wanted = one_by_one(copy.deepcopy(module), batch, FLAT)
    assert far(found.sums(lambda: losses(module, batch), FLAT), wanted) < 1e-5
