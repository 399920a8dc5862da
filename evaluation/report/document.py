"""`Document`: all that a report says, as values, before any of it is markup.

`evaluation.report.compose` writes one, and three forms are made of it: JSON, the page, and the decision page. Nothing
that is not in the document can be in a form of it. It holds no raw value of a private row, no cell of fewer than ten
people, and no text of a query; it depends on the files, the domain, the policy and the seed alone, so wall times are no
part of it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from synthgate.report import BANNER, Report

VERSION = 2


class Status(StrEnum):
    """How far a question is answered."""

    COVERED = "covered"
    PARTLY = "in part"
    OPEN = "not covered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The verdict: whether all ``rules`` rules hold, and why not. ``audience`` says whom the thresholds are for,
    ``accounted`` whether one noisy margin decided, ``approvals`` how many officers have to approve what passed."""

    passed: bool
    headline: str
    reasons: tuple[str, ...]
    rules: int
    audience: str
    accounted: bool
    approvals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """How sure an attacker can become, at most, who was ``before`` sure; both in [0, 1]."""

    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """The privacy statement in words. ``facts`` are name and text, in the order shown; ``beliefs`` is empty where
    nothing is promised."""

    sentence: str
    beliefs: tuple[Belief, ...]
    facts: Mapping[str, str]
    not_covered: tuple[str, ...]
    weakened_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One score as it is shown: texts alone. ``state`` is good, bad or none (not gated)."""

    name: str
    label: str
    value: str
    interval: str
    better: str
    limit: str
    outcome: str
    state: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Scores of one kind, in the order of the report."""

    heading: str
    about: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack: what was tried, by whom, how hard, and what it could have convicted. ``low``, ``value``, ``high`` are
    the excess (None where it could not be told), ``limit`` the policy's bound (None where there is no rule)."""

    name: str
    label: str
    tried: str
    knows: str
    strength: str
    line: Line
    low: float | None
    value: float | None
    high: float | None
    limit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """One figure of a membership attack beside ``most``, what no attack exceeds if epsilon is what is stated. ``state``
    is good (within), none (above, but chance may explain it, or not told) or bad (beyond)."""

    name: str
    label: str
    value: float | None
    low: float | None
    high: float | None
    most: float
    finding: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """How well members can be told, beside what epsilon allows: what that means, in one sentence how it stands, and
    every figure. Without lines where nothing is promised, and without a summary where nothing could be told."""

    about: str
    summary: str
    lines: tuple[Ceiling, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One of the three criteria of the Article 29 Working Party, the attacks that speak to it, and what follows."""

    name: str
    question: str
    answer: str
    state: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One topic of NIST SP 800-226, and what this release and the gateway do about it."""

    topic: str
    status: Status
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole report. ``facts`` are public (dataset, engine, policy, ...) and shown in their order; ``exposed`` says
    which numbers are not differentially private; ``knowledge`` is who attacks and what the policy added to that."""

    title: str
    facts: Mapping[str, str]
    decision: Decision
    promise: Promise
    knowledge: Mapping[str, str]
    attacks: tuple[Attack, ...]
    membership: Membership
    criteria: tuple[Criterion, ...]
    groups: tuple[Group, ...]
    checklist: tuple[Check, ...]
    exposed: tuple[str, ...]
    limits: tuple[str, ...]
    columns: tuple[str, ...]
    target: str
    report: Report

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: ``scores`` and ``details`` as in `synthgate.report.Report`, which clients read."""
        parts = {name: getattr(self, name) for name in self.__slots__ if name != "report"}
        told = {name: _plain(part) for name, part in parts.items()}
        found = self.report.to_dict()
        return {
            "version": VERSION, "banner": BANNER, **told,
            "scores": found["scores"], "details": _plain(found["details"]), "seconds": {},
        }  # fmt: skip

    def to_json(self) -> bytes:
        """The document as JSON in ASCII, so that no text in it can reorder or hide what surrounds it."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False).encode("ascii")


def _plain(value: Any) -> Any:
    """Dataclasses as dicts, tuples as lists, enumerations as texts; what is no finite number as None."""
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, StrEnum) else value
