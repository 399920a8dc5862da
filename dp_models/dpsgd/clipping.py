"""Sums of clipped per-unit gradients, in one backward pass, without any unit's gradient where its layer is known.

`Ghost` keeps what goes into each layer and what comes back, takes norms from the two, and multiplies them once more
with the units' clip factors: book-keeping (Bu, Wang, Zha, Karypis 2023). The plain weight gradients that nobody needs
are not computed: parameters take no part in the backward pass, so what reaches the optimizer can only be what was
clipped. `PerUnit` is the fall-back for layers that `Ghost` does not know: Opacus' per-unit gradients.

Both try a module on its first batch (`separation`): what is clipped must be each unit's own gradient, and all of it.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from opacus import GradSampleModule
from torch import Tensor, nn

from dp_models.dpsgd.layers import Rule, Trace, rule_for
from dp_models.dpsgd.separation import NO_AXIS, check_apart, check_axis, check_whole, outputs_of
from synthgate.errors import InternalError

_AUTOMATIC_FLOOR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Clipping:
    """How one unit's gradient is bounded to norm ``norm``.

    Flat: scaled down where it is longer (Abadi et al. 2016). ``automatic``: every gradient g becomes
    norm g / (|g| + 0.01), which needs no tuning to the scale of the loss (Bu, Wang, Zha, Karypis 2023).
    """

    norm: float
    automatic: bool = False

    def factors(self, norms: Tensor) -> Tensor:
        """What each unit's gradient is multiplied with, (m,); 0 where its norm (m,) is not a finite number."""
        found = self.norm / (norms + _AUTOMATIC_FLOOR) if self.automatic else self.norm / norms.clamp(min=self.norm)
        return torch.where(torch.isfinite(norms), found, 0.0)


class ClippedSums(Protocol):
    """Runs a batch of a module and sums the clipped gradients of its units."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The trained parameters, in the module's order."""

    def sums(self, losses: Callable[[], Tensor], clipping: Clipping) -> list[Tensor]:
        """One tensor a parameter. ``losses()`` runs the module on one batch, unit first in every layer, and gives one
        loss a unit (m,), m at least 1."""


