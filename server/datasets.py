"""Datasets: declared, uploaded, ingested in a process of its own, deleted. No method gives rows back."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from server.accounts import check_name
from server.catalog.base import DatasetRecord
from server.gateway import GATEWAY, Call, Gateway
from server.identity import Office, Principal
from server.jobs import runner
from server.keys import write_once
from server.leases import Fenced
from server.leases import folder as folder_of
from server.policy import half_width
from server.publication import next_tick
from server.store import Transaction
from synthgate.dataset import Dataset, DatasetState, PrivacyUnit, PublicSizes, SizeOrigin
from synthgate.domain import Domain
from synthgate.errors import InvalidPolicy, InvalidTable, NotFound, TooLarge, WrongState
from synthgate.policy import Policy

SMALL_UNITS = 5_000
"""Below this many units innocent tables may be refused by an attack threshold of 0.09 (9 % of them at a holdout of
1,182, 81 % at 500: simulated with four secrets)."""

READY_AT = "ready_at"
log = structlog.get_logger()
AWAITING_ROWS = (DatasetState.CREATED, DatasetState.FAILED)


def register(
    gateway: Gateway,
    call: Call,
    *,
    name: str,
    domain: Domain,
    unit: PrivacyUnit,
    sizes: PublicSizes | None,
    account: str,
    policy: Policy,
) -> DatasetRecord:
    """Record a declaration. Raises InvalidArgument, NotFound (account), AlreadyExists; costs nothing."""
    check_name(name)
    dataset = Dataset(
        name=name, domain=domain, unit=unit, sizes=sizes, account=account, policy=policy.name,
        state=DatasetState.CREATED, registered_by=call.principal.name, created_at=gateway.now(),
        warnings=_warnings(sizes),
    )  # fmt: skip
    with gateway.store.begin() as tx:
        if call.answered(tx) is None:
            tx.ledger.balance(account)  # raises NotFound
            _check_officers(gateway, call.principal, policy)
            tx.datasets.add(DatasetRecord(dataset=dataset, policy=policy))
            call.answer(tx, name, account=account, domain=domain.digest, policy=policy.digest)
        return tx.datasets.get(name)


def _check_officers(gateway: Gateway, registrar: Principal, policy: Policy) -> None:
    settings = gateway.settings
    officers = {settings.person(name) for name, a in settings.principals.items() if a.office is Office.OFFICER}
    able = len(officers - {settings.person(registrar.name)})
    if policy.approvals > able:
        raise InvalidPolicy(
            f"the policy asks for {policy.approvals} approvals; the officers are {able}, without whoever registers"
        )


def read(gateway: Gateway, principal: Principal, name: str) -> DatasetRecord:
    """One dataset as the caller may see it. Raises NotFound, also for deleted ones."""
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
    if record.dataset.state is DatasetState.DELETED:
        raise NotFound(f"there is no dataset {name!r}")
    return _seen(gateway, record, principal)


def read_all(gateway: Gateway, principal: Principal) -> tuple[DatasetRecord, ...]:
    """Every dataset, in the order of registration."""
    with gateway.store.begin() as tx:
        return tuple(_seen(gateway, record, principal) for record in tx.datasets.list())


def _seen(gateway: Gateway, record: DatasetRecord, principal: Principal) -> DatasetRecord:
    """What ingest found is for stewards."""
    state = state_seen(gateway, record, principal)
    shown = replace(record, dataset=replace(record.dataset, state=state))
    if principal.office is Office.STEWARD:
        return shown
    return replace(shown, dataset=replace(shown.dataset, failure=""), found={})


def state_seen(gateway: Gateway, record: DatasetRecord, principal: Principal) -> DatasetState:
    """The state that the caller may see. How long ingest takes, and whether it fails, depends on private rows: READY is
    published on a tick, and until then a dataset is CREATED to everyone but stewards."""
    state = record.dataset.state
    if state is DatasetState.READY:
        ready_at = datetime.fromisoformat(record.found[READY_AT])
        if gateway.now() < next_tick(ready_at, gateway.settings.verdict_tick_s):
            state = DatasetState.INGESTING
    hidden = state in (DatasetState.INGESTING, DatasetState.FAILED) and principal.office is not Office.STEWARD
    return DatasetState.CREATED if hidden else state


def _warnings(sizes: PublicSizes | None) -> tuple[str, ...]:
    if sizes is None:
        return ("the exact number of rows will be published; no budget covers it",)
    if sizes.units >= SMALL_UNITS:
        return ()
    width = half_width(sizes.attack_targets)
    return (
        f"with {sizes.units:,} units the holdout has {sizes.holdout_units:,}, and an attack's excess is known only to "
        f"about {width:.3f}: innocent tables may be refused",
    )


class Upload:
    """Bytes on their way to ingest: ``<uploads>/<dataset>.part`` beside the promise of length and digest.

    What has arrived is durable at every `close`, so an upload resumes after any interruption.
    """

    def __init__(self, gateway: Gateway, dataset: str) -> None:
        check_name(dataset)
        self._gateway = gateway
        self.dataset = dataset
        self.path = gateway.settings.uploads / f"{dataset}.part"
        self._promise = gateway.settings.uploads / f"{dataset}.json"

    @property
    def promise(self) -> dict[str, Any]:
        """``total_bytes`` and ``sha256`` as promised; zeros before the first header."""
        if not self._promise.exists():
            return {"total_bytes": 0, "sha256": ""}
        return dict(json.loads(self._promise.read_text()))

    @property
    def received_bytes(self) -> int:
        """How much is durable."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, *, total_bytes: int, sha256: str) -> None:
        """Take the promise; another one starts the upload anew. Raises WrongState, TooLarge, InvalidTable."""
        with self._gateway.store.begin() as tx:
            state = tx.datasets.get(self.dataset).dataset.state
        if state not in AWAITING_ROWS:
            raise WrongState(f"dataset {self.dataset!r} is {state}; rows are uploaded once, after it was created")
        if total_bytes > self._gateway.settings.upload_bytes:
            raise TooLarge(f"an upload has at most {self._gateway.settings.upload_bytes:,} bytes")
        if total_bytes < 1 or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise InvalidTable("promise the file's length, at least 1 byte, and its sha256 in lower-case hex")
        promise = {"total_bytes": total_bytes, "sha256": sha256}
        if self.promise != promise:
            self.discard()
            write_once(self._promise, json.dumps(promise).encode())

    def append(self, offset: int, data: bytes) -> None:
        """Add a chunk. Raises InvalidTable where it does not start at what has arrived or goes beyond the promise."""
        received = self.received_bytes
        if offset != received:
            raise InvalidTable(f"the next chunk starts at {received}", facts={"received_bytes": str(received)})
        if received + len(data) > self.promise["total_bytes"]:
            raise InvalidTable("the file is longer than promised; start again with its true length")
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(data)

    def finish(self, principal: Principal) -> None:
        """Check length and digest, and queue the file for ingest. Raises InvalidTable: truncated (what arrived
        stays, to resume), or another file than promised (what arrived is destroyed)."""
        received, promise = self.received_bytes, self.promise
        if received < promise["total_bytes"]:
            raise InvalidTable(
                f"the upload was truncated at {received} of {promise['total_bytes']} bytes; resume at that offset",
                facts={"received_bytes": str(received)},
            )
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != promise["sha256"]:
            self.discard()
            raise InvalidTable("the file's sha256 is not the promised one; upload it again")
        with self._gateway.store.begin() as tx:
            record = tx.datasets.get(self.dataset)
            if record.dataset.state not in AWAITING_ROWS:
                raise WrongState(f"dataset {self.dataset!r} is {record.dataset.state} by now; nothing was taken")
            move(tx, record, DatasetState.INGESTING, failure="")
            tx.audit.append(principal=principal.name, action="UploadRows", resource=self.dataset, detail={})
        self._gateway.wake.set()

    def discard(self) -> None:
        """Forget what arrived."""
        self.path.unlink(missing_ok=True)
        self._promise.unlink(missing_ok=True)


