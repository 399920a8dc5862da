"""`Follower`: tells this gateway's watchers what other gateways changed.

Every change of a release leaves a record in the audit log, in the transaction that makes it. One thread a gateway reads
the records that are new, so a thousand watchers cost no more than one.
"""

import threading

import structlog

from server.gateway import Gateway

INTERVAL_S = 0.5
PAGE = 1_000
log = structlog.get_logger()


class Follower:
    """One thread that reads the audit log's new records and publishes the names in them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="follower", daemon=True)
        with gateway.store.begin() as tx:
            newest = tx.audit.newest()
        self._after = newest.sequence if newest else 0

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> int:
        """Publish each changed resource once; returns how many records were new."""
        with self._gateway.store.begin() as tx:
            records = tx.audit.records(after=self._after, limit=PAGE)
        if records:
            self._after = records[-1].sequence
        for name in dict.fromkeys(record.resource for record in records):
            self._gateway.news.publish(name)
        return len(records)

    def _look(self) -> None:
        while not self._over.wait(INTERVAL_S):
            try:
                while self.look() == PAGE:
                    pass
            except Exception:
                log.exception("changes of other gateways could not be read; trying again")
