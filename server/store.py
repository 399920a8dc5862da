"""`Store.begin()`: one transaction over ledger, catalog, request log and audit log."""

from contextlib import AbstractContextManager
from typing import Protocol

from server.catalog.base import AuditLog, DatasetCatalog, ReleaseCatalog, RequestLog
from server.ledger.base import Ledger, LedgerView


class LedgerAndView(Ledger, LedgerView, Protocol):
    """What a transaction offers of the ledger: verbs and views."""


class Transaction(Protocol):
    """Everything that changes together. Read-only members; valid inside the ``with`` block alone."""

    @property
    def ledger(self) -> LedgerAndView: ...

    @property
    def datasets(self) -> DatasetCatalog: ...

    @property
    def releases(self) -> ReleaseCatalog: ...

    @property
    def requests(self) -> RequestLog: ...

    @property
    def audit(self) -> AuditLog: ...


class Store(Protocol):
    """A place that keeps it. ``begin`` commits when the block ends, rolls all of it back when the block raises, and
    serialises writers across threads and processes."""

    def begin(self) -> AbstractContextManager[Transaction]: ...

    def close(self) -> None: ...
