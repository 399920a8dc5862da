"""Whether clipping bounds what a unit can do to a module: tried once, on the first batch, by autograd itself.

Clipping scales each unit's gradient, so two things must hold that no list of layers can promise of another's module:
a unit's loss depends on no other unit, and the units' gradients add up to the gradient of the batch. What a trained
layer made of another unit is seen by autograd; what is mixed before the first of them, or detached, only by losses that
are not random (`check_alone`). Nothing leaves this module but a refusal.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from synthgate.errors import InternalError

_SLACK = 1e-3
"""How far sums of gradients and losses may lie apart, as a part of their size: far above rounding."""
_SHORT = 0.01
"""Gradients (in norm) and losses below this count as this long: there rounding may be all that there is."""
NO_AXIS = "every layer needs the unit as its first axis"
_MIXED = "the loss of a unit depends on other units, which clipping cannot bound"


def check_axis(values: Tensor, tensors: Sequence[Tensor]) -> None:
    """Raises InternalError unless the losses ``values`` are one a unit (m,) and follow from trained layers, whose
    ``tensors`` are (m, ...)."""
    if not tensors or not values.requires_grad:
        raise InternalError("no trained layer has a part in the losses")
    if values.dim() != 1:
        raise InternalError("the losses must be one a unit")
    if any(tensor.dim() == 0 or len(tensor) != len(values) for tensor in tensors):
        raise InternalError(NO_AXIS)


def check_apart(values: Tensor, outputs: Sequence[Tensor]) -> None:
    """Raises InternalError where a half of the losses ``values`` (m,), by lot, has a gradient at the other half of any
    output (m, ...): a layer without a unit axis, or one that mixes units."""
    check_axis(values, outputs)
    if len(values) < 2:
        return
    lot = torch.randperm(len(values), generator=torch.Generator().manual_seed(0)).to(values.device)
    halves = lot[: len(lot) // 2], lot[len(lot) // 2 :]
    for own, other in (halves, halves[::-1]):
        backs = torch.autograd.grad(
            values[own].sum(), outputs, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        if any(bool((back[other].abs() > 0).any()) for back in backs):
            raise InternalError(_MIXED)


def check_alone(losses: Callable[[Tensor], Tensor], batch: Tensor) -> None:
    """Raises InternalError where the first half of a ``batch`` (m, ...) alone has other losses than beside the other
    half. Nothing is tried where the losses of the same batch differ from call to call."""
    with torch.no_grad():
        whole = losses(batch)
        if torch.equal(whole, losses(batch)):
            half = len(batch) // 2
            alone, beside = losses(batch[:half]), whole[:half]
            if alone.shape != beside.shape or bool((alone - beside).abs().gt(_SLACK * (beside.abs() + _SHORT)).any()):
                raise InternalError(_MIXED)


def check_whole(summed: Sequence[Tensor], plain: Sequence[Tensor], norms: Tensor) -> None:
    """Raises InternalError where per-unit gradients, of norms (m,), do not add up to the ``plain`` gradient of the
    batch: a parameter that is used outside its layer, or a layer that does something else than its type says."""
    gap = torch.stack([(one - other).norm() for one, other in zip(summed, plain, strict=True)]).norm()
    if not bool(gap <= _SLACK * norms.clamp(min=_SHORT).sum()):
        raise InternalError(
            "the gradients of units do not add up to that of the batch: a parameter is used outside its layer, or a"
            " layer does something else than its type says (a hook, an old weight norm)"
        )


@contextmanager
def outputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """What the layers that train parameters of their own make while it is open; those that give no tensor, or make
    another layer's weight, are left out."""
    found: list[Tensor] = []

    def keep(_layer: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.requires_grad:
            found.append(output)

    hooks = [layer.register_forward_hook(keep) for layer in module.modules() if _trained(layer)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _trained(layer: nn.Module) -> bool:
    """Whether a layer, not what makes its weight, trains parameters of its own."""
    if isinstance(layer, parametrize.ParametrizationList):
        return False
    return parametrize.is_parametrized(layer) or any(p.requires_grad for p in layer.parameters(recurse=False))
