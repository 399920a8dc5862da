"""`Store.begin()`: one transaction over ledger, catalog, request log and audit log.

Two stores keep it: ``server.store_memory.MemoryStore`` and ``server.store_sql.SqlStore``.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from server.catalog.base import AuditLog, DatasetCatalog, LeaseCatalog, PrincipalCatalog, ReleaseCatalog, RequestLog
from server.ledger.base import Ledger, LedgerView
from synthgate.errors import Unavailable

Found = TypeVar("Found")


class LedgerAndView(Ledger, LedgerView, Protocol):
    """What a transaction offers of the ledger: verbs and views."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """Everything that changes together. Valid inside the ``with`` block alone."""

    ledger: LedgerAndView
    datasets: DatasetCatalog
    releases: ReleaseCatalog
    requests: RequestLog
    audit: AuditLog
    principals: PrincipalCatalog
    leases: LeaseCatalog
    send: Callable[[], None] = lambda: None
    """Hand the database what was written so far, so that what it refuses is raised here and not at the commit."""


class Store(Protocol):
    """A place that keeps it. ``begin`` commits when the block ends, rolls all of it back when the block raises, and
    serialises writers across threads and processes.

    ``begin`` raises Unavailable where its turn does not come in time or the store is closed. Blocks are short, hold no
    ``await`` and do not nest: a second ``begin`` in the same thread is a RuntimeError.
    """

    def begin(self) -> AbstractContextManager[Transaction]:
        """One transaction."""

    def together(self, work: Callable[["Transaction"], Found]) -> Found:
        """What ``work`` returns, run in a transaction that it may share with others' (``server.together``)."""

    def close(self) -> None:
        """Let go of it."""


class Turn:
    """One transaction at a time in this process. Threads queue here rather than poll the database's lock."""

    def __init__(self, *, timeout_s: float) -> None:
        self._lock = threading.Lock()
        self._timeout_s = timeout_s
        self._owner = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold the turn. Raises Unavailable after ``timeout_s``, RuntimeError where this thread holds it already."""
        if self._owner == threading.get_ident():
            raise RuntimeError("transactions do not nest: finish the one that this thread has begun")
        if not self._lock.acquire(timeout=self._timeout_s):
            raise Unavailable("the gateway's store is busy; retry later")
        self._owner = threading.get_ident()
        try:
            yield
        finally:
            self._owner = 0
            self._lock.release()


def utc_now() -> datetime:
    """The stores' default clock."""
    return datetime.now(UTC)
