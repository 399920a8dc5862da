"""`Standing`: what an account's entries sum to, advanced entry by entry instead of summed anew.

Law: the standing after the entries of an account is what ``rules.balance_of`` gives for all of them. The suites of the
stores and ``server.preflight`` hold it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from server.ledger import rules
from synthgate.errors import DataCorrupted
from synthgate.ledger import Account, Balance, Charge, Entry, EntryKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many charges, and their sum; ``opaque`` of them have no RDP and count nothing in ``rdp``."""

    charges: int = 0
    epsilon: int = 0
    delta: int = 0
    rdp: int = 0
    opaque: int = 0

    def plus(self, charge: Charge, sign: int = 1) -> Self:
        """With one charge more, or (``sign`` -1) less."""
        return type(self)(
            charges=self.charges + sign,
            epsilon=self.epsilon + sign * charge.epsilon,
            delta=self.delta + sign * charge.delta,
            rdp=self.rdp + sign * (charge.rdp or 0),
            opaque=self.opaque + sign * (charge.rdp is None),
        )

    @property
    def charge(self) -> Charge:
        """The sum as one charge; without RDP as soon as one charge has none."""
        return Charge(epsilon=self.epsilon, delta=self.delta, rdp=None if self.opaque else self.rdp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account as last amended, with its sums up to the entry ``sequence``."""

    account: Account
    sequence: int
    committed: Tally = Tally()
    reserved: Tally = Tally()

    @classmethod
    def opened(cls, account: Account, *, sequence: int) -> Self:
        """A new account's."""
        return cls(account=account, sequence=sequence)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> dict[str, Self]:
        """Those of all accounts, from the whole ledger in order."""
        found: dict[str, Self] = {}
        for entry in entries:
            if entry.kind is EntryKind.OPEN:
                opened = rules.account_of(entry.account, [entry])
                found[entry.account] = cls.opened(opened, sequence=entry.sequence)
            elif entry.account in found:
                found[entry.account] = found[entry.account].after(entry)
            else:
                raise DataCorrupted(f"entry {entry.sequence} belongs to an account that no entry opens")
        return found

    @property
    def balance(self) -> Balance:
        """As the verbs and readers know it."""
        return Balance(account=self.account, committed=self.committed.charge, reserved=self.reserved.charge)

    @property
    def verdicts(self) -> int:
        """Charges that were set aside and not voided: each pays for one verdict."""
        return self.committed.charges + self.reserved.charges

    def after(self, entry: Entry) -> Self:
        """With one entry more of this account."""
        if entry.kind is EntryKind.AMEND and entry.cap is not None:
            account = replace(
                self.account, cap=entry.cap, capacity=entry.capacity, verdicts_granted=entry.verdicts_granted
            )
            return replace(self, account=account, sequence=entry.sequence)
        if entry.charge is None:
            raise DataCorrupted(f"entry {entry.sequence} moves budget and names no charge")
        committed, reserved = self.committed, self.reserved
        if entry.kind is EntryKind.RESERVE:
            reserved = reserved.plus(entry.charge)
        else:
            reserved = reserved.plus(entry.charge, -1)
            committed = committed.plus(entry.charge) if entry.kind is EntryKind.COMMIT else committed
        return replace(self, sequence=entry.sequence, committed=committed, reserved=reserved)
