"""`Queue`: takes what waits, oldest first, and runs a bounded number of jobs side by side.

The queue is the catalog: INGESTING datasets and PENDING releases. Nothing is kept in memory that a restart would miss.
What is started was leased in the transaction that chose it, so that gateways that share a store run nothing twice. Now
and then the queue looks for what a lost gateway left.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from server.approvals import close_overdue
from server.catalog.base import Lease
from server.derived import run_derived
from server.gateway import Gateway
from server.ingestion import ingest, ingest_job
from server.leases import Fenced
from server.pipeline import run_release
from server.recovery import recover
from synthgate.dataset import DatasetState
from synthgate.errors import SynthgateError
from synthgate.release import ReleaseState

log = structlog.get_logger()
POLL_S = 1.0
Job = Callable[[Gateway, str], None]


class Queue:
    """One thread that looks for work, and a pool that does it."""

    def __init__(self, gateway: Gateway, *, start: Callable[["partial[None]", str], object] | None = None) -> None:
        """``start`` begins a job under its name; the default runs it in the pool."""
        self._gateway = gateway
        self._start = start or self._pool_submit
        self._pool = ThreadPoolExecutor(max_workers=max(1, gateway.settings.jobs), thread_name_prefix="job")
        self._recovered = gateway.leases.monotonic()
        self._tick = gateway.now().timestamp() // gateway.settings.verdict_tick_s
        self._thread = threading.Thread(target=self._look, name="queue", daemon=True)

    def start(self) -> None:
        """Begin to look for work."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more, cancel what runs, and wait until it is at rest."""
        self._gateway.stopping.set()
        self._gateway.wake.set()
        self._thread.join()
        for cancelled in tuple(self._gateway.running.values()):
            cancelled.set()
        self._pool.shutdown(wait=True)

    def _look(self) -> None:
        while not self._gateway.stopping.is_set():
            self._gateway.wake.clear()
            try:
                if not self._gateway.doubt.reason:
                    self.take()
                    self.recover()
            except Exception:
                log.exception("the queue could not be read; trying again")
            tick_s = self._gateway.settings.verdict_tick_s
            self._gateway.wake.wait(min(POLL_S, tick_s - self._gateway.now().timestamp() % tick_s))

    def take(self) -> None:
        """Start what is free to start; releases on a tick alone, so that the moment of a commit, which whoever cancels
        can feel, tells no more of other jobs than a published verdict does."""
        free = self._gateway.settings.jobs - len(self._gateway.running)
        tick = self._gateway.now().timestamp() // self._gateway.settings.verdict_tick_s
        due, self._tick = tick > self._tick, tick
        if free <= 0:
            return
        since = self._gateway.leases.monotonic()
        chosen: list[tuple[Job, str, Lease]] = []
        with self._gateway.store.begin() as tx:
            most = free + len(self._gateway.running) + len(self._gateway.leases.live(tx))  # those may not be free
            waiting = tx.releases.list(states=(ReleaseState.PENDING,), limit=most) if due else ()
            arrived = [r.dataset.name for r in tx.datasets.list() if r.dataset.state is DatasetState.INGESTING]
            runs = [(run_release if r.release.derivation is None else run_derived, r.release.id) for r in waiting]
            work: list[tuple[Job, str, str]] = [(job, release, release) for job, release in runs]
            work += [(ingest, name, ingest_job(name)) for name in arrived]
            for job, name, key in work:
                if len(chosen) == free:
                    break
                if key not in self._gateway.running and (lease := self._gateway.leases.take(tx, key)):
                    chosen.append((job, name, lease))
        for job, name, lease in chosen:
            self._gateway.leases.own(lease, since=since)
            self._gateway.running[lease.name] = threading.Event()
            self._start(partial(self._run, job, lease.name), name)

    def recover(self) -> None:
        """Every lease's length of seconds, bring to rest what a gateway left that does not renew any more, and what
        officers left unanswered for too long."""
        now = self._gateway.leases.monotonic()
        if now - self._recovered < self._gateway.leases.ttl_s:
            return
        self._recovered = now
        for release in recover(self._gateway, starting=False):
            log.warning("closed after its gateway was lost", release=release)
        for release in close_overdue(self._gateway):
            log.warning("rejected: it awaited approval for too long", release=release)

    def _pool_submit(self, job: "partial[None]", name: str) -> None:
        self._pool.submit(job, name)

    def _run(self, job: Job, key: str, name: str) -> None:
        rested = False
        try:
            job(self._gateway, name)
            rested = True
        except Fenced as fenced:
            log.warning("fenced", name=name, why=str(fenced))
        except Exception:
            log.exception("a job could not be brought to rest: it is tried again, or closed by recovery", name=name)
        finally:
            self._gateway.running.pop(key, None)
        try:
            self._gateway.leases.release(self._gateway.store, key)
        except SynthgateError:
            log.exception("a lease could not be released: it runs out by itself", name=name)
        if rested:
            self._gateway.wake.set()
