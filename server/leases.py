"""Leases: which gateway does which job, and the fence that refuses what a former holder still writes.

A job runs under a lease of its name, taken in the transaction that chose it. Every transaction that writes what comes
of the job calls `Leases.check`, which locks the row and refuses unless holder and fence are those that the job began
with. So a gateway that was paused, cut off or declared dead writes nothing that counts, whatever its clock says. Times
decide only how soon another may take over: they are the database's where several gateways share one, and a gateway
that cannot renew stops its jobs by its own monotonic clock before that (ADR 0045).
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from server.catalog.base import Lease
from server.store import Store, Transaction


class Fenced(Exception):
    """The job belongs to somebody else by now, or to nobody. Inside the server alone: a job that meets it writes
    nothing more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"this gateway does not hold the lease of {name!r} any more")


def take(tx: Transaction, name: str, *, holder: str, ttl_s: float, dead: Callable[[str], bool]) -> Lease | None:
    """Take a lease that is free, ran out, or belongs to a ``dead`` holder; None where it is somebody's."""
    stored, now = tx.leases.get(name), tx.leases.now()
    if stored is not None and stored.holder and stored.until > now and not dead(stored.holder):
        return None
    fence = 1 if stored is None else stored.fence + 1
    lease = Lease(name=name, holder=holder, fence=fence, until=now + timedelta(seconds=ttl_s))
    tx.leases.put(lease)
    return lease


def check(tx: Transaction, lease: Lease) -> None:
    """Raise Fenced unless ``lease`` is still the present one. The row stays locked until the transaction ends."""
    stored = tx.leases.get(lease.name)
    if stored is None or (stored.holder, stored.fence) != (lease.holder, lease.fence):
        raise Fenced(lease.name)


def renew(tx: Transaction, lease: Lease, *, ttl_s: float) -> Lease:
    """The lease with a new end. Raises Fenced."""
    check(tx, lease)
    renewed = replace(lease, until=tx.leases.now() + timedelta(seconds=ttl_s))
    tx.leases.put(renewed)
    return renewed


def release(tx: Transaction, lease: Lease) -> None:
    """Let go of it; the fence stays. Raises Fenced."""
    check(tx, lease)
    tx.leases.put(replace(lease, holder=""))


def revoke(tx: Transaction, name: str) -> None:
    """Take the lease from whoever holds it and give it to nobody: its job is fenced at once."""
    stored = tx.leases.get(name)
    if stored is not None and stored.holder:
        tx.leases.put(replace(stored, holder="", fence=stored.fence + 1))


def folder(lease: Lease) -> str:
    """The name of the folder that a job works in under this lease, and no other job ever."""
    return f"{lease.name.replace(' ', '-')}.{lease.fence}"


@dataclass(slots=True)
class Leases:
    """What one life of a gateway holds, by the name of the job.

    ``instance`` names the gateway, ``life`` this start of it. ``ttl_s`` is how long a lease lasts without renewal,
    ``margin_s`` how long before its end the gateway stops believing in it. ``alone``: nobody else can use the store,
    so that every other holder is dead.
    """

    instance: str = "gateway"
    life: str = field(default_factory=lambda: secrets.token_hex(8))
    ttl_s: float = 10.0
    margin_s: float = 3.0
    alone: bool = True
    monotonic: Callable[[], float] = time.monotonic
    _mine: dict[str, tuple[Lease, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def holder(self) -> str:
        """This life, as the store knows it."""
        return f"{self.instance}/{self.life}"

    def dead(self, holder: str) -> bool:
        """Whether ``holder`` cannot be running: an earlier life of this gateway (the lock of its name is ours), or
        anybody else where this gateway is alone."""
        earlier = holder.startswith(f"{self.instance}/") and holder != self.holder
        return earlier or (self.alone and holder != self.holder)

    def take(self, tx: Transaction, name: str) -> Lease | None:
        """`take` for this gateway. It counts once `own` was told, after the transaction."""
        return take(tx, name, holder=self.holder, ttl_s=self.ttl_s, dead=self.dead)

    def own(self, lease: Lease, *, since: float) -> None:
        """Believe in a lease that was taken or renewed in a transaction that began at ``since`` (monotonic)."""
        with self._lock:
            self._mine[lease.name] = (lease, since + self.ttl_s - self.margin_s)

    def mine(self, name: str) -> Lease:
        """The lease that this gateway believes in. Raises Fenced."""
        with self._lock:
            lease, end = self._mine.get(name, (None, 0.0))
        if lease is None or self.monotonic() >= end:
            raise Fenced(name)
        return lease

    def check(self, tx: Transaction, name: str) -> None:
        """Raise Fenced unless the job may write. Every transaction that writes a job's result calls it first."""
        check(tx, self.mine(name))

    def has(self, tx: Transaction, name: str) -> bool:
        """Whether the job is this gateway's."""
        try:
            self.check(tx, name)
        except Fenced:
            return False
        return True

    @contextmanager
    def under(self, store: Store, name: str) -> Iterator[bool]:
        """Do something under a lease that nobody has; tells whether it was free, and lets go of it afterwards."""
        since = self.monotonic()
        with store.begin() as tx:
            lease = self.take(tx, name)
        if lease is None:
            yield False
            return
        self.own(lease, since=since)
        try:
            yield True
        finally:
            self.release(store, name)

    def live(self, tx: Transaction) -> tuple[Lease, ...]:
        """The leases of all gateways that have not run out and whose holders may be running."""
        now = tx.leases.now()
        return tuple(lease for lease in tx.leases.list() if lease.until > now and not self.dead(lease.holder))

    def overdue(self) -> tuple[str, ...]:
        """The jobs that must stop now: nobody renewed their leases in time."""
        with self._lock:
            return tuple(name for name, (_, end) in self._mine.items() if self.monotonic() >= end)

    def beat(self, store: Store) -> tuple[str, ...]:
        """Renew everything in one transaction; returns the jobs that somebody else has taken. Those are forgotten.

        Raises what the store raises; then nothing was renewed, and what is not renewed in time becomes `overdue`.
        """
        since = self.monotonic()
        with self._lock:
            wanted = [lease for lease, end in self._mine.values() if since < end]
        if not wanted:
            return ()
        renewed, lost = [], []
        with store.begin() as tx:
            for lease in wanted:
                try:
                    renewed.append(renew(tx, lease, ttl_s=self.ttl_s))
                except Fenced:
                    lost.append(lease)
        with self._lock:
            for lease in renewed:
                if lease.name in self._mine and self._mine[lease.name][0].fence == lease.fence:
                    self._mine[lease.name] = (lease, since + self.ttl_s - self.margin_s)
            for lease in lost:
                if self._mine.get(lease.name, (lease, 0.0))[0].fence == lease.fence:
                    self._mine.pop(lease.name, None)
        return tuple(lease.name for lease in lost)

    def release(self, store: Store, name: str) -> None:
        """Let go of a job that is at rest; nothing happens where somebody else has it."""
        with self._lock:
            lease, _ = self._mine.pop(name, (None, 0.0))
        if lease is None:
            return
        with store.begin() as tx:
            try:
                release(tx, lease)
            except Fenced:
                return
