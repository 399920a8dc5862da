"""`MemoryStore`: everything in this process, for tests and trials. Nothing outlives it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self, TypeVar

from server.audit import MemoryAudit
from server.catalog.base import Answer, Lease
from server.catalog.memory import MemoryDatasets, MemoryLeases, MemoryPrincipals, MemoryReleases, MemoryRequests
from server.ledger.memory import MemoryLedger
from server.store import Transaction, Turn, utc_now
from synthgate.errors import Unavailable
from synthgate.ledger import Entry
from synthgate.record import AuditRecord

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class _Kept:
    entries: list[Entry] = field(default_factory=list)
    datasets: dict[str, str] = field(default_factory=dict)
    releases: dict[str, str] = field(default_factory=dict)
    requests: dict[tuple[str, str, str], Answer] = field(default_factory=dict)
    audit: list[AuditRecord] = field(default_factory=list)
    principals: dict[str, tuple[str, str]] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)

    def copy(self) -> Self:
        return type(self)(
            self.entries.copy(), self.datasets.copy(), self.releases.copy(), self.requests.copy(), self.audit.copy(),
            self.principals.copy(), self.leases.copy(),
        )  # fmt: skip


class MemoryStore:
    """A `server.store.Store` in memory. A transaction works on a copy, which replaces the state when it succeeds."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now, timeout_s: float = 30.0) -> None:
        self._kept: _Kept | None = _Kept()
        self._clock = clock
        self._turn = Turn(timeout_s=timeout_s)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """One transaction."""
        with self._turn.taken():
            if self._kept is None:
                raise Unavailable("the gateway's store is closed")
            draft = self._kept.copy()
            yield Transaction(
                ledger=MemoryLedger(draft.entries, clock=self._clock),
                datasets=MemoryDatasets(draft.datasets),
                releases=MemoryReleases(draft.releases, datasets=draft.datasets, entries=draft.entries),
                requests=MemoryRequests(draft.requests),
                audit=MemoryAudit(draft.audit, clock=self._clock),
                principals=MemoryPrincipals(draft.principals),
                leases=MemoryLeases(draft.leases, clock=self._clock),
            )
            self._kept = draft.copy()

    def together(self, work: Callable[[Transaction], Found]) -> Found:
        """Alone: there is no commit to save."""
        with self.begin() as tx:
            return work(tx)

    def close(self) -> None:
        """Forget everything."""
        self._kept = None
