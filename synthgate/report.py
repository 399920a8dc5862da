"""`Score` and `Report`: what an evaluation found.

A score carries a one-sided interval and says which direction is better; whoever gates on it reads its pessimistic end.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

BANNER = "exact comparisons with private records; not differentially private; do not forward"
"""What stands above and below every form of a report."""
DECIMALS = 3
"""With how many decimals a report shows a score, at most."""


class Better(StrEnum):
    """Which direction of a score is the good one."""

    LOWER = "lower"
    HIGHER = "higher"


class ReportForm(StrEnum):
    """What a report can be read as: JSON, a page that opens offline, or a short page for paper and whoever decides."""

    JSON = "json"
    HTML = "html"
    DECISION = "decision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One figure with its bounds (one-sided 95 % each; equal to ``value`` where nothing was estimated).

    ``conclusive`` is false where the work stopped before it could tell. ``note`` explains how the figure came about
    (attacks made, queries exhausted, a naive baseline) and never quotes a cell.

    ``shown`` is value, low and high as a report shows them where that is more than rounding: a rule reads the exact
    ones, from which counts of few people may follow. NaN where nothing can be shown.
    """

    name: str
    value: float
    low: float
    high: float
    better: Better
    conclusive: bool = True
    note: str = ""
    shown: tuple[float, float, float] | None = None

    def as_shown(self) -> "Score":
        """The score as a report shows it, with `DECIMALS` decimals at most."""
        numbers = (self.value, self.low, self.high) if self.shown is None else self.shown
        value, low, high = (round(n, DECIMALS) + 0.0 if _finite(n) is not None else n for n in numbers)
        return replace(self, value=value, low=low, high=high, shown=None)

    @property
    def pessimistic(self) -> float:
        """The end that a rule reads."""
        return self.high if self.better is Better.LOWER else self.low

    @property
    def usable(self) -> bool:
        """Whether a rule may read it at all: conclusive, finite, and low <= value <= high."""
        numbers = (self.low, self.value, self.high)
        finite = all(type(n) in (int, float) and math.isfinite(n) for n in numbers)
        return finite and self.conclusive is True and self.low <= self.value <= self.high

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; what is no finite number becomes null."""
        numbers = {k: _finite(getattr(self, k)) for k in ("value", "low", "high")}
        told: dict[str, Any] = {"better": str(self.better), "conclusive": self.conclusive, "note": self.note}
        if self.shown is not None:
            told["shown"] = [_finite(n) for n in self.shown]
        return {"name": self.name, **numbers, **told}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Score":
        """Read a score; what is no finite number becomes NaN, which no rule accepts."""
        read = {k: _finite(document[k]) for k in ("value", "low", "high")}
        numbers = {k: math.nan if number is None else number for k, number in read.items()}
        shown = document.get("shown")
        return cls(
            name=document["name"],
            **numbers,
            better=Better(document["better"]),
            conclusive=document["conclusive"] is True,
            note=document.get("note", ""),
            shown=None if shown is None else _triple(shown),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The scores of one canonical sample, and the figures behind the pictures.

    ``scores`` is in a fixed order with unique names. ``details`` holds JSON-ready aggregates for rendering (per-pair
    distances, per-column shares of bins) under the metric's name; it is exact, private, and shown to stewards and
    officers alone. ``seconds`` is the wall time of each metric.
    """

    scores: tuple[Score, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Score:
        return next(s for s in self.scores if s.name == name)

    def get(self, name: str) -> Score | None:
        """The score of that name; None where it is missing or not unique."""
        found = [s for s in self.scores if s.name == name]
        return found[0] if len(found) == 1 else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "version": 1,
            "scores": [s.to_dict() for s in self.scores],
            "details": dict(self.details),
            "seconds": dict(self.seconds),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Report":
        """Read a report, or the JSON form of a rendered one, which holds it and more."""
        scores = tuple(Score.from_dict(s) for s in document["scores"])
        return cls(scores=scores, details=document["details"], seconds=document["seconds"])


def _triple(numbers: Any) -> tuple[float, float, float]:
    """Three numbers; what is no finite one becomes NaN."""
    value, low, high = (math.nan if n is None else n for n in map(_finite, numbers))
    return value, low, high


def _finite(value: Any) -> float | None:
    """The number, if it is one: a text or a truth value is none, whatever ``float`` makes of it."""
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None
