"""`DpEvent`: what a mechanism did, apart from what it costs.

Events are values. They travel as a versioned JSON tree (``{"version": 1, "event": {"kind": ...}}``) in plans, ledger
entries and attestations, and are turned into a price by ``dp_models.mechanisms.accounting``, which refuses every
event that it does not know. Noise scales are relative to the sensitivity in the adjacency of DESIGN section 2
(zero-out of one privacy unit, accounted as add/remove).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from synthgate.errors import InvalidArgument

VERSION = 1


@dataclass(frozen=True, slots=True)
class DpEvent:
    """The base of every event; never used on its own."""

    kind: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """The event as a versioned JSON tree."""
        return {"version": VERSION, "event": self._tree()}

    def _tree(self) -> dict[str, Any]:
        return {"kind": self.kind} | {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Gaussian(DpEvent):
    """One query with continuous Gaussian noise of ``noise_multiplier`` times the L2 sensitivity."""

    noise_multiplier: float
    kind: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        _positive(noise_multiplier=self.noise_multiplier)


@dataclass(frozen=True, slots=True)
class DiscreteGaussian(DpEvent):
    """One table of integer counts with discrete Gaussian noise of scale ``sigma`` (counts); a unit moves one cell by at
    most ``sensitivity`` counts (Canonne, Kamath, Steinke 2020)."""

    sigma: float
    sensitivity: int = 1
    kind: ClassVar[str] = "discrete_gaussian"

    def __post_init__(self) -> None:
        _positive(sigma=self.sigma, sensitivity=self.sensitivity)


@dataclass(frozen=True, slots=True)
class Exponential(DpEvent):
    """One draw of the exponential mechanism with probability proportional to exp(epsilon score / (2 sensitivity)):
    ``epsilon``-bounded range (Dong, Durfee, Rogers 2020)."""

    epsilon: float
    kind: ClassVar[str] = "exponential"

    def __post_init__(self) -> None:
        _positive(epsilon=self.epsilon)


@dataclass(frozen=True, slots=True)
class PoissonGaussian(DpEvent):
    """``steps`` Gaussian queries, each on a Poisson sample of the units with rate ``sampling_rate`` (DP-SGD)."""

    sampling_rate: float
    noise_multiplier: float
    steps: int
    kind: ClassVar[str] = "poisson_gaussian"

    def __post_init__(self) -> None:
        _positive(sampling_rate=self.sampling_rate, noise_multiplier=self.noise_multiplier, steps=self.steps)
        if self.sampling_rate > 1:
            raise InvalidArgument("a sampling rate lies in (0, 1]")


@dataclass(frozen=True, slots=True)
class ZeroConcentrated(DpEvent):
    """Mechanisms whose scales adapted to what came before, in a filter that keeps the sum of their zero-concentrated
    rho at most ``rho`` (Feldman, Zrnic 2021): a Rényi divergence of ``rho`` times the order at most, at every order."""

    rho: float
    kind: ClassVar[str] = "zero_concentrated"

    def __post_init__(self) -> None:
        _positive(rho=self.rho)


@dataclass(frozen=True, slots=True)
class Opaque(DpEvent):
    """A foreign mechanism known only by its (epsilon, delta) claim; only an account's meter A can hold it."""

    epsilon: float
    delta: float
    kind: ClassVar[str] = "opaque"

    def __post_init__(self) -> None:
        _positive(epsilon=self.epsilon, delta=self.delta)


@dataclass(frozen=True, slots=True)
class Composed(DpEvent):
    """Several events on the same units, one after the other."""

    events: tuple[DpEvent, ...]
    kind: ClassVar[str] = "composed"

    def __post_init__(self) -> None:
        if not self.events or not all(isinstance(e, DpEvent) for e in self.events):
            raise InvalidArgument("a composition holds at least one event")

    def _tree(self) -> dict[str, Any]:
        return {"kind": self.kind, "events": [e._tree() for e in self.events]}


@dataclass(frozen=True, slots=True)
class Repeated(DpEvent):
    """``count`` times the same event."""

    event: DpEvent
    count: int
    kind: ClassVar[str] = "repeated"

    def __post_init__(self) -> None:
        _positive(count=self.count)

    def _tree(self) -> dict[str, Any]:
        return {"kind": self.kind, "event": self.event._tree(), "count": self.count}


_LEAVES: tuple[type[DpEvent], ...] = (
    Gaussian,
    DiscreteGaussian,
    Exponential,
    PoissonGaussian,
    ZeroConcentrated,
    Opaque,
)


def event_from_json(document: Mapping[str, Any] | str) -> DpEvent:
    """Read a versioned JSON tree. Raises InvalidArgument for an unknown version, kind or field."""
    tree = json.loads(document) if isinstance(document, str) else document
    if tree.get("version") != VERSION:
        raise InvalidArgument(f"this event tree is not of version {VERSION}; upgrade the reader")
    return _read(tree["event"])


def _read(tree: Mapping[str, Any]) -> DpEvent:
    kind, rest = tree.get("kind"), {k: v for k, v in tree.items() if k != "kind"}
    if kind == Composed.kind:
        return Composed(tuple(_read(e) for e in rest["events"]))
    if kind == Repeated.kind:
        return Repeated(_read(rest["event"]), rest["count"])
    for leaf in _LEAVES:
        if kind == leaf.kind and set(rest) == {f.name for f in fields(leaf)}:
            return leaf(**rest)
    raise InvalidArgument(f"unknown event {kind!r}; nothing can be charged for it")


def _positive(**values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not math.isfinite(value) or value <= 0:
            raise InvalidArgument(f"{name} must be a positive finite number")
