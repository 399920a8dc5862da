"""Erasure: `delete` destroys a dataset's rows and whatever was made of them and not released, and of what was released
the reports and stored models too; sealed secrets and journals as well. Released data and the books stay."""

from dataclasses import replace

from server import checkpoints
from server.artifacts import destroy_folder
from server.catalog.base import DatasetRecord
from server.datasets import Upload, move
from server.failpoints import Step
from server.gateway import Call, Gateway
from server.identity import Office, Principal
from server.ingestion import ingest_job
from server.leases import revoke
from server.populations import is_steward
from server.releases import PRIVATE, destroy_unneeded, stop
from synthgate.dataset import DatasetState
from synthgate.errors import NotFound, PermissionDenied
from synthgate.release import ACTIVE, ReleaseState

KEPT = (ReleaseState.RELEASED, ReleaseState.REVOKED)
UNFINISHED = (*ACTIVE, ReleaseState.AWAITING_APPROVAL)


def delete(gateway: Gateway, call: Call, name: str) -> DatasetRecord:
    """Mark the dataset DELETED, stop its releases, then destroy rows and uploads. Raises NotFound, also to other
    tenants, and PermissionDenied but for its own steward and its tenant's officers.

    Charges that were committed stay; ledger, audit log and attestations of what was released stay as well, and so does
    the fingerprint: without it the same rows could be uploaded anew to a fresh budget.
    """
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
        if call.answered(tx) is None:
            _check_may(record, call.principal)
            move(tx, replace(record, found={}), DatasetState.DELETED)
            call.answer(tx, name)
            gateway.at(Step.DELETE_WRITING)
        record = tx.datasets.get(name)
    gateway.at(Step.DELETED)
    checkpoints.take(gateway)
    destroy(gateway, name, by=call.principal.name)
    return record


def _check_may(record: DatasetRecord, principal: Principal) -> None:
    name = record.dataset.name
    if record.dataset.state is DatasetState.DELETED or principal.tenant != record.tenant:
        raise NotFound(f"there is no dataset {name!r}")
    if principal.office is not Office.OFFICER and not is_steward(record, principal):
        raise PermissionDenied("only who registered a dataset deletes it, or an officer; ask one of them")


def destroy(gateway: Gateway, name: str, *, by: str) -> None:
    """What follows the mark: nothing of a DELETED dataset runs, waits or is stored any more. Idempotent; a restart
    does it again for what a crash interrupted."""
    with gateway.store.begin() as tx:
        if not gateway.leases.has(tx, ingest_job(name)):
            revoke(tx, ingest_job(name))
        unfinished = [r.release.id for r in tx.releases.list(dataset=name, states=UNFINISHED)]
    for release in unfinished:
        stop(gateway, release, by=by, reason="the dataset was deleted")
    if running := gateway.running.get(ingest_job(name)):
        running.set()
    with gateway.store.begin() as tx:
        made = tx.releases.list(dataset=name)
    doomed = {
        digest
        for record in made
        for kind, digest in record.artifacts.items()
        if record.release.state not in KEPT or kind in PRIVATE
    }
    for record in made:
        gateway.sealed.destroy(record.release.id)
    destroy_unneeded(gateway, doomed)
    gateway.at(Step.ROWS_GOING)
    destroy_folder(gateway.settings.rows / name)
    gateway.at(Step.ROWS_GONE)
    Upload(gateway, name).discard()
