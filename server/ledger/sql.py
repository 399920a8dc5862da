"""The ledger in SQL: one row an entry, never updated, never deleted (triggers of ``server.migrations`` see to it).

What an account's entries sum to is kept beside them, in the transaction that appends, so that a verb costs the same
after ten entries and after a million. Statements are built once: building one costs more than running it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, RowMapping, bindparam, insert, select, update

from server.ledger import chain, rules
from server.ledger.book import Book, Selection
from server.ledger.standing import Standing, Tally
from server.tables import balances, entries
from server.writes import Writes
from synthgate.budget import PrivacyBudget
from synthgate.errors import NotFound
from synthgate.ledger import Account, Balance, Charge, Entry, EntryKind

_ALL = 2**62
_IN_ORDER = (
    select(entries)
    .where(entries.c.sequence > bindparam("after"))
    .order_by(entries.c.sequence)
    .limit(bindparam("at_most", type_=BigInteger))
)
_OF_ACCOUNT = _IN_ORDER.where(entries.c.account == bindparam("account"))
_OF_RESERVATION = _IN_ORDER.where(entries.c.reservation == bindparam("reservation"))
_OF_PRINCIPAL = _IN_ORDER.where(
    entries.c.reservation.in_(
        select(entries.c.reservation).where(
            entries.c.kind == "reserve", entries.c.principal == bindparam("made_by"), entries.c.at > bindparam("since")
        )
    )
)
_NEWEST = select(entries).order_by(entries.c.sequence.desc()).limit(1)
_KEEP = insert(entries)
_STANDING = select(balances).where(balances.c.account == bindparam("name"))
_STANDINGS = select(balances).order_by(balances.c.opened)
_OPEN = insert(balances)
_WEIGH = update(balances).where(balances.c.account == bindparam("name"))


class SqlLedger(Book):
    """The ledger over the tables ``entries`` and ``balances``, inside the transaction of ``writes``."""

    def __init__(self, writes: Writes, *, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self._writes = writes
        self._standings: dict[str, Standing] = {}
        self._last: Entry | None = None
        self._reserved: set[str] = set()
        """Ids whose entries may still wait to be sent."""
        self.voids = 0
        """Reservations that this transaction voided."""

    def accounts(self) -> tuple[Account, ...]:
        """Every account as last amended, in the order of opening."""
        return tuple(_standing(row).account for row in self._writes.now.execute(_STANDINGS).mappings())

    def balance(self, account: str) -> Balance:
        """As the entries sum up."""
        return self.standing(account).balance

    def standing(self, account: str) -> Standing:
        """What is kept of the account's sums; read once, since this transaction alone writes. Raises NotFound."""
        if account in self._standings:
            return self._standings[account]
        row = self._writes.before.execute(_STANDING, {"name": account}).mappings().first()
        if row is None:
            raise NotFound(f"there is no account {account!r}")
        return self._standings.setdefault(account, _standing(row))

    def weigh(self, entry: Entry) -> None:
        """Add an entry to its account's sums."""
        if entry.kind is EntryKind.OPEN:
            opened = Standing.opened(rules.account_of(entry.account, [entry]), sequence=entry.sequence)
            self._writes.now.execute(_OPEN, _sums(opened) | {"opened": entry.sequence})
            return
        after = self.standing(entry.account).after(entry)
        self._writes.later(_WEIGH, _sums(after) | {"name": entry.account}, key=entry.account)
        self._standings[entry.account] = after

    def _select(self, selection: Selection) -> Sequence[Entry]:
        query = _IN_ORDER
        limit = _ALL if selection.limit is None else selection.limit
        values: dict[str, Any] = {"after": selection.after, "at_most": limit}
        if selection.made_by:
            query = _OF_PRINCIPAL
            values |= {"made_by": selection.made_by, "since": chain.moment(selection.since)}
        elif selection.reservation:
            query, values = _OF_RESERVATION, values | {"reservation": selection.reservation}
            if selection.account:
                query = query.where(entries.c.account == selection.account)
        elif selection.account:
            query, values = _OF_ACCOUNT, values | {"account": selection.account}
        if selection.kinds:
            query = query.where(entries.c.kind.in_(selection.kinds))
        return [_read(row) for row in self._writes.now.execute(query, values).mappings()]

    def _newest(self) -> Entry | None:
        if self._last is None:
            row = self._writes.before.execute(_NEWEST).mappings().first()
            self._last = _read(row) if row else None
        return self._last

    def _keep(self, entry: Entry) -> None:
        self._writes.later(_KEEP, _row(entry))
        self._last = entry
        self._reserved.add(entry.reservation)
        self.voids += entry.kind is EntryKind.VOID
        self.weigh(entry)

    def _taken(self, reservation: str) -> bool:
        if reservation in self._reserved:
            return True
        return (
            self._writes.before.execute(_OF_RESERVATION, {"reservation": reservation, "after": 0, "at_most": 1}).first()
            is not None
        )


