"""Erasure: `delete` destroys a dataset's rows and whatever of them was not released; the books stay."""

import shutil

from server.catalog.base import DatasetRecord
from server.datasets import Upload, move
from server.gateway import Call, Gateway
from server.releases import stop
from synthgate.dataset import DatasetState
from synthgate.errors import NotFound
from synthgate.release import ACTIVE, ReleaseState


def delete(gateway: Gateway, call: Call, name: str) -> DatasetRecord:
    """Mark the dataset DELETED, stop its releases, then destroy rows and uploads. Raises NotFound.

    Charges that were committed stay; ledger, audit log and attestations of what was released stay as well.
    """
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
        if call.answered(tx) is None:
            if record.dataset.state is DatasetState.DELETED:
                raise NotFound(f"there is no dataset {name!r}")
            move(tx, record, DatasetState.DELETED)
            call.answer(tx, name)
        states = (*ACTIVE, ReleaseState.AWAITING_APPROVAL)
        unfinished = [r.release.id for r in tx.releases.list(dataset=name, states=states)]
        record = tx.datasets.get(name)
    for release in unfinished:
        stop(gateway, release, by=call.principal.name, reason="the dataset was deleted")
    if running := gateway.running.get(name):
        running.set()
    shutil.rmtree(gateway.settings.rows / name, ignore_errors=True)
    Upload(gateway, name).discard()
    return record
