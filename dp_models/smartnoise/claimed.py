"""Engines that run SmartNoise's code as it is. They are priced by what they claim, and nobody has shown it to hold.

`dpctgan` and `patectgan` read exact category frequencies outside their charge and keep the rows; both PATE engines
leak more than they claim (Ganev, Annamalai, De Cristofaro 2024, arXiv 2406.13985); `dpgan` shuffles batches and
accounts for Poisson samples; `patectgan` has one network for all teachers; `pacsynth` scales noise to a percentile.
So none of them belongs on an operator's list of certified engines: on an account opened as ``sandbox`` they
run, and what they release says ``guarantee: none``.

The charge is the opaque claim (epsilon, delta), known before the start; it goes through meter A alone and closes B. The
number of rows that the code sees is the public one: the table is cut, or filled up with empty records. Planning imports
nothing of SmartNoise. SmartNoise's default numbers of epochs (300 and 1,000) take hours; these end in minutes.
"""

import math
from dataclasses import asdict, dataclass
from typing import ClassVar

from dp_models.base import Model, Noise, Plan, Rows
from dp_models.encoding.codes import Codec
from dp_models.settings import COUNT, check
from dp_models.smartnoise.coded import Coded
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import Opaque

PATE_ORDERS, SGD_ORDERS = 100, 62
"""SmartNoise's accountants search orders up to these: nothing costs less than ln(1/delta) by them."""
_RECORDS, _ENDS = 0.005, 1e-6
"""What pac-synth spends on the number of records, as a part of epsilon; how often it may end for it."""
TORCH = (
    "The noise and the batches are SmartNoise's own: floating point, from the Mersenne Twisters of torch and numpy,"
    " each of which keeps 32 bits of a seed of system entropy. Whoever tries all seeds can take the noise away."
)
UNSEEDED = (
    "The noise is pac-synth's own: floating point, from the thread's generator of the Rust library rand, which takes no"
    " seed from here; it is not hardened against attacks on floating-point arithmetic."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    """What the five have in common; ``kind`` is SmartNoise's name."""

    kind: ClassVar[str]
    weakness: ClassVar[str] = TORCH
    orders: ClassVar[int] = 0
    fewest: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """``smartnoise-`` and SmartNoise's name."""
        return f"smartnoise-{self.kind}"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """The claim, and the hyper-parameters. Raises FailedPrecondition for units of several rows, and where the code
        would give up: too small an epsilon for its accountant, too few rows."""
        if sizes.max_rows > 1:
            raise FailedPrecondition(f"{self.name} knows no units of several rows; declare max_rows: 1 or use another")
        least = math.log(1 / budget.delta) / self.orders if self.orders else 0.0
        if budget.epsilon <= least:
            raise FailedPrecondition(
                f"{self.name} does not train at all below epsilon {least:.3g} at delta {budget.delta:g}: ask for more"
            )
        if sizes.train_rows < (rows := self.least_rows(budget)):
            raise FailedPrecondition(
                f"{self.name} needs {rows:,} training rows at epsilon {budget.epsilon:g}, and the public sizes give"
                f" {sizes.train_rows:,}"
            )
        return Plan(
            engine=self.name,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=Opaque(budget.epsilon, budget.delta),
            parameters=asdict(self),
        )

    def least_rows(self, budget: PrivacyBudget) -> int:
        """Training rows below which the code gives up."""
        return self.fewest

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> Model:
        """Run SmartNoise's code. Raises DataCorrupted for rows that ingest did not make."""
        from dp_models.smartnoise.inside.claimed import ForeignModel

        coded = Coded.of(rows, domain, max_rows=1).resized(plan.sizes.train_rows)
        seeds = noise.seeds(self.name, weakness=self.weakness)
        model = ForeignModel.fitted(self.kind, coded, Codec(domain), plan, generator=seeds)
        noise.ran(plan.event)
        return model


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpctgan(_Claimed):
    """A conditional GAN with DP-SGD on its discriminator: ``epochs`` passes at most, ``batch_size`` rows a step."""

    epochs: int = 5
    batch_size: int = 500
    fewest: ClassVar[int] = 2
    kind: ClassVar[str] = "dpctgan"
    orders: ClassVar[int] = SGD_ORDERS

    def __post_init__(self) -> None:
        check(self, epochs=COUNT, batch_size=COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpgan(_Claimed):
    """A GAN with DP-SGD on its discriminator: ``epochs`` passes at most, ``batch_size`` rows a step."""

    epochs: int = 5
    batch_size: int = 64
    fewest: ClassVar[int] = 2
    kind: ClassVar[str] = "dpgan"
    orders: ClassVar[int] = SGD_ORDERS

    def __post_init__(self) -> None:
        check(self, epochs=COUNT, batch_size=COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pategan(_Claimed):
    """A GAN whose discriminator learns from votes of teachers, one to a thousand rows, with ``batch_size``
    rows a step."""

    batch_size: int = 64
    kind: ClassVar[str] = "pategan"
    orders: ClassVar[int] = PATE_ORDERS
    fewest: ClassVar[int] = 1_000

    def __post_init__(self) -> None:
        check(self, batch_size=COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patectgan(_Claimed):
    """A conditional GAN whose discriminator learns from votes of teachers, one to ``sample_per_teacher`` rows, with
    ``batch_size`` rows a step."""

    batch_size: int = 500
    sample_per_teacher: int = 1_000
    kind: ClassVar[str] = "patectgan"
    orders: ClassVar[int] = PATE_ORDERS

    def __post_init__(self) -> None:
        check(self, batch_size=COUNT, sample_per_teacher=COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacsynth(_Claimed):
    """Rows put together from noisy counts of combinations of at most ``reporting_length`` columns."""

    reporting_length: int = 2
    kind: ClassVar[str] = "pacsynth"
    weakness: ClassVar[str] = UNSEEDED

    def __post_init__(self) -> None:
        check(self, reporting_length=COUNT)

    def least_rows(self, budget: PrivacyBudget) -> int:
        """The code ends where noise makes the number of records negative: Laplace noise for a part of 0.005 of
        epsilon. With so many rows that happens once in a million fits."""
        return math.ceil(math.log(1 / (2 * _ENDS)) / (_RECORDS * budget.epsilon))