def _sums(standing: Standing) -> dict[str, Any]:
    account = standing.account
    row: dict[str, Any] = {
        "account": account.name,
        "sequence": standing.sequence,
        "opened_by": account.opened_by,
        "opened_at": chain.moment(account.opened_at),
        "cap_epsilon": account.cap.epsilon_units,
        "cap_delta": account.cap.delta_units,
        "rdp_order": account.order,
        "capacity": account.capacity,
        "sandbox": int(account.sandbox),
        "verdicts_granted": account.verdicts_granted,
    }
    for state, tally in (("committed", standing.committed), ("reserved", standing.reserved)):
        row |= {
            f"{state}_charges": tally.charges,
            f"{state}_epsilon": str(tally.epsilon),
            f"{state}_delta": str(tally.delta),
            f"{state}_rdp": str(tally.rdp),
            f"{state}_opaque": tally.opaque,
        }
    return row


def _standing(row: RowMapping) -> Standing:
    account = Account(
        name=row["account"],
        cap=PrivacyBudget(row["cap_epsilon"], row["cap_delta"]),
        order=row["rdp_order"],
        capacity=row["capacity"],
        sandbox=bool(row["sandbox"]),
        opened_by=row["opened_by"],
        opened_at=datetime.fromisoformat(row["opened_at"]),
        verdicts_granted=row["verdicts_granted"],
    )
    committed, reserved = (
        Tally(
            charges=row[f"{state}_charges"],
            epsilon=int(row[f"{state}_epsilon"]),
            delta=int(row[f"{state}_delta"]),
            rdp=int(row[f"{state}_rdp"]),
            opaque=row[f"{state}_opaque"],
        )
        for state in ("committed", "reserved")
    )
    return Standing(account=account, sequence=row["sequence"], committed=committed, reserved=reserved)


def _row(entry: Entry) -> dict[str, Any]:
    charge, cap = entry.charge, entry.cap
    return {
        "sequence": entry.sequence,
        "account": entry.account,
        "kind": str(entry.kind),
        "principal": entry.principal,
        "reason": entry.reason,
        "at": chain.moment(entry.at),
        "previous": entry.previous,
        "digest": entry.digest,
        "reservation": entry.reservation,
        "charge_epsilon": charge.epsilon if charge else None,
        "charge_delta": charge.delta if charge else None,
        "charge_rdp": charge.rdp if charge else None,
        "cap_epsilon": cap.epsilon_units if cap else None,
        "cap_delta": cap.delta_units if cap else None,
        "rdp_order": entry.order,
        "capacity": entry.capacity,
        "sandbox": int(entry.sandbox),
        "verdicts_granted": entry.verdicts_granted,
        "salt": entry.salt,
    }


def _read(row: RowMapping) -> Entry:
    charge = cap = None
    if row["charge_epsilon"] is not None:
        charge = Charge(epsilon=row["charge_epsilon"], delta=row["charge_delta"], rdp=row["charge_rdp"])
    if row["cap_epsilon"] is not None:
        cap = PrivacyBudget(row["cap_epsilon"], row["cap_delta"])
    return Entry(
        sequence=row["sequence"],
        account=row["account"],
        kind=EntryKind(row["kind"]),
        principal=row["principal"],
        reason=row["reason"],
        at=datetime.fromisoformat(row["at"]),
        previous=row["previous"],
        digest=row["digest"],
        reservation=row["reservation"],
        charge=charge,
        cap=cap,
        order=row["rdp_order"],
        capacity=row["capacity"],
        sandbox=bool(row["sandbox"]),
        verdicts_granted=row["verdicts_granted"],
        salt=row["salt"],
    )
