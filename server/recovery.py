"""`recover`: what a gateway does with what a lost one, or its own last life, left under way.

    found, and its lease is free                    becomes
    PENDING                                         stays in the queue (the queue is the catalog)
    TRAINING, EVALUATING, and can be repeated       PENDING, charge kept: the queue repeats it (`server.replays`)
    any other TRAINING, EVALUATING, SAMPLING        FAILED, charge kept
    AWAITING_APPROVAL                               stays

It runs at the start, before anything else, and again every few seconds. What another gateway holds a lease of is left
alone. Folders of jobs that no longer run are destroyed, and so are secrets and journals of what is at rest, stored
samples that no release serves or awaits, uploads that are ingested, and what a crash left of a dataset that was marked
DELETED. Artifacts of a version before encryption are encrypted.
"""

import shutil
from collections.abc import Callable

import structlog

from server import erasure
from server.attempts import fail
from server.gateway import GATEWAY, Gateway
from server.ingestion import tidy
from server.leases import Fenced, folder
from server.releases import GENERATED, PRIVATE
from server.replays import queue_again
from server.store import Transaction
from synthgate.dataset import DatasetState
from synthgate.errors import NotFound
from synthgate.ledger import ReservationState
from synthgate.release import ACTIVE, WORKING, ReleaseState

log = structlog.get_logger()
JOB = "recovery"
"""The lease of the one gateway that looks through the files."""
QUEUED, CLOSED = "queued again", "closed"
RESTARTED = "the gateway was restarted while the work was under way"


def recover(gateway: Gateway, *, starting: bool = True) -> tuple[str, ...]:
    """Queue again what can be repeated, and close the rest. Returns the releases that were closed. Idempotent.

    Later than at the start, files are looked through only where something was found. A job that still runs here is left
    alone, even where its lease has run out because this process stood still: it would take a lease that recovery holds
    for its own. It is told to stop, and what it leaves is found the next time.
    """
    with gateway.store.begin() as tx:
        working = [r.release.id for r in tx.releases.list(states=WORKING)]
    found = [release for release in working if release not in gateway.running]
    ends = {release: _alone(_settle, gateway, release) for release in found}
    _shred(gateway)
    if starting or any(ends.values()):
        _clear(gateway)
        with gateway.leases.under(gateway.store, JOB) as free:
            if free:
                _erase(gateway)
                tidy(gateway)
                _sweep(gateway)
                gateway.artifacts.encrypt_plain()
    return tuple(release for release, end in ends.items() if end == CLOSED)


def _alone(work: Callable[[Gateway, str], str], gateway: Gateway, release: str) -> str:
    """What ``work`` returns, empty where it failed: one that cannot be brought to rest keeps no other from it."""
    try:
        return work(gateway, release)
    except Fenced:
        log.warning("fenced while it was recovered", release=release)
    except Exception:
        log.exception("could not be recovered; trying again", release=release)
    return ""


def _settle(gateway: Gateway, release: str) -> str:
    """Under its lease, if nobody has that (whoever had it before is fenced by then): queue it again where it can be
    repeated, else fail it. Returns what was done, empty for nothing."""
    with gateway.leases.under(gateway.store, release) as free:
        if not free:
            return ""
        with gateway.store.begin() as tx:
            if tx.releases.get(release).release.state not in WORKING:
                return ""
        queued = queue_again(gateway, release)
        if not queued:
            fail(gateway, release, RESTARTED)
    gateway.news.publish(release)
    return QUEUED if queued else CLOSED


def _shred(gateway: Gateway) -> None:
    """Shred the secrets and journals of what is at rest, and of what was not charged in the end; each under its lease,
    since a new attempt makes its secret under that."""
    for release in gateway.sealed.releases():
        if release not in gateway.running:
            _alone(_shred_one, gateway, release)


def _shred_one(gateway: Gateway, release: str) -> str:
    with gateway.leases.under(gateway.store, release) as free:
        if free and not _needed(gateway, release):
            gateway.sealed.destroy(release)
    return ""


def _needed(gateway: Gateway, release: str) -> bool:
    """Whether an attempt of it is, or will be, repeated."""
    with gateway.store.begin() as tx:
        try:
            state = tx.releases.get(release).release.state
        except NotFound:  # of another database that was in this place: nothing will ever open it
            return False
        return state in ACTIVE and tx.ledger.reservation(release).state is ReservationState.COMMITTED


def _clear(gateway: Gateway) -> None:
    """Destroy the folders of jobs that have no lease any more."""
    found = list(gateway.settings.work.glob("*"))  # before the leases: one that is taken later has another folder
    with gateway.store.begin() as tx:
        working = {folder(lease) for lease in gateway.leases.live(tx)}
    for path in found:
        if path.name not in working:
            shutil.rmtree(path, ignore_errors=True)


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
    """Destroy what nobody needs, at a moment when no job of any gateway may have stored what it has not written yet."""
    with gateway.store.begin() as tx:
        if any(lease.name != JOB for lease in gateway.leases.live(tx)):
            return
        existing = {record.dataset.name for record in tx.datasets.list()}
        kept = {
            digest
            for record in tx.releases.list()
            for kind, digest in record.artifacts.items()
            if kind not in GENERATED or record.release.state in (ReleaseState.RELEASED, ReleaseState.AWAITING_APPROVAL)
            if kind not in PRIVATE or record.release.dataset in existing
        }
        gateway.artifacts.sweep(kept)
