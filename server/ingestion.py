"""Ingest, as the gateway drives it: an upload becomes private tables, fails, or waits for a link."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import structlog

from server import populations
from server.artifacts import destroy_folder
from server.catalog.base import DatasetRecord
from server.datasets import READY_AT, Upload, move
from server.failpoints import Step
from server.gateway import GATEWAY, Gateway
from server.jobs import runner
from server.leases import Fenced
from server.leases import folder as folder_of
from server.populations import Known
from server.storage import sync
from server.store import Transaction
from synthgate.dataset import DatasetState, PublicSizes, SizeOrigin

FAULT = "a fault of the gateway; its log has the incident. Upload the file again"
log = structlog.get_logger()


def ingest(gateway: Gateway, name: str) -> None:
    """Read, cut and split one upload in a process of its own; the upload is destroyed whatever comes of it, unless it
    waits for a link or is to be compared again.

    A gateway that goes down meanwhile leaves it INGESTING, and the next one starts over. The audit log tells that the
    upload is about to be read, and nothing of what comes of it: whether and when that ends, fails or waits depends on
    private rows, and the log is read by others than its steward. That it is READY, the dataset says on a tick.
    """
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
        known = populations.known(tx, record)
        if record.dataset.state is not DatasetState.INGESTING:
            return
        gateway.leases.check(tx, ingest_job(name))
        tx.audit.append(principal=GATEWAY, action="Ingest", resource=name, detail={})
        gateway.at(Step.INGESTING_WRITING)
    gateway.at(Step.INGESTING)
    upload, folder = Upload(gateway, name), gateway.settings.work / folder_of(gateway.leases.mine(ingest_job(name)))
    try:
        found = _run(gateway, record, known, upload=upload, folder=folder)
        settled = _settle(gateway, name, found=found, folder=folder, known=known)
    except runner.JobFailed as failed:
        settled = not gateway.stopping.is_set() and _settle(gateway, name, failure=failed.message)
    except Fenced:
        raise
    except Exception:
        log.exception("ingest failed", dataset=name)
        settled = _settle(gateway, name, failure=FAULT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if settled:
        upload.discard()
        gateway.at(Step.UPLOAD_GONE)


def ingest_job(name: str) -> str:
    """What an ingest runs under, apart from every release's id."""
    return f"ingest {name}"


def _run(
    gateway: Gateway, record: DatasetRecord, known: tuple[Known, ...], *, upload: Upload, folder: Path
) -> Mapping[str, Any]:
    dataset = record.dataset
    spec = {
        "domain": dataset.domain.to_dict(),
        "unit": asdict(dataset.unit),
        "file": str(upload.path.absolute()),
        "sha256": upload.promise["sha256"],
        "bytes": upload.promise["total_bytes"],
        "known": [
            {"account": k.account, "file": str(populations.path(gateway, k.dataset).absolute()), "sha256": k.sha256}
            for k in known
        ],
    }
    with gateway.store.begin() as tx:
        tenant = populations.key(gateway, tx, record.tenant)
    return gateway.job(
        "ingest", spec, folder=folder, secret=gateway.keys.account(dataset.account) + tenant,
        limits=runner.Limits(
            timeout_s=gateway.settings.ingest_timeout_s, memory_bytes=gateway.settings.job_memory_mib * 2**20
        ),
        cancelled=gateway.running[ingest_job(dataset.name)], progress=lambda stage: None,
    )  # fmt: skip


def _settle(
    gateway: Gateway,
    name: str,
    *,
    found: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    known: tuple[Known, ...] = (),
    failure: str = "",
) -> bool:
    """Write what came of it, under the lease, and say whether the upload is done with. Raises Fenced.

    Where another upload of the tenant was ingested since ``known`` was read, nothing is written: the dataset stays
    INGESTING and is compared again, so of two uploads of one table at a time the second is caught.
    """
    with gateway.store.begin() as tx:
        gateway.leases.check(tx, ingest_job(name))
        record = tx.datasets.get(name)
        state = record.dataset.state
        if state is DatasetState.DELETED:
            destroy_folder(gateway.settings.rows / name)
        if state is not DatasetState.INGESTING:  # deleted, or written before, by a transaction that was told as failed
            return state is not DatasetState.AWAITING_LINK
        if found is None or folder is None:
            destroy_folder(gateway.settings.rows / name)  # of a READY that was rolled back
            populations.path(gateway, name).unlink(missing_ok=True)
            move(tx, replace(record, found={}), DatasetState.FAILED, failure=failure)
            gateway.at(Step.INGEST_FAILED_WRITING)
        elif populations.known(tx, record) != known:
            return False
        elif found["overlaps"]:  # nobody else may learn of it
            waiting = replace(record, found={}, overlaps=tuple(found["overlaps"]))
            move(tx, waiting, DatasetState.AWAITING_LINK, failure="")
            gateway.at(Step.WAIT_WRITING)
        else:
            _ready(gateway, tx, record, found, folder)
            gateway.at(Step.INGEST_WRITING)
    gateway.at(Step.INGESTED)
    return found is None or not found["overlaps"]


def tidy(gateway: Gateway) -> None:
    """Destroy the uploads that are ingested already: a crash came between. None is begun of a READY dataset."""
    with gateway.store.begin() as tx:
        ready = [r.dataset.name for r in tx.datasets.list() if r.dataset.state is DatasetState.READY]
    for name in ready:
        Upload(gateway, name).discard()


def _ready(gateway: Gateway, tx: Transaction, record: DatasetRecord, found: Mapping[str, Any], folder: Path) -> None:
    """Keep rows and fingerprint, in the transaction that says READY."""
    dataset, sizes = record.dataset, record.dataset.sizes
    _keep(folder, gateway.settings.rows / dataset.name)
    gateway.at(Step.ROWS_STORED)
    kept = populations.path(gateway, dataset.name)
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "fingerprint.u64").replace(kept)
    sync(kept.parent)  # without it, no upload of the tenant could be compared any more
    if sizes is None:
        sizes = PublicSizes(
            rows=found["rows"], units=found["units"], max_rows=dataset.unit.max_rows, origin=SizeOrigin.COUNTED
        )
    told = {name: value for name, value in found.items() if name not in ("fingerprint", "overlaps")}
    told[READY_AT] = gateway.now().isoformat()
    ready = replace(record, found=told, fingerprint=found["fingerprint"], dataset=replace(dataset, sizes=sizes))
    move(tx, ready, DatasetState.READY, failure="")


def _keep(folder: Path, rows: Path) -> None:
    """Move the two private tables to where fits read them."""
    rows.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(rows, ignore_errors=True)
    rows.mkdir(mode=0o700)
    for part in ("train.parquet", "holdout.parquet"):
        (folder / part).replace(rows / part)
    for place in (rows, rows.parent):
        sync(place)