def ingest(gateway: Gateway, name: str) -> None:
    """Read, cut and split one upload in a process of its own; the upload is destroyed whatever comes of it.

    A gateway that goes down meanwhile leaves it INGESTING, and the next one starts over.
    """
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
    if record.dataset.state is not DatasetState.INGESTING:
        return
    upload, folder = Upload(gateway, name), gateway.settings.work / folder_of(gateway.leases.mine(ingest_job(name)))
    unit = record.dataset.unit
    spec = {
        "domain": record.dataset.domain.to_dict(),
        "unit": {"column": unit.column, "max_rows": unit.max_rows},
        "file": str(upload.path.absolute()),
        "sha256": upload.promise["sha256"],
        "bytes": upload.promise["total_bytes"],
    }
    try:
        found = runner.run(
            "ingest", spec, folder=folder, secret=gateway.keys.account(record.dataset.account),
            limits=runner.Limits(
                timeout_s=gateway.settings.ingest_timeout_s, memory_bytes=gateway.settings.job_memory_mib * 2**20
            ),
            cancelled=gateway.running[ingest_job(name)], progress=lambda stage: None,
        )  # fmt: skip
        _settle(gateway, name, found=found, folder=folder)
        upload.discard()
    except runner.JobFailed as failed:
        if not gateway.stopping.is_set():
            _settle(gateway, name, failure=failed.message)
            upload.discard()
    except Fenced:
        raise
    except Exception:
        log.exception("ingest failed", dataset=name)
        _settle(gateway, name, failure="a fault of the gateway; its log has the incident. Upload the file again")
        upload.discard()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ingest_job(name: str) -> str:
    """What an ingest runs under, apart from every release's id."""
    return f"ingest {name}"