def clipped_sums(module: nn.Module) -> ClippedSums:
    """`Ghost` where every trained layer is known to it, else `PerUnit`. Raises InternalError for batch statistics,
    which mix units, and for running statistics, which would hold means of the rows without noise."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            raise InternalError("batch normalisation mixes units; use a layer norm")
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats:
            raise InternalError("running statistics keep means of the rows without noise; leave them off")
    return Ghost(module) if not unknown_layers(module) else PerUnit(module)


def unknown_layers(module: nn.Module) -> list[str]:
    """The names of layers that train parameters of their own and have no rule."""
    trained = [(n, m) for n, m in module.named_modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
    return [name or type(layer).__name__ for name, layer in trained if rule_for(layer) is None or not _usual(layer)]


def _usual(layer: nn.Module) -> bool:
    """Whether a layer trains nothing but its weight and bias: others put something else in their place."""
    return {name for name, p in layer.named_parameters(recurse=False) if p.requires_grad} <= {"weight", "bias"}


class Ghost:
    """Clipped sums of a module all of whose trained layers have a rule.

    A layer may run once a batch and its parameters belong to it alone, since gradients of two uses would have to be
    added before the norm is taken. Raises InternalError where that does not hold, and where units are not apart.
    """

    def __init__(self, module: nn.Module) -> None:
        if unknown := unknown_layers(module):
            raise InternalError(f"no rule for the gradient norms of {', '.join(unknown)}")
        self._tried = False
        self._rules: dict[nn.Module, tuple[Rule, bool, bool]] = {}
        self.parameters: list[nn.Parameter] = []
        for layer in module.modules():
            own = {name: p for name, p in layer.named_parameters(recurse=False) if p.requires_grad}
            if not own:
                continue
            if any(p is other for p in own.values() for other in self.parameters):
                raise InternalError("two layers share a parameter; their gradients cannot be clipped apart")
            rule = rule_for(layer)
            assert rule is not None  # noqa: S101  unknown layers were refused above
            self._rules[layer] = (rule, "weight" in own, "bias" in own)
            self.parameters += [own[name] for name in ("weight", "bias") if name in own]

    def sums(self, losses: Callable[[], Tensor], clipping: Clipping) -> list[Tensor]:
        """See `ClippedSums`."""
        traces, plain = self._run(losses)
        with torch.no_grad():
            squares = [self._rules[layer][0].squared_norms(trace) for layer, trace in traces.items()]
            norms = torch.stack(squares).sum(dim=0).sqrt()
            if not bool(torch.isfinite(norms).all()):
                kept = torch.isfinite(norms)
                traces = {layer: _without(trace, kept) for layer, trace in traces.items()}
            elif plain is not None:
                check_whole(self._summed(traces, torch.ones_like(norms)), plain, norms)
                self._tried = len(norms) > 1
            return self._summed(traces, clipping.factors(norms))

    def _summed(self, traces: dict[nn.Module, Trace], factors: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for layer, (rule, weight, bias) in self._rules.items():
            if layer in traces:
                found += rule.sums(traces[layer], factors)
            else:
                found += [torch.zeros_like(p) for p in self.parameters[len(found) :][: weight + bias]]
        return found

    def _run(self, losses: Callable[[], Tensor]) -> tuple[dict[nn.Module, Trace], list[Tensor] | None]:
        """One forward and one backward pass; the second ends at the outputs of the layers.

        Until the module has been tried on two units or more it goes on to the parameters, for what `check_whole` needs.
        """
        trying = not self._tried
        with self._recorded(trying) as calls:
            values = losses()
        if any(tensor._version != version for _, *kept in calls for tensor, version in kept):
            raise InternalError("a layer's input or output was changed in place")
        check_axis(values, [seen for _, (seen, _), _ in calls])
        outputs = [output for _, _, (output, _) in calls]
        if trying:
            check_apart(values, outputs)
        sides = [*outputs, *self.parameters] if trying else outputs
        backs = torch.autograd.grad(values.sum(), sides, allow_unused=True, materialize_grads=True)
        traces = {
            layer: Trace(layer, *self._rules[layer][1:], seen.detach(), back)
            for (layer, (seen, _), _), back in zip(calls, backs[: len(outputs)], strict=True)
        }
        return traces, list(backs[len(outputs) :]) if trying else None

    @contextmanager
    def _recorded(self, trying: bool) -> Iterator[list[tuple[nn.Module, tuple[Tensor, int], tuple[Tensor, int]]]]:
        """Layers, inputs and outputs of what runs inside, tensors with their versions; parameters want no gradient but
        where they are tried."""
        calls: list[tuple[nn.Module, tuple[Tensor, int], tuple[Tensor, int]]] = []

        def keep(layer: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor) -> None:
            if any(layer is other for other, *_ in calls):
                raise InternalError("a layer ran twice in one batch; its gradients cannot be clipped apart")
            if not output.requires_grad:
                output.requires_grad_()
            seen = inputs[0] if inputs else named["input"]
            calls.append((layer, (seen, seen._version), (output, output._version)))

        hooks = [layer.register_forward_hook(keep, with_kwargs=True) for layer in self._rules]
        try:
            for parameter in self.parameters:
                parameter.requires_grad_(trying)
            yield calls
        finally:
            for parameter in self.parameters:
                parameter.requires_grad_(True)
            for hook in hooks:
                hook.remove()


def _without(trace: Trace, kept: Tensor) -> Trace:
    """A trace in which units that are not ``kept`` have neither gone in nor come back."""

    def masked(tensor: Tensor) -> Tensor:
        return torch.where(kept.view(-1, *([1] * (tensor.dim() - 1))), tensor, torch.zeros_like(tensor))

    return replace(trace, seen=masked(trace.seen), back=masked(trace.back))


class PerUnit:
    """Clipped sums from per-unit gradients that Opacus makes one by one: any layer it knows, at their full cost.

    Raises InternalError where Opacus cannot make them, where they are not all of the gradient and where units are not
    apart.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module, self._tried = module, False
        self.parameters = [p for p in module.parameters() if p.requires_grad]

    def sums(self, losses: Callable[[], Tensor], clipping: Clipping) -> list[Tensor]:
        """See `ClippedSums`."""
        if not self._tried:
            with outputs_of(self._module) as outputs:
                values = losses()
            with self._typed():
                check_apart(values, outputs)
        found, plain = self._per_unit(losses)
        with torch.no_grad():
            norms = torch.stack([one.flatten(1).norm(dim=1) for one in found]).norm(dim=0)
            factors, kept = clipping.factors(norms), torch.isfinite(norms)
            if not self._tried and bool(kept.all()):
                check_whole([one.sum(dim=0) for one in found], plain, norms)
                self._tried = len(norms) > 1
            return [torch.tensordot(factors[kept], one[kept], dims=1) for one in found]

    def _per_unit(self, losses: Callable[[], Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Per-unit gradients (m, ...) of every parameter, and the gradient of all units together."""
        watched = None
        try:
            with self._typed():
                watched = GradSampleModule(self._module, batch_first=True, loss_reduction="sum", strict=True)
                values = losses()
                with warnings.catch_warnings():
                    # Rows are data: nothing needs a gradient with respect to them, which torch finds worth a warning.
                    warnings.filterwarnings("ignore", "Full backward hook is firing")
                    torch.autograd.backward(values.sum())
            plain = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
            return [self._taken(parameter, len(values)) for parameter in self.parameters], plain
        finally:
            if watched is not None:
                watched.to_standard_module()

    @contextmanager
    def _typed(self) -> Iterator[None]:
        """What Opacus and autograd raise of a module that they cannot take, as InternalError."""
        try:
            yield
        except (AttributeError, IndexError, RuntimeError, ValueError) as error:
            raise InternalError(
                f"Opacus has no per-unit gradients of this module ({', '.join(unknown_layers(self._module))}); use"
                " linear, convolution, embedding or layer-norm layers, none of which works in place"
            ) from error

    @staticmethod
    def _taken(parameter: nn.Parameter, units: int) -> Tensor:
        """A parameter's per-unit gradients (m, ...), which are removed from it."""
        taken = getattr(parameter, "grad_sample", None)
        parameter.grad, parameter.grad_sample = None, None  # type: ignore[attr-defined]  # Opacus put it there
        if taken is None:
            return parameter.new_zeros((units, *parameter.shape))
        if not isinstance(taken, Tensor):
            raise InternalError("a layer ran twice in one batch; its gradients cannot be clipped apart")
        if len(taken) != units:
            raise InternalError(NO_AXIS)
        return taken
