"""Per-unit gradient norms, and weighted sums of per-unit gradients, from what went into a layer and what came back.

A layer's weight gradient for one unit is a sum over its sequence of outer products, sum_t back_t seen_t^T. Its norm
needs no gradient (ghost norms; Goodfellow 2015; Li, Tramer, Liang, Hashimoto 2022): for one position it is
|seen| |back|, for several it follows from two Gram matrices, or from the product itself where that is smaller. A sum
over units with one factor each is one matrix product over units and positions. Convolutions are the same after
unfolding (Bu, Mao, Xu 2022).

Tensors have the unit first: ``seen`` and ``back`` are (m, ...), factors and squared norms (m,).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_CHUNK = 1 << 22
"""Elements of a temporary, so that long sequences and wide layers need no memory that grows with the batch."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One layer's part in one batch. ``weight`` and ``bias`` say which of its parameters are trained."""

    layer: nn.Module
    weight: bool
    bias: bool
    seen: Tensor
    back: Tensor


@dataclass(frozen=True, slots=True)
class Rule:
    """What is known about one type of layer: squared norms (m,) over its trained parameters, and their sums over units
    with a factor each, in the order weight, bias."""

    supports: Callable[[nn.Module], bool]
    squared_norms: Callable[[Trace], Tensor]
    sums: Callable[[Trace, Tensor], list[Tensor]]


def rule_for(layer: nn.Module) -> Rule | None:
    """The rule of a layer, None where it is unknown. A subclass has none: its forward may be another."""
    rule = _RULES.get(type(layer))
    return rule if rule is not None and rule.supports(layer) else None


def _positions(tensor: Tensor) -> Tensor:
    """(m, ..., d) as (m, positions, d)."""
    return tensor.reshape(len(tensor), -1, tensor.shape[-1])


def _linear(trace: Trace) -> tuple[Tensor, Tensor]:
    return _positions(trace.seen), _positions(trace.back)


def _unfolded(trace: Trace) -> tuple[Tensor, Tensor]:
    """A convolution of one or two dimensions as a linear layer over its patches."""
    layer, seen = trace.layer, trace.seen
    assert isinstance(layer, (nn.Conv1d, nn.Conv2d))  # noqa: S101  the table below says so
    missing = 2 - len(layer.kernel_size)
    padding = layer.padding if isinstance(layer.padding, tuple) else (0,) * len(layer.kernel_size)
    patches = nn.functional.unfold(
        seen.unsqueeze(2) if missing else seen,
        (1,) * missing + layer.kernel_size,
        dilation=(1,) * missing + layer.dilation,
        padding=(0,) * missing + padding,
        stride=(1,) * missing + layer.stride,
    )
    return patches.transpose(1, 2), trace.back.flatten(2).transpose(1, 2)


def _matrix_rule(matrices: Callable[[Trace], tuple[Tensor, Tensor]], supports: Callable[[nn.Module], bool]) -> Rule:
    """A layer whose gradient is sum_t back_t seen_t^T for the two sequences that ``matrices`` gives."""

    def squared_norms(trace: Trace) -> Tensor:
        seen, back = matrices(trace)
        if seen.shape[1] == 1:
            backs = _squares(back)
            return backs * (_squares(seen) * float(trace.weight) + float(trace.bias))
        total = back.new_zeros(len(back))
        if trace.weight:
            total += _outer_norms(seen, back)
        return total + _squares(back.sum(dim=1)) if trace.bias else total

    def sums(trace: Trace, factors: Tensor) -> list[Tensor]:
        seen, back = matrices(trace)
        out = []
        if trace.weight:
            # The factor goes to the narrower side; neither may be changed in place, autograd may share them.
            if seen.shape[-1] < back.shape[-1]:
                product = back.flatten(0, 1).T @ (seen * factors[:, None, None]).flatten(0, 1)
            else:
                product = (back * factors[:, None, None]).flatten(0, 1).T @ seen.flatten(0, 1)
            weight = trace.layer.weight
            assert isinstance(weight, Tensor)  # noqa: S101
            out.append(product.view_as(weight))
        if trace.bias:
            out.append(factors @ (back[:, 0] if back.shape[1] == 1 else back.sum(dim=1)))
        return out

    return Rule(supports, squared_norms, sums)


def _squares(tensor: Tensor) -> Tensor:
    """Squared norms (m,) over everything but the unit."""
    norms: Tensor = torch.linalg.vector_norm(tensor.flatten(1), dim=1)
    return norms.square()


