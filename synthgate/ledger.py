"""`Account`, `Entry`, `Reservation`, `Charge`, `Balance`: the budget of one population as values.

An account has two meters (DESIGN 5.10). Meter A adds epsilons and deltas; meter B adds Rényi divergence at one order
that was frozen when the account was opened. A request is admitted while at least one of them still holds after it.
Amounts are integers: epsilon in 1e-9, delta in 1e-18, Rényi divergence in 1e-12; what is spent rounds up, what limits
a spend rounds down.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from synthgate.budget import PrivacyBudget

RDP_UNIT = 1e-12
PPM = 1_000_000


class EntryKind(StrEnum):
    """The verbs of the ledger, and no others."""

    OPEN = "open"
    AMEND = "amend"
    RESERVE = "reserve"
    COMMIT = "commit"
    VOID = "void"


class ReservationState(StrEnum):
    """RESERVED -> COMMITTED | VOIDED; both are final."""

    RESERVED = "RESERVED"
    COMMITTED = "COMMITTED"
    VOIDED = "VOIDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One population's budget. Several datasets may share it.

    ``order`` is the frozen Rényi order alpha*, ``capacity`` is K at that order in units of 1e-12 (0: meter B is
    closed). ``sandbox`` accounts are for public data: engines without a guarantee may run, and attestations say so.
    ``verdicts_granted`` is how many unaccounted verdicts an officer allowed beyond the policy's.
    """

    name: str
    cap: PrivacyBudget
    order: int
    capacity: int
    sandbox: bool
    opened_by: str
    opened_at: datetime
    verdicts_granted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one plan takes of an account, in units of its meters. ``rdp`` is None for what only meter A can hold."""

    epsilon: int
    delta: int
    rdp: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A charge set aside for one request; ``id`` is the release's."""

    id: str
    account: str
    charge: Charge
    state: ReservationState


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the append-only, hash-chained book.

    ``digest`` is sha256 over the canonical JSON of every other field, ``previous`` the digest of the entry before it
    in the whole ledger (64 zeros for the first). ``reservation`` and ``charge`` belong to reserve, commit and void;
    ``cap``, ``order``, ``capacity``, ``sandbox``, ``verdicts_granted`` to open and amend. ``salt`` (16 random bytes)
    keeps a digest, which attestations carry, from telling the time or reason of an entry to who guesses the rest.
    """

    sequence: int
    account: str
    kind: EntryKind
    principal: str
    reason: str
    at: datetime
    previous: str
    digest: str
    reservation: str = ""
    charge: Charge | None = None
    cap: PrivacyBudget | None = None
    order: int = 0
    capacity: int = 0
    sandbox: bool = False
    verdicts_granted: int = 0
    salt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What an account has committed and reserved, in units of its meters. ``rdp`` is None where a live entry can be
    held by meter A alone: B is closed then."""

    account: Account
    committed: Charge
    reserved: Charge

    @property
    def rdp(self) -> int | None:
        """Committed and reserved on meter B; None where it is closed."""
        if self.account.capacity <= 0 or self.committed.rdp is None or self.reserved.rdp is None:
            return None
        return self.committed.rdp + self.reserved.rdp

    @property
    def epsilon(self) -> int:
        """Committed and reserved epsilon on meter A."""
        return self.committed.epsilon + self.reserved.epsilon

    @property
    def delta(self) -> int:
        """Committed and reserved delta on meter A; its cap is half the account's delta."""
        return self.committed.delta + self.reserved.delta

    @property
    def delta_cap(self) -> int:
        """Meter A's half of the account's delta."""
        return self.account.cap.delta_units // 2

    def alone_ppm(self, charge: Charge) -> int:
        """The share that ``charge`` takes of the account when nothing else is there, in millionths, rounded up."""
        nothing = Charge(epsilon=0, delta=0, rdp=0)
        return Balance(account=self.account, committed=nothing, reserved=charge).share_ppm

    def after(self, charge: Charge) -> "Balance":
        """The balance with ``charge`` reserved on top."""
        held = self.reserved
        rdp = None if held.rdp is None or charge.rdp is None else held.rdp + charge.rdp
        total = Charge(epsilon=held.epsilon + charge.epsilon, delta=held.delta + charge.delta, rdp=rdp)
        return Balance(account=self.account, committed=self.committed, reserved=total)

    def admits(self, charge: Charge) -> bool:
        """Whether at least one meter still holds after ``charge``."""
        return self.after(charge).holds

    @property
    def holds(self) -> bool:
        """Whether at least one meter is within its cap."""
        meter_a = self.epsilon <= self.account.cap.epsilon_units and self.delta <= self.delta_cap
        return meter_a or (self.rdp is not None and self.rdp <= self.account.capacity)

    @property
    def share_ppm(self) -> int:
        """The share of the account that is taken, in millionths, rounded up: the smaller over the open meters, where
        meter A's is the larger of its epsilon and delta shares."""
        shares = [max(_ppm(self.epsilon, self.account.cap.epsilon_units), _ppm(self.delta, self.delta_cap))]
        if self.rdp is not None:
            shares.append(_ppm(self.rdp, self.account.capacity))
        return min(shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account as a reader sees it: the balance and the figures that the gateway derives from it.

    ``taken_ppm`` is the share taken in millionths, ``largest_epsilon`` what still fits at the default delta for one
    Gaussian release (0 for none), ``verdicts`` the unaccounted verdicts used or set aside.
    """

    balance: Balance
    taken_ppm: int
    largest_epsilon: float
    verdicts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPrice:
    """What the frozen plan of one release costs alone, for display: ``epsilon`` at ``delta``, by ``accountant``.

    Such figures do not add up to what an account holds: it is metered by `Charge`.
    """

    release: str
    epsilon: float
    delta: float
    accountant: str


def _ppm(part: int, whole: int) -> int:
    return -(-part * PPM // whole) if whole > 0 else PPM + 1
