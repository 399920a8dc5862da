"""`Queue`: takes what waits, oldest first, and runs a bounded number of jobs side by side.

The queue is the catalog: INGESTING datasets and PENDING releases. Nothing is kept in memory that a restart would miss.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from server.datasets import ingest
from server.gateway import Gateway
from server.pipeline import run_release
from synthgate.dataset import DatasetState
from synthgate.release import ReleaseState

log = structlog.get_logger()
POLL_S = 1.0
Job = Callable[[Gateway, str], None]


class Queue:
    """One thread that looks for work, and a pool that does it."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._pool = ThreadPoolExecutor(max_workers=gateway.settings.jobs, thread_name_prefix="job")
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
                self._take()
            except Exception:
                log.exception("the queue could not be read; trying again")
            self._gateway.wake.wait(POLL_S)

    def _take(self) -> None:
        free = self._gateway.settings.jobs - len(self._gateway.running)
        if free <= 0:
            return
        with self._gateway.store.begin() as tx:
            states = (DatasetState.INGESTING,)
            work: list[tuple[Job, str]] = [
                (ingest, r.dataset.name) for r in tx.datasets.list() if r.dataset.state in states
            ]
            work += [(run_release, r.release.id) for r in tx.releases.list(states=(ReleaseState.PENDING,))]
        for job, name in work:
            if free > 0 and name not in self._gateway.running:
                self._gateway.running[name] = threading.Event()
                self._pool.submit(self._run, job, name)
                free -= 1

    def _run(self, job: Job, name: str) -> None:
        try:
            job(self._gateway, name)
        except Exception:
            log.exception("a job could not be brought to rest; the next start closes it", name=name)
        finally:
            self._gateway.running.pop(name, None)
            self._gateway.wake.set()