def _outer_norms(seen: Tensor, back: Tensor) -> Tensor:
    """|sum_t back_t seen_t^T|^2 for each unit, by the way that multiplies less.

    Gram matrices are multiplied in double precision: where positions cancel, rounding would make a norm too small, and
    a norm that is too small lets a gradient through that is too large.
    """
    positions, width = seen.shape[1], seen.shape[2] + back.shape[2]
    by_gram = 2 * positions * width <= seen.shape[2] * back.shape[2]
    size = positions * (width + 2 * positions) if by_gram else seen.shape[2] * back.shape[2]
    found = []
    rows = max(1, _CHUNK // size)
    for one, other in zip(torch.split(seen, rows), torch.split(back, rows), strict=True):
        if by_gram:
            one, other = one.double(), other.double()
            gram = (one @ one.transpose(1, 2)) * (other @ other.transpose(1, 2))
            found.append(gram.sum(dim=(1, 2)).clamp(min=0).to(seen.dtype))
        else:
            found.append(_squares(other.transpose(1, 2) @ one))
    return torch.cat(found)


def _embedding_norms(trace: Trace) -> Tensor:
    """Positions with the same index meet in one row of the weight, others do not meet at all."""
    indices, back = _indices(trace), _known(trace)
    if indices.shape[1] == 1:
        return _squares(back)
    found = []
    size = max(1, _CHUNK // (indices.shape[1] * (indices.shape[1] + back.shape[2])))
    for index, one in zip(torch.split(indices, size), torch.split(back.double(), size), strict=True):
        same = index[:, :, None] == index[:, None, :]
        found.append(((one @ one.transpose(1, 2)) * same).sum(dim=(1, 2)).clamp(min=0))
    return torch.cat(found).to(back.dtype)


def _embedding_sums(trace: Trace, factors: Tensor) -> list[Tensor]:
    weight = trace.layer.weight
    assert isinstance(weight, Tensor)  # noqa: S101
    weighted = (_known(trace) * factors[:, None, None]).flatten(0, 1)
    return [torch.zeros_like(weight).index_add_(0, trace.seen.flatten(), weighted)]


def _known(trace: Trace) -> Tensor:
    """What came back to an embedding (m, positions, d), nothing where its padding index went in."""
    layer, back = trace.layer, _positions(trace.back)
    assert isinstance(layer, nn.Embedding)  # noqa: S101
    return back if layer.padding_idx is None else back * (_indices(trace) != layer.padding_idx).unsqueeze(-1)


def _indices(trace: Trace) -> Tensor:
    """What went into an embedding (m, positions); a unit may also be one bare index."""
    return trace.seen.reshape(len(trace.seen), -1)


def _norm_gradients(trace: Trace) -> list[Tensor]:
    """Per-unit gradients of a layer norm's scale and shift: no larger than what went in, so they are made."""
    layer = trace.layer
    assert isinstance(layer, nn.LayerNorm)  # noqa: S101
    between = tuple(range(1, trace.back.dim() - len(layer.normalized_shape)))
    out = []
    if trace.weight:
        plain = nn.functional.layer_norm(trace.seen, layer.normalized_shape, eps=layer.eps) * trace.back
        out.append(plain.sum(dim=between) if between else plain)
    if trace.bias:
        out.append(trace.back.sum(dim=between) if between else trace.back)
    return out


def _norm_norms(trace: Trace) -> Tensor:
    return torch.stack([_squares(one) for one in _norm_gradients(trace)]).sum(dim=0)


def _norm_sums(trace: Trace, factors: Tensor) -> list[Tensor]:
    return [torch.tensordot(factors, one, dims=1) for one in _norm_gradients(trace)]


def _plain_convolution(layer: nn.Module) -> bool:
    return bool(layer.groups == 1) and layer.padding_mode == "zeros" and layer.padding != "same"


def _plain_embedding(layer: nn.Module) -> bool:
    return layer.max_norm is None and not layer.scale_grad_by_freq and not layer.sparse


_RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: _matrix_rule(_linear, lambda layer: True),
    nn.Conv1d: _matrix_rule(_unfolded, _plain_convolution),
    nn.Conv2d: _matrix_rule(_unfolded, _plain_convolution),
    nn.Embedding: Rule(_plain_embedding, _embedding_norms, _embedding_sums),
    nn.LayerNorm: Rule(lambda layer: True, _norm_norms, _norm_sums),
}
