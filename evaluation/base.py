"""`Comparison` and `Metric`: what an evaluation looks at, and what gives scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgate.domain import Domain
from synthgate.report import Score

Units = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One canonical sample beside the private rows, all three with the domain's columns and normalised dtypes.

    ``train`` are all rows that were trained on, ``holdout`` all rows that never were, ``sample`` the canonical sample.
    ``train_units`` and ``holdout_units``, shape (rows,), number the privacy unit of each private row 0, 1, ... without
    gaps; left out, every row is a unit. Whoever counts people as independent takes one keyed row of a unit
    (`evaluation.risk.attack.targets`). ``joins`` are numbers of columns that the policy has singling out ask
    about together, besides those that it always does. ``declared`` is the domain without what the policy lets attackers
    know: they attack with that knowledge alone too, and the worse counts (`attackers`). None where they know no more.
    """

    domain: Domain
    train: pd.DataFrame
    holdout: pd.DataFrame
    sample: pd.DataFrame
    train_units: Units = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    holdout_units: Units = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    joins: tuple[int, ...] = ()
    declared: Domain | None = None

    def __post_init__(self) -> None:
        for name, rows in (("train_units", self.train), ("holdout_units", self.holdout)):
            units = getattr(self, name)
            if len(units) == 0:
                object.__setattr__(self, name, np.arange(len(rows), dtype=np.int64))
            elif len(units) != len(rows):
                raise ValueError(f"{name} gives the unit of every row")

    @property
    def attackers(self) -> tuple[Domain, ...]:
        """What each attacker knows, the one who knows most last.

        More knowledge can guess worse: columns that the release tells wrong outvote those that it tells right. So an
        attack is tried with either, and the worse counts."""
        return (self.domain,) if self.declared is None else (self.declared, self.domain)

    @property
    def units(self) -> tuple[int, int]:
        """How many privacy units were trained on, and how many were held out."""
        return _count(self.train_units), _count(self.holdout_units)


def _count(units: Units) -> int:
    return int(units.max()) + 1 if len(units) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What one metric found: scores, and JSON-ready aggregates for the report."""

    scores: tuple[Score, ...]
    details: Mapping[str, Any] = field(default_factory=dict)


class Metric(Protocol):
    """One file, one registered name, one question about a comparison."""

    @property
    def name(self) -> str:
        """The registered name, a prefix of its scores' names."""

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Never raises on awkward content: what cannot be told is a score with ``conclusive=False``."""
