"""The ledger's verbs and views, as two protocols with two implementations each (memory, SQL) under one contract suite.

Every method runs inside the caller's transaction (`server.store.Store.begin`): budget, catalog and audit change
together or not at all. Entries are appended, never edited.
"""

from datetime import datetime
from typing import Protocol

from server.ledger.standing import Standing
from synthgate.budget import PrivacyBudget
from synthgate.ledger import Account, Balance, Charge, Entry, Reservation


class Ledger(Protocol):
    """The verbs that move budget or record an account."""

    def open(self, account: Account, *, reason: str) -> Entry:
        """Record a new account (`server.ledger.meter.new_account` makes it). Raises AlreadyExists, and InvalidArgument
        where its order and capacity are not the ones that its cap gives."""

    def amend(self, name: str, *, cap: PrivacyBudget, verdicts_granted: int, by: str, reason: str) -> Entry:
        """Record a new cap (K follows from it at the frozen order) or grant (the new total, not an addition). Raises
        NotFound, InvalidArgument without a reason, and FailedPrecondition where the new cap lies below what is already
        committed and reserved on both meters."""

    def reserve(self, account: str, reservation: str, charge: Charge, *, by: str) -> Entry:
        """Set ``charge`` aside. Raises NotFound, BudgetExhausted (facts: account, cap_epsilon, cap_delta and, all of
        the meter that comes closest, committed_ppm, reserved_ppm, taken_ppm, asked_ppm), AlreadyExists where the
        reservation's id is taken, and InvalidArgument for a charge that no meter can count."""

    def commit(self, reservation: str, *, by: str) -> Entry:
        """Make the charge final, for ever. Raises NotFound, WrongState unless RESERVED."""

    def void(self, reservation: str, *, by: str, reason: str) -> Entry:
        """Take the charge out of both meters again. Raises NotFound, WrongState unless RESERVED."""


class LedgerView(Protocol):
    """What can be read of it."""

    def accounts(self) -> tuple[Account, ...]:
        """Every account as last amended, in the order of opening."""

    def balance(self, account: str) -> Balance:
        """Summed from the entries. Raises NotFound."""

    def standing(self, account: str) -> Standing:
        """The balance with how many charges make it up. Raises NotFound."""

    def reservation(self, reservation: str) -> Reservation:
        """One reservation. Raises NotFound."""

    def entries(self, account: str = "", *, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """Entries with a sequence number above ``after``, in order, of one account or of all; all of them without a
        ``limit``."""

    def made(self, by: str, *, since: datetime) -> tuple[Entry, ...]:
        """The reserve entries of ``by`` after ``since``, on all accounts, and the entries that settled them, in
        order."""

    def head(self) -> str:
        """The digest of the newest entry; 64 zeros for an empty ledger."""
