"""Derived releases: `create` asks for a sample of the model of a RELEASED release, `run_derived` draws it.

    PENDING -> copy the stored model -> SAMPLING: draw -> keep -> sign as derived + RELEASED, one transaction

No ledger entry, no verdict, no approval: this is post-processing of a model that has passed, and opens no private row.
The source stays what decides: nothing new comes of it once it is revoked or its dataset is deleted, and a derived
release is no source. Jobs start and results are published on the tick, as for every release, because the queue is
shared: when a job can start tells how long the one before it took, and that may say something of rows.
"""

import secrets
import shutil
from dataclasses import replace
from pathlib import Path

from server.attempts import advance, at_rest_afterwards, attempt, check_wanted, kept
from server.catalog.base import DatasetRecord, ReleaseRecord
from server.failpoints import Step
from server.gateway import Call, Gateway
from server.jobs.keys import SECRET_BYTES
from server.publication import check_source, publish
from server.releases import find
from server.store import Transaction
from synthgate.dataset import DatasetState
from synthgate.derivation import Derivation
from synthgate.errors import InvalidArgument, TooLarge, WrongState
from synthgate.release import Release, ReleaseState

UNCOUNTED = (ReleaseState.FAILED, ReleaseState.CANCELLED)
MODEL = "model.safetensors"


def create(gateway: Gateway, call: Call, derivation: Derivation) -> ReleaseRecord:
    """Check what is asked and queue it, in one transaction; nothing is charged.

    Raises NotFound for a source that is absent or that the caller may not see, WrongState for one that is not RELEASED
    to the caller, whose dataset is deleted or whose model is not stored, InvalidArgument for a source that is derived
    itself and for what the declaration does not cover, TooLarge beyond the gateway's number of derived releases.
    """
    with gateway.store.begin() as tx:
        if (known := call.answered(tx)) is not None:
            return tx.releases.get(known)
        source = find(gateway, tx, call.principal, derivation.source)
        dataset = tx.datasets.get(source.release.dataset)
        _check(source, dataset)
        derivation.check(dataset.dataset.domain, source_rows=source.release.rows)
        _check_room(gateway, tx, source.release)
        derivation = replace(derivation, rows=derivation.rows or source.release.rows)
        made = _new(gateway, call, tx.releases.get(source.release.id), derivation)
        tx.releases.add(made)
        call.answer(tx, made.release.id, dataset=made.release.dataset, source=derivation.source)
        gateway.at(Step.DERIVE_WRITING)
    gateway.at(Step.DERIVE_ASKED)
    gateway.wake.set()
    return made


def _check(source: ReleaseRecord, dataset: DatasetRecord) -> None:
    """``source`` as the caller sees it: to an analyst RELEASED only once that is published."""
    release = source.release
    if release.derivation is not None:
        raise InvalidArgument(
            f"release {release.id!r} is derived; derive from its source {release.derivation.source!r}"
        )
    if release.state is not ReleaseState.RELEASED:
        raise WrongState(f"release {release.id!r} is {release.state}; derive from one that is RELEASED")
    if dataset.dataset.state is DatasetState.DELETED:
        raise WrongState(f"the dataset of release {release.id!r} was deleted, and the model with it")
    if "model" not in source.artifacts:
        raise WrongState(f"no model of release {release.id!r} is stored: engine {release.engine} has none that can be")


def _check_room(gateway: Gateway, tx: Transaction, source: Release) -> None:
    others = (r.release for r in tx.releases.list(dataset=source.dataset) if r.release.state not in UNCOUNTED)
    count = sum(o.derivation is not None and o.derivation.source == source.id for o in others)
    if count >= gateway.settings.derived_releases:
        raise TooLarge(
            f"at most {gateway.settings.derived_releases} releases are derived from one; use those there are"
        )


def _new(gateway: Gateway, call: Call, source: ReleaseRecord, derivation: Derivation) -> ReleaseRecord:
    now, of = gateway.now(), source.release
    release = Release(
        id=f"r-{secrets.token_hex(8)}", dataset=of.dataset, account=of.account, engine=of.engine,
        because=f"derived from the model of {of.id}", epsilon=0.0, delta=0.0, share_ppm=0, state=ReleaseState.PENDING,
        requested_by=call.principal.name, created_at=now, updated_at=now, derivation=derivation,
    )  # fmt: skip
    return ReleaseRecord(
        release=release, plan=source.plan, policy=source.policy, sandbox=source.sandbox, statement=source.statement
    )


def run_derived(gateway: Gateway, release: str) -> None:
    """Bring a PENDING derived release to rest: RELEASED, FAILED or CANCELLED."""
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if record.release.state is not ReleaseState.PENDING:
            return
        dataset = tx.datasets.get(record.release.dataset)
    secret = secrets.token_bytes(SECRET_BYTES)
    with at_rest_afterwards(gateway, release), attempt(gateway, release, secret) as (work, run):
        record = advance(gateway, record, ReleaseState.SAMPLING)
        spec = {
            "domain": dataset.dataset.domain.to_dict(),
            "model": str(_model(gateway, record, work)),
            "derivation": _asked(record).to_dict(),
            "rows": _asked(record).total_rows,
        }
        drawn = run("derive", spec, gateway.settings.fit_timeout_s)
        record = replace(record, sampling=drawn["sampling"])
        files = {"data": work / "derive" / "sample.parquet"}
        with kept(gateway, record, drawn, files) as record, gateway.store.begin() as tx:
            check_wanted(gateway, tx, record)
            publish(gateway, tx, record)
        gateway.at(Step.RELEASED)


def _asked(record: ReleaseRecord) -> Derivation:
    assert record.release.derivation is not None  # noqa: S101  the queue runs derived releases here
    return record.release.derivation


def _model(gateway: Gateway, record: ReleaseRecord, work: Path) -> Path:
    """A copy of the stored model for the job, of bytes that were just hashed. Raises WrongState, NotFound,
    DataCorrupted."""
    with gateway.store.begin() as tx:
        source = check_source(tx, _asked(record).source)
    copy = (work / MODEL).absolute()
    with gateway.artifacts.open(source.artifacts["model"]) as stored, copy.open("wb") as file:
        shutil.copyfileobj(stored, file)
    return copy
