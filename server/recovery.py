"""`recover`: what a restart does with what the last run left, before anything else runs.

    found                            becomes
    PENDING, reserved or derived     stays in the queue (the queue is the catalog)
    PENDING, already committed       FAILED, charge kept
    TRAINING, EVALUATING, SAMPLING   FAILED, charge kept
    AWAITING_APPROVAL                stays

Folders of jobs that no longer run are destroyed, and so are stored samples that no release serves or awaits, and what a
crash left of a dataset that was marked DELETED.
"""

import shutil

from server import erasure
from server.attempts import fail
from server.gateway import GATEWAY, Gateway
from server.releases import GENERATED
from server.store import Transaction
from synthgate.dataset import DatasetState
from synthgate.errors import NotFound
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
            or (
                record.release.derivation is None
                and tx.ledger.reservation(record.release.id).state is ReservationState.COMMITTED
            )
        ]
    for release in interrupted:
        fail(gateway, release, RESTARTED)
    shutil.rmtree(gateway.settings.work, ignore_errors=True)
    _erase(gateway)
    _sweep(gateway)
    return tuple(interrupted)


def _erase(gateway: Gateway) -> None:
    settings = gateway.settings
    left = {path.name for path in settings.rows.glob("*")} | {path.stem for path in settings.uploads.glob("*.json")}
    with gateway.store.begin() as tx:
        left |= {record.release.dataset for record in tx.releases.list(states=erasure.UNFINISHED)}
        deleted = [name for name in sorted(left) if _is_deleted(tx, name)]
    for name in deleted:
        erasure.destroy(gateway, name, by=GATEWAY)


def _is_deleted(tx: Transaction, name: str) -> bool:
    try:
        return tx.datasets.get(name).dataset.state is DatasetState.DELETED
    except NotFound:  # rows of a dataset that a restored database does not know are not ours to destroy
        return False


def _sweep(gateway: Gateway) -> None:
    with gateway.store.begin() as tx:
        existing = {record.dataset.name for record in tx.datasets.list()}
        kept = {
            digest
            for record in tx.releases.list()
            for kind, digest in record.artifacts.items()
            if kind not in GENERATED or record.release.state in (ReleaseState.RELEASED, ReleaseState.AWAITING_APPROVAL)
            if kind != "model" or record.release.dataset in existing
        }
    for digest in gateway.artifacts.digests():
        if digest not in kept:
            gateway.artifacts.destroy(digest)
