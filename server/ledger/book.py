"""`Book`: the ledger's verbs and views over any place that keeps entries.

A subclass keeps entries (three methods); everything that decides is in ``server.ledger.rules``, so two stores cannot
differ in what they admit or in what they say. Every call runs inside one transaction of the store, which serialises
writers: what a verb has read is still true when it appends.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from server.ledger import chain, rules
from server.ledger.standing import Standing
from synthgate.budget import PrivacyBudget
from synthgate.errors import NotFound
from synthgate.ledger import Account, Balance, Charge, Entry, EntryKind, Reservation

_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries: each field that is set narrows; ``limit`` None means all."""

    account: str = ""
    reservation: str = ""
    kinds: tuple[EntryKind, ...] = ()
    made_by: str = ""
    """Only entries of reservations that this principal made after ``since``."""
    since: datetime = _EVER
    after: int = 0
    limit: int | None = None


class Book(ABC):
    """`server.ledger.base.Ledger` and `LedgerView`. ``clock`` gives aware times."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    @abstractmethod
    def _select(self, selection: Selection) -> Sequence[Entry]:
        """Entries in the order of their sequence numbers."""

    @abstractmethod
    def _newest(self) -> Entry | None:
        """The last entry of the whole ledger."""

    @abstractmethod
    def _keep(self, entry: Entry) -> None:
        """Store a sealed entry for ever."""

    def open(self, account: Account, *, reason: str) -> Entry:
        """Record a new account."""
        taken = bool(self._select(Selection(account=account.name, limit=1)))
        return self._append(rules.opened(account, taken=taken, reason=reason))

    def amend(self, name: str, *, cap: PrivacyBudget, verdicts_granted: int, by: str, reason: str) -> Entry:
        """Record a new cap, with K at the frozen order, or grant."""
        balance = self.balance(name)
        return self._append(
            rules.amended(balance, cap=cap, verdicts_granted=verdicts_granted, by=by, reason=reason, at=self._clock())
        )

    def reserve(self, account: str, reservation: str, charge: Charge, *, by: str) -> Entry:
        """Set ``charge`` aside if the account admits it."""
        balance = self.balance(account)
        taken = bool(reservation) and self._taken(reservation)
        return self._append(rules.reserved(balance, reservation, charge, taken=taken, by=by, at=self._clock()))

    def commit(self, reservation: str, *, by: str) -> Entry:
        """Make the charge final, for ever."""
        return self._append(rules.settled(EntryKind.COMMIT, self.reservation(reservation), by=by, at=self._clock()))

    def void(self, reservation: str, *, by: str, reason: str) -> Entry:
        """Take the charge out of both meters again."""
        found = self.reservation(reservation)
        return self._append(rules.settled(EntryKind.VOID, found, by=by, at=self._clock(), reason=reason))

    def accounts(self) -> tuple[Account, ...]:
        """Every account as last amended, in the order of opening."""
        by_name: dict[str, list[Entry]] = {}
        for entry in self._select(Selection(kinds=(EntryKind.OPEN, EntryKind.AMEND))):
            by_name.setdefault(entry.account, []).append(entry)
        return tuple(rules.account_of(name, entries) for name, entries in by_name.items())

    def balance(self, account: str) -> Balance:
        """Summed from the account's entries."""
        return rules.balance_of(account, self._select(Selection(account=account)) if account else ())

    def standing(self, account: str) -> Standing:
        """The balance with how many charges make it up."""
        found = Standing.of(self._select(Selection(account=account)) if account else ())
        if account not in found:
            raise NotFound(f"there is no account {account!r}")
        return found[account]

    def reservation(self, reservation: str) -> Reservation:
        """One reservation as it stands."""
        entries = self._select(Selection(reservation=reservation)) if reservation else ()
        found = rules.reservations_of(entries).get(reservation)
        if found is None:
            raise NotFound(f"there is no reservation {reservation!r}")
        return found

    def entries(self, account: str = "", *, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """Entries with a sequence number above ``after``, of one account or of all."""
        return tuple(self._select(Selection(account=account, after=after, limit=limit)))

    def made(self, by: str, *, since: datetime) -> tuple[Entry, ...]:
        """What a principal reserved after ``since``, and how it was settled."""
        return tuple(self._select(Selection(made_by=by, since=since)))

    def head(self) -> str:
        """The digest of the newest entry; 64 zeros for an empty ledger."""
        newest = self._newest()
        return newest.digest if newest else chain.GENESIS

    def _taken(self, reservation: str) -> bool:
        return bool(self._select(Selection(reservation=reservation, limit=1)))

    def _append(self, entry: Entry) -> Entry:
        salted = replace(entry, salt=secrets.token_hex(16))
        sealed = chain.seal(salted, after=self._newest())
        self._keep(sealed)
        return sealed
