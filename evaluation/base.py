"""`Comparison` and `Metric`: what an evaluation looks at, and what gives scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from synthgate.domain import Domain
from synthgate.report import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One canonical sample beside the private rows, all three with the domain's columns and normalised dtypes.

    ``train`` are the rows that were trained on, ``holdout`` the rows that never were, ``sample`` the canonical sample;
    one row per privacy unit in the private two. ``rows`` may be cut from larger tables by keyed choice alone.
    """

    domain: Domain
    train: pd.DataFrame
    holdout: pd.DataFrame
    sample: pd.DataFrame


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
