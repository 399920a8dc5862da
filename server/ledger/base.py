"""The ledger's verbs and views, as two protocols with two implementations each (memory, SQL) under one contract suite.

Every method runs inside the caller's transaction (`server.store.Store.begin`): budget, catalog and audit change
together or not at all. Entries are appended, never edited.
"""

from typing import Protocol

from synthgate.budget import PrivacyBudget
from synthgate.ledger import Account, Balance, Charge, Entry, Reservation


class Ledger(Protocol):
    """The verbs that move budget or record an account."""

    def open(self, account: Account, *, reason: str) -> Entry:
        """Record a new account. Raises AlreadyExists."""

    def amend(self, name: str, *, cap: PrivacyBudget, capacity: int, verdicts_granted: int, by: str, reason: str) -> Entry:
        """Record a new cap (with K at the frozen order) or grant. Raises NotFound, and FailedPrecondition where the new
        cap lies below what is already committed and reserved on both meters."""

    def reserve(self, account: str, reservation: str, charge: Charge, *, by: str) -> Entry:
        """Set ``charge`` aside. Raises NotFound, BudgetExhausted (facts: cap, share_ppm, asked_ppm), and AlreadyExists
        where the reservation's id is taken."""

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

    def reservation(self, reservation: str) -> Reservation:
        """One reservation. Raises NotFound."""

    def entries(self, account: str = "", *, after: int = 0, limit: int = 1_000) -> tuple[Entry, ...]:
        """Entries with a sequence number above ``after``, in order, of one account or of all."""

    def head(self) -> str:
        """The digest of the newest entry; 64 zeros for an empty ledger."""
