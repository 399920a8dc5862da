"""`Synthesizer` -> `Plan` -> `Model`: price first, fit what was priced, sample what was fitted.

A synthesizer is a frozen value that holds hyper-parameters. `plan` fixes every parameter and the event from public
facts alone, so a server can price a request without torch and without a row. `fit` runs that plan and nothing else;
whoever calls it compares ``noise.event`` with ``plan.event`` and throws the model away when they differ.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes, SizeOrigin
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import Composed, DiscreteGaussian, DpEvent, event_from_json

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictShare:
    """What a plan sets aside for an accounted verdict: noise of scale ``sigma`` (in units of sensitivity 1). The
    engine was asked to plan with ``left``."""

    sigma: float
    left: PrivacyBudget

    @property
    def event(self) -> DpEvent:
        """What the verdict draws, once."""
        return DiscreteGaussian(self.sigma, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a fit, and the verdict about it, will do, fixed before the rows are touched.

    ``engine`` is the registered name of the synthesizer that fits it (never ``auto``), ``because`` why it was chosen.
    ``budget`` is what was asked; ``event`` costs no more: it is the engine's, and the verdict's after it where the
    verdict is accounted. ``parameters`` are JSON-ready and belong to the engine.
    """

    engine: str
    because: str
    domain: str
    """The digest of the domain that the plan was made for."""
    sizes: PublicSizes
    budget: PrivacyBudget
    event: DpEvent
    parameters: Mapping[str, Any]
    verdict: VerdictShare | None = None
    """None where the verdict is exact, and in the plans that engines make."""

    def __post_init__(self) -> None:
        """Raise FailedPrecondition for a verdict that ``event``, which is what gets priced, does not end with."""
        if self.verdict is not None and self._parts[1:] != (self.verdict.event,):
            raise FailedPrecondition("the plan draws another verdict than it prices; ask for a new release")

    @property
    def _parts(self) -> tuple[DpEvent, ...]:
        return self.event.events if isinstance(self.event, Composed) else (self.event,)

    def judged(self, verdict: VerdictShare, budget: PrivacyBudget) -> "Plan":
        """The engine's plan and an accounted verdict together, for ``budget``."""
        return replace(self, event=Composed((self.event, verdict.event)), verdict=verdict, budget=budget)

    @property
    def fitted(self) -> "Plan":
        """The engine's part, as the engine planned it."""
        if self.verdict is None:
            return self
        return replace(self, event=self._parts[0], verdict=None, budget=self.verdict.left)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values; `from_json` reads them back to an equal plan."""
        sizes, budget, verdict = self.sizes, self.budget, self.verdict
        share = {} if verdict is None else {"verdict": {"sigma": verdict.sigma, "left": _units(verdict.left)}}
        return share | {
            "version": 1,
            "engine": self.engine,
            "because": self.because,
            "domain": self.domain,
            "sizes": {
                "rows": sizes.rows,
                "units": sizes.units,
                "max_rows": sizes.max_rows,
                "origin": str(sizes.origin),
            },
            "budget": _units(budget),
            "event": self.event.to_json(),
            "parameters": dict(self.parameters),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a plan of this version. Raises FailedPrecondition as a new one does."""
        sizes, verdict = dict(document["sizes"]), document.get("verdict")
        origin = SizeOrigin(sizes.pop("origin"))
        return cls(
            engine=document["engine"],
            because=document["because"],
            domain=document["domain"],
            sizes=PublicSizes(**sizes, origin=origin),
            budget=PrivacyBudget(**document["budget"]),
            event=event_from_json(document["event"]),
            parameters=document["parameters"],
            verdict=verdict and VerdictShare(sigma=verdict["sigma"], left=PrivacyBudget(**verdict["left"])),
        )


def _units(budget: PrivacyBudget) -> dict[str, int]:
    return {"epsilon_units": budget.epsilon_units, "delta_units": budget.delta_units}


class Noise(Protocol):
    """The one source of everything random that touches rows. It records the events that it ran."""

    @property
    def event(self) -> DpEvent:
        """The composition of all that ran so far, in order, as the plan writes it."""

    @property
    def properties(self) -> tuple[str, ...]:
        """What exact noise was drawn so far and from what, in plain words; empty where there was none."""

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """What an auditor must know about the source (floating point, generator), in plain words."""

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        """The counts (any shape) with exact discrete Gaussian noise of scale ``sigma``, as one event."""

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        """An index drawn with probability proportional to exp(epsilon score / (2 sensitivity)), as one event."""

    def generator(self, purpose: str) -> np.random.Generator:
        """A generator keyed by the operating system's entropy for ``purpose``; for DP-SGD's noise and its sampling."""

    def seeds(self, purpose: str, *, weakness: str) -> np.random.Generator:
        """A generator that seeds those of somebody else's code, whose noise is its own: ``weakness`` says what is."""

    def decided(self, what: str, choose: Callable[[], str]) -> str:
        """What this machine decides by public facts (a device), once an attempt: a replay is told the same."""

    def ran(self, event: DpEvent) -> None:
        """Record an event that an engine made from a generator (DP-SGD)."""

    def filtered(self, rho: float) -> AbstractContextManager[None]:
        """Within it scales may adapt to earlier outputs: all that runs is one ``ZeroConcentrated(rho)``, recorded at
        the start, and what would exceed ``rho`` is refused before it is drawn."""


class Rows(Protocol):
    """Stored private rows, the canonical columns and ``UNIT_COLUMN``: a `pa.Table` is one, a Parquet file another.

    Engines that count read `to_batches` and hold a batch at a time; others may take whole columns.
    """

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""

    @property
    def num_rows(self) -> int:
        """How many rows there are: a private number."""

    def column(self, name: str) -> pa.ChunkedArray:
        """All cells of one column."""

    def select(self, names: Sequence[str]) -> "Rows":
        """The same rows with these columns alone."""

    def to_batches(self, max_chunksize: int | None = None) -> Iterable[pa.RecordBatch]:
        """The rows in stored order, at most ``max_chunksize`` at a time. May be asked for again."""


class Model(Protocol):
    """A fitted generator. It holds what the noise paid for and public facts, never a row."""

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` synthetic rows in the canonical Arrow schema of the domain."""


class Synthesizer(Protocol):
    """A frozen value of hyper-parameters that can plan and fit."""

    @property
    def name(self) -> str:
        """The registered name."""

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """The whole fit from public facts. Raises FailedPrecondition where it cannot be done (too wide a domain, a
        unit of several rows that the engine does not support), saying what to change."""

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> Model:
        """Run the plan on ``rows``: the canonical columns and ``UNIT_COLUMN``, sorted by unit."""
