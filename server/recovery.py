"""`recover`: what a restart does with what the last run left, before anything else runs.

    found                            becomes
    PENDING, reserved                stays in the queue (the queue is the catalog)
    PENDING, already committed       FAILED, charge kept
    TRAINING, EVALUATING             FAILED, charge kept
    AWAITING_APPROVAL                stays

Folders of jobs that no longer run are destroyed, and so are stored samples that no release serves or awaits.
"""

import shutil

from server.gateway import Gateway
from server.pipeline import fail
from synthgate.ledger import ReservationState
from synthgate.release import ACTIVE, ReleaseState

RESTARTED = "the gateway was restarted while the work was under way"


def recover(gateway: Gateway) -> tuple[str, ...]:
    """Bring everything to rest that cannot go on. Returns the releases that were closed. Idempotent."""
    with gateway.store.begin() as tx:
        interrupted = [
            record.release.id
            for record in tx.releases.list(states=ACTIVE)
            if record.release.state is not ReleaseState.PENDING
            or tx.ledger.reservation(record.release.id).state is ReservationState.COMMITTED
        ]
    for release in interrupted:
        fail(gateway, release, RESTARTED)
    shutil.rmtree(gateway.settings.work, ignore_errors=True)
    _sweep(gateway)
    return tuple(interrupted)


def _sweep(gateway: Gateway) -> None:
    with gateway.store.begin() as tx:
        kept = {
            digest
            for record in tx.releases.list()
            for kind, digest in record.artifacts.items()
            if kind != "data" or record.release.state in (ReleaseState.RELEASED, ReleaseState.AWAITING_APPROVAL)
        }
    for digest in gateway.artifacts.digests():
        if digest not in kept:
            gateway.artifacts.destroy(digest)