def _keep(folder: Path, rows: Path) -> None:
    """Move the two private tables to where fits read them."""
    rows.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(rows, ignore_errors=True)
    rows.mkdir(mode=0o700)
    for part in ("train.parquet", "holdout.parquet"):
        (folder / part).replace(rows / part)


def _settle(gateway: Gateway, name: str, *, found: Any = None, folder: Path | None = None, failure: str = "") -> None:
    """Write what came of it; the rows move from ``folder`` in the same transaction, under the lease. Raises Fenced."""
    with gateway.store.begin() as tx:
        gateway.leases.check(tx, ingest_job(name))
        record = tx.datasets.get(name)
        if record.dataset.state is not DatasetState.INGESTING:
            shutil.rmtree(gateway.settings.rows / name, ignore_errors=True)
            return
        if folder is not None:
            _keep(folder, gateway.settings.rows / name)
        sizes = record.dataset.sizes
        if found is not None and sizes is None:
            sizes = PublicSizes(
                rows=found["rows"], units=found["units"], max_rows=record.dataset.unit.max_rows,
                origin=SizeOrigin.COUNTED,
            )  # fmt: skip
        state = DatasetState.FAILED if found is None else DatasetState.READY
        found = {**found, READY_AT: gateway.now().isoformat()} if found is not None else None
        record = replace(record, found=found or {}, dataset=replace(record.dataset, sizes=sizes))
        move(tx, record, state, failure=failure)
        tx.audit.append(principal=GATEWAY, action="Ingest", resource=name, detail={"state": str(state)})


def move(tx: Transaction, record: DatasetRecord, state: DatasetState, **changes: Any) -> None:
    """Write the record in another state."""
    moved = replace(record, dataset=replace(record.dataset, state=state, **changes))
    tx.datasets.replace(moved, expected=record.dataset.state)
