"""Modules of the types of layers that clipping knows, each with a batch of units for it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.dp_models.dpsgd.gradients import UNITS, words


class Sequence(nn.Module):
    """Words to numbers: an embedding, a layer norm, a convolution and a linear layer over positions."""

    def __init__(self, *, padding: int | None = None) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(11, 6, padding_idx=padding), nn.LayerNorm(6)
        self.near, self.out = nn.Conv1d(6, 8, 3, padding=1, stride=2), nn.Linear(8, 3, bias=False)

    def forward(self, words: Tensor) -> Tensor:
        inner = torch.tanh(self.near(self.norm(self.words(words)).transpose(1, 2)))
        return self.out(inner.transpose(1, 2))


class Image(nn.Module):
    """A convolution over a picture, then a linear layer over all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.out = nn.Conv2d(2, 4, (3, 2), padding=(1, 0), dilation=(1, 2)), nn.Linear(4 * 5 * 4, 3)

    def forward(self, picture: Tensor) -> Tensor:
        return self.out(torch.relu(self.near(picture)).flatten(1))


class Frozen(nn.Module):
    """A branch that is not trained, one that only its bias is, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.idle = nn.Linear(5, 4), nn.Linear(4, 3), nn.Linear(2, 2)
        self.first.requires_grad_(False)
        self.second.weight.requires_grad_(False)

    def forward(self, cells: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(cells)))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.LayerNorm(7), nn.Linear(7, 3))


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "one position": (perceptron, lambda: torch.randn(UNITS, 5)),
    "two positions": (perceptron, lambda: torch.randn(UNITS, 2, 5)),
    "many positions": (perceptron, lambda: torch.randn(UNITS, 40, 5)),
    "rows and draws": (perceptron, lambda: torch.randn(UNITS, 3, 4, 5)),
    "wide layer": (lambda: nn.Linear(64, 48), lambda: torch.randn(UNITS, 3, 64)),
    "word": (Sequence, lambda: words(1)),
    "bare index": (lambda: nn.Sequential(nn.Embedding(11, 6), nn.Linear(6, 3)), lambda: torch.arange(UNITS)),
    "sentence": (Sequence, lambda: words(12)),
    "picture": (Image, lambda: torch.randn(UNITS, 2, 5, 6)),
    "frozen parts": (Frozen, lambda: torch.randn(UNITS, 5)),
}
