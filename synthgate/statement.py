"""`PrivacyStatement`: what exactly is claimed, for whom, under which adjacency, and what is not covered."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from synthgate.dataset import PublicSizes, SizeOrigin
from synthgate.events import DpEvent, event_from_json

ADJACENCY = "zero-out"


class Scope(StrEnum):
    """What the epsilon covers. ``release`` needs an accounted verdict; ``none`` is a sandbox without a guarantee."""

    GENERATOR = "generator"
    RELEASE = "release"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyStatement:
    """The claim of one release.

    ``epsilon`` at ``delta`` is this release alone, by ``accountant``, under zero-out adjacency of one ``unit``;
    ``epsilon_substitute_one`` is the same when one unit is replaced by another. ``not_covered``, ``noise`` (what exact
    noise was drawn, and from what; attestations of before do not tell) and ``weakened_by`` are sentences for a reader
    who will put a name under it.
    """

    scope: Scope
    end_to_end: bool
    unit: str
    sizes: PublicSizes
    accountant: str
    event: DpEvent
    epsilon: float
    delta: float
    epsilon_substitute_one: float
    not_covered: tuple[str, ...]
    noise: tuple[str, ...]
    weakened_by: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; an infinite epsilon for substitute-one (none could be shown) becomes null."""
        substitute = self.epsilon_substitute_one
        return {
            "scope": str(self.scope),
            "end_to_end": self.end_to_end,
            "adjacency": ADJACENCY,
            "unit": self.unit,
            "public_rows": self.sizes.rows,
            "public_units": self.sizes.units,
            "max_rows": self.sizes.max_rows,
            "size_origin": str(self.sizes.origin),
            "accountant": self.accountant,
            "events": self.event.to_json(),
            "epsilon": self.epsilon,
            "delta": self.delta,
            "epsilon_substitute_one": substitute if math.isfinite(substitute) else None,
            "not_covered": list(self.not_covered),
            "weakened_by": list(self.weakened_by),
        } | ({"noise": list(self.noise)} if self.noise else {})

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "PrivacyStatement":
        """Read a statement out of an attestation."""
        d = document
        sizes = PublicSizes(
            rows=d["public_rows"], units=d["public_units"], max_rows=d["max_rows"], origin=SizeOrigin(d["size_origin"])
        )
        return cls(
            scope=Scope(d["scope"]),
            end_to_end=d["end_to_end"],
            unit=d["unit"],
            sizes=sizes,
            accountant=d["accountant"],
            event=event_from_json(d["events"]),
            epsilon=d["epsilon"],
            delta=d["delta"],
            epsilon_substitute_one=math.inf if d["epsilon_substitute_one"] is None else d["epsilon_substitute_one"],
            not_covered=tuple(d["not_covered"]),
            noise=tuple(d.get("noise", ())),
            weakened_by=tuple(d["weakened_by"]),
        )
