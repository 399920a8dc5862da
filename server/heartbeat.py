"""`Heartbeat`: renews this gateway's leases, and kills the workers of jobs that it may not finish.

Renewing waits for the store, which may be long in coming. Whether a lease was renewed in time is therefore watched by a
thread that asks nobody: a gateway that is cut off stops its jobs before another may begin them.
"""

import threading
from collections.abc import Iterable

import structlog

from server.gateway import Gateway

WATCH_S = 0.25
log = structlog.get_logger()


class Heartbeat:
    """Two threads over ``gateway.leases``."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._over = threading.Event()
        self._threads = (
            threading.Thread(target=self._renew, name="heartbeat", daemon=True),
            threading.Thread(target=self._watch, name="leases", daemon=True),
        )

    def start(self) -> None:
        """Begin; before the queue does."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; after the queue has."""
        self._over.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def beat(self) -> None:
        """Renew once. A store that does not answer is logged: the next beat, or `watch`, follows."""
        try:
            lost = self._gateway.leases.beat(self._gateway.store)
        except Exception:
            log.exception("leases could not be renewed")
            return
        self._kill(lost)

    def watch(self) -> None:
        """Stop the jobs whose leases were not renewed in time."""
        self._kill(self._gateway.leases.overdue())

    def _kill(self, names: Iterable[str]) -> None:
        for name in names:
            running = self._gateway.running.get(name)
            if running is not None and not running.is_set():
                log.warning("a lease was lost; its job is stopped", name=name)
                running.set()

    def _renew(self) -> None:
        while not self._over.wait(self._gateway.settings.heartbeat_s):
            self.beat()

    def _watch(self) -> None:
        while not self._over.wait(WATCH_S):
            self.watch()
