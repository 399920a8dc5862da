"""Per-unit gradients by their definition, which ways to clip are compared with."""

import torch
from torch import Tensor, nn

from dp_models.dpsgd.clipping import Clipping

UNITS = 9
FLAT, AUTOMATIC, OPEN = Clipping(norm=0.7), Clipping(norm=0.7, automatic=True), Clipping(norm=1e9)


def words(length: int) -> Tensor:
    return torch.randint(0, 11, (UNITS, length))


def losses(module: nn.Module, batch: Tensor) -> Tensor:
    """One loss a unit; the first units' are larger, so that flat clipping cuts some and leaves others."""
    weights = torch.logspace(0.5, -2, len(batch), device=batch.device)
    return weights * module(batch).square().flatten(1).mean(1)


def one_by_one(module: nn.Module, batch: Tensor, clipping: Clipping) -> list[Tensor]:
    """The definition: each unit's gradient on its own, clipped, added."""
    trained = [p for p in module.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in trained]
    weights = torch.logspace(0.5, -2, len(batch))
    for number in range(len(batch)):
        loss = weights[number] * module(batch[number : number + 1]).square().mean()
        gradient = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
        norm = torch.stack([g.norm() for g in gradient]).norm()
        for whole, part in zip(total, gradient, strict=True):
            whole += clipping.factors(norm[None])[0] * part
    return total


def far(found: list[Tensor], wanted: list[Tensor]) -> float:
    """The distance of two gradients, relative to the length of the second."""
    gap = torch.stack([(f - w).norm() for f, w in zip(found, wanted, strict=True)]).norm()
    return float(gap / torch.stack([w.norm() for w in wanted]).norm())
