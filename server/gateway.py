"""`Gateway`: the parts that every operation needs, put together once by ``server.app``.

Operations are functions in ``accounts``, ``datasets``, ``releases`` and ``pipeline`` that take it first. `Call` is what
a mutating request brings besides its arguments.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from server.artifacts import Artifacts
from server.attestation import Signer
from server.config import Settings
from server.failpoints import Step, passed
from server.identity import GATEWAY as GATEWAY
from server.identity import Principal
from server.jobs import runner
from server.keys import Keys
from server.leases import Leases
from server.sealed import Sealed
from server.store import Store, Transaction
from synthgate.errors import InvalidArgument, ReadOnly

REQUEST_ID_MAX = 128
REASON_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, for which method, under which request id, with which payload (its digest)."""

    principal: Principal
    method: str
    request_id: str
    payload: str

    def answered(self, tx: Transaction) -> str | None:
        """The resource that the same request gave before. Raises RequestIdReused, InvalidArgument."""
        if not 1 <= len(self.request_id) <= REQUEST_ID_MAX or not self.request_id.isprintable():
            raise InvalidArgument(f"send a new request_id of 1 to {REQUEST_ID_MAX} printable characters")
        return tx.requests.recall(self.principal.name, self.method, self.request_id, payload=self.payload)

    def answer(self, tx: Transaction, resource: str, **detail: str) -> None:
        """Keep the answer and write the audit record, in the transaction that makes the change."""
        who = (self.principal.name, self.method, self.request_id)
        tx.requests.remember(*who, payload=self.payload, resource=resource)
        tx.audit.append(principal=self.principal.name, action=self.method, resource=resource, detail=detail)


@dataclass(slots=True)
class News:
    """Tells watchers that a release changed, and keeps the stages of running jobs (memory alone)."""

    listeners: dict[str, list[Callable[[str], None]]] = field(default_factory=dict)
    """By the name that they listen for; a thousand watchers of other releases are not woken."""
    stages: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def listening(self, name: str, listener: Callable[[str], None]) -> Iterator[None]:
        """``listener`` is called, in any thread, whenever ``name`` changes."""
        with self.lock:
            self.listeners.setdefault(name, []).append(listener)
        try:
            yield
        finally:
            with self.lock:
                self.listeners[name].remove(listener)
                if not self.listeners[name]:
                    del self.listeners[name]

    def publish(self, name: str, stage: str | None = None) -> None:
        """Tell who listens; ``stage`` is what the work is at, empty when it ended."""
        with self.lock:
            if stage:
                self.stages[name] = stage
            elif stage == "":
                self.stages.pop(name, None)
            listeners = tuple(self.listeners.get(name, ()))
        for listener in listeners:
            listener(name)


@dataclass(slots=True)
class Doubt:
    """Why the gateway only reads: its books do not contain what it signed before. Empty while they do."""

    reason: str = ""
    newest: int = 0
    """The highest number of a checkpoint that was seen."""

    def check(self) -> None:
        """Raise ReadOnly where there is a reason."""
        if self.reason:
            raise ReadOnly(
                f"the gateway only reads: {self.reason}. Put the newest database back, or let an officer accept this "
                "one with `synthgate audit accept`"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Everything that operations share. ``wake`` tells the queue that there is work, ``stopping`` that the
    gateway goes down; ``now`` is the clock."""

    settings: Settings
    store: Store
    artifacts: Artifacts
    keys: Keys
    signer: Signer
    sealed: Sealed
    """Secrets and journals of attempts under way."""
    news: News = field(default_factory=News)
    leases: Leases = field(default_factory=Leases)
    """The jobs that this gateway may do; every write of a job's result checks its fence."""
    doubt: Doubt = field(default_factory=Doubt)
    """Whether the books are what they were; while they are not, nothing is changed and nothing is handed out."""
    running: dict[str, threading.Event] = field(default_factory=dict)
    """Jobs under way by name, with the event that cancels them."""
    wake: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    job: Callable[..., Mapping[str, Any]] = runner.run
    """What runs one job in a process of its own."""
    at: Callable[[Step], None] = passed
    """Told of every durable step of a release as it is reached; see `server.failpoints`."""


def checked_reason(reason: str) -> str:
    """A reason that the audit log can keep. Raises InvalidArgument."""
    if not 1 <= len(reason.strip()) <= REASON_MAX:
        raise InvalidArgument(f"give a reason of 1 to {REASON_MAX} characters; it is kept in the audit log")
    return reason.strip()
