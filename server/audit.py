"""The audit log: who did what to which resource, appended in the transaction that did it, hash-chained like the ledger.

Public facts only: names, states, shares. Never a score, a size or a cell.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import RowMapping, insert, select

from server import tables
from server.ledger import chain
from server.writes import Writes
from synthgate.record import AuditRecord

Clock = Callable[[], datetime]
_NEWEST = select(tables.audit).order_by(tables.audit.c.sequence.desc()).limit(1)
_KEEP = insert(tables.audit)


class MemoryAudit:
    """The log over a list that belongs to one transaction."""

    def __init__(self, kept: list[AuditRecord], *, clock: Clock) -> None:
        self._kept = kept
        self._clock = clock

    def append(self, *, principal: str, action: str, resource: str, detail: Mapping[str, str]) -> AuditRecord:
        """Record a change."""
        record = chain.seal(_record(self._clock(), principal, action, resource, detail), after=self.newest())
        self._kept.append(record)
        return record

    def records(self, *, after: int = 0, limit: int = 1_000) -> tuple[AuditRecord, ...]:
        """Records with a sequence number above ``after``, in order."""
        return tuple(self._kept[after : after + max(0, limit)])

    def newest(self) -> AuditRecord | None:
        """The last record."""
        return self._kept[-1] if self._kept else None


class SqlAudit:
    """The log over the table ``audit``, inside the transaction of ``writes``."""

    def __init__(self, writes: Writes, *, clock: Clock) -> None:
        self._writes = writes
        self._clock = clock
        self._last: AuditRecord | None = None

    def append(self, *, principal: str, action: str, resource: str, detail: Mapping[str, str]) -> AuditRecord:
        """Record a change."""
        record = chain.seal(_record(self._clock(), principal, action, resource, detail), after=self.newest())
        texts = {"at": chain.moment(record.at), "detail": chain.canonical(record.detail)}
        self._writes.later(_KEEP, asdict(record) | texts)
        self._last = record
        return record

    def records(self, *, after: int = 0, limit: int = 1_000) -> tuple[AuditRecord, ...]:
        """Records with a sequence number above ``after``, in order."""
        table = tables.audit
        query = select(table).where(table.c.sequence > after).order_by(table.c.sequence).limit(max(0, limit))
        return tuple(_read(row) for row in self._writes.now.execute(query).mappings())

    def newest(self) -> AuditRecord | None:
        """The last record; read once, since this transaction alone writes."""
        if self._last is None:
            row = self._writes.before.execute(_NEWEST).mappings().first()
            self._last = _read(row) if row else None
        return self._last


def _record(at: datetime, principal: str, action: str, resource: str, detail: Mapping[str, str]) -> AuditRecord:
    return AuditRecord(
        sequence=0, at=at, principal=principal, action=action, resource=resource, detail=dict(detail), previous="",
        digest="",
    )  # fmt: skip


def _read(row: RowMapping) -> AuditRecord:
    return AuditRecord(
        sequence=row["sequence"],
        at=datetime.fromisoformat(row["at"]),
        principal=row["principal"],
        action=row["action"],
        resource=row["resource"],
        detail=json.loads(row["detail"]),
        previous=row["previous"],
        digest=row["digest"],
    )
