"""`Dataset` and what is public about it: `PrivacyUnit`, `PublicSizes`, its state. Never the rows."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from synthgate.domain import Domain
from synthgate.errors import InvalidDomain
from synthgate.policy import Policy

MAX_ROWS = 100_000_000
HOLDOUT_SHARE = 0.2
MIN_SAMPLE_ROWS = 1_000
MAX_ROWS_PER_UNIT = 1_000
MAX_ATTACK_TARGETS = 2_000
"""Units a side that one attack is tried on, at most."""


def attack_targets(holdout_units: int) -> int:
    """How many units of either side an attack is tried on: min(2,000, holdout units), whatever the released rows.

    The evaluation asks with the units that it finds, ``PublicSizes.attack_targets`` with the public ones; where a wrong
    declaration makes the two differ, the attack's interval shows it.
    """
    return min(MAX_ATTACK_TARGETS, holdout_units)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyUnit:
    """What is protected. Without ``column`` a row (a person only if the steward attests one row per person); with it
    everything of one value of that column, at most ``max_rows`` rows, the rest cut at ingest by keyed choice."""

    column: str | None = None
    max_rows: int = 1

    def __post_init__(self) -> None:
        if self.column is not None and not self.column:
            raise InvalidDomain("the unit's column needs a name")
        if isinstance(self.max_rows, bool) or not isinstance(self.max_rows, int):
            raise InvalidDomain("max_rows is a whole number")
        if not 1 <= self.max_rows <= MAX_ROWS_PER_UNIT:
            raise InvalidDomain(f"max_rows lies between 1 and {MAX_ROWS_PER_UNIT}")
        if self.column is None and self.max_rows != 1:
            raise InvalidDomain("a row unit has one row; name the unit's column to protect several rows together")


class SizeOrigin(StrEnum):
    """Where a public size comes from. ``counted`` publishes the exact number of rows, which no budget covers."""

    DECLARED = "declared"
    COUNTED = "counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSizes:
    """The sizes that everything derives from: rates, steps, divisors, output size. Never a true count, unless the
    steward chose ``counted``.

    ``rows`` is n0, the rows after the cut to ``max_rows`` rows a unit; ``units`` the privacy units (equal for
    ``max_rows`` 1).
    """

    rows: int
    units: int
    max_rows: int = 1
    origin: SizeOrigin = SizeOrigin.DECLARED

    def __post_init__(self) -> None:
        for name, value in (("rows", self.rows), ("units", self.units)):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ROWS:
                raise InvalidDomain(f"{name} is a whole number between 1 and {MAX_ROWS:,}")
        if self.units > self.rows:
            raise InvalidDomain("there cannot be more units than rows")
        if self.rows > self.units * self.max_rows:
            raise InvalidDomain("there cannot be more rows than units times max_rows")

    @property
    def train_units(self) -> int:
        """Units that a synthesizer trains on."""
        return round((1 - HOLDOUT_SHARE) * self.units)

    @property
    def train_rows(self) -> int:
        """Rows that a synthesizer trains on."""
        return round((1 - HOLDOUT_SHARE) * self.rows)

    @property
    def holdout_units(self) -> int:
        """Units that are never trained on and serve as control."""
        return self.units - self.train_units

    @property
    def attack_targets(self) -> int:
        """Units of either side that an attack is tried on: what a policy's thresholds have to allow for."""
        return attack_targets(self.holdout_units)

    @property
    def sample_rows(self) -> int:
        """Rows of the canonical sample that is judged and released."""
        return max(self.rows, MIN_SAMPLE_ROWS)


OVERLAPS = (
    "its units overlap another account's. Where they are the same people, the steward of both joins it to that account "
    "with `synthgate dataset link`; where they are not, an officer states so with `--distinct`"
)
"""What AWAITING_LINK means, in words for the steward."""


class DatasetState(StrEnum):
    """CREATED -> INGESTING -> READY | FAILED | AWAITING_LINK; FAILED -> INGESTING (a corrected file); AWAITING_LINK ->
    INGESTING (linked to the account that it overlaps, or said to be distinct); any of them -> DELETED."""

    CREATED = "CREATED"
    INGESTING = "INGESTING"
    READY = "READY"
    FAILED = "FAILED"
    AWAITING_LINK = "AWAITING_LINK"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A registered table: everything but its rows. ``sizes`` is None until counted, where counting was chosen.

    ``failure`` says what is wrong with the structure of the upload; ``warnings`` speak of public facts alone.
    """

    name: str
    domain: Domain
    unit: PrivacyUnit
    sizes: PublicSizes | None
    account: str
    policy: str
    state: DatasetState
    registered_by: str
    created_at: datetime
    failure: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFindings:
    """How the cells of one column fared at ingest: exact counts of cells, private, for the steward alone."""

    column: str
    empty: int = 0
    unparsable: int = 0
    clamped: int = 0
    undeclared: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """A dataset as a reader sees it: with the policy it pinned and, for stewards, what ingest found."""

    dataset: Dataset
    policy: Policy
    findings: tuple[ColumnFindings, ...] = ()
