"""The ledger in SQL: one row an entry, never updated, never deleted (triggers of ``server.tables`` see to it)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from server.ledger import chain
from server.ledger.book import Book, Selection
from server.tables import entries
from synthgate.budget import PrivacyBudget
from synthgate.ledger import Charge, Entry, EntryKind


class SqlLedger(Book):
    """The ledger over the table ``entries``, inside one transaction of ``connection``."""

    def __init__(self, connection: Connection, *, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self._connection = connection

    def _select(self, selection: Selection) -> Sequence[Entry]:
        query = select(entries).where(entries.c.sequence > selection.after).order_by(entries.c.sequence)
        if selection.account:
            query = query.where(entries.c.account == selection.account)
        if selection.reservation:
            query = query.where(entries.c.reservation == selection.reservation)
        if selection.kinds:
            query = query.where(entries.c.kind.in_(selection.kinds))
        return [_read(row) for row in self._connection.execute(query.limit(selection.limit)).mappings()]

    def _newest(self) -> Entry | None:
        query = select(entries).order_by(entries.c.sequence.desc()).limit(1)
        row = self._connection.execute(query).mappings().first()
        return _read(row) if row else None

    def _keep(self, entry: Entry) -> None:
        self._connection.execute(insert(entries).values(_row(entry)))


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
