"""What every release's work shares, charged or derived: its folder, its way to rest, and what is stored of it.

Whatever happens to the work, the release comes to rest, its folder is destroyed, and files that were stored for it are
destroyed again unless it is RELEASED or awaits approval. Its sealed secret and journal last until then and no longer.
What was interrupted goes back into the queue (`server.replays`); where the gateway itself goes down, the work is left
as it is, and `server.recovery` does that.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from server import checkpoints
from server.artifacts import name_of
from server.catalog.base import ReleaseRecord
from server.failpoints import Step
from server.gateway import GATEWAY, Gateway
from server.jobs import runner
from server.leases import Fenced, folder
from server.releases import destroy_data, move
from server.replays import forget, interrupted, queue_again
from server.store import Transaction
from synthgate.dataset import DatasetState
from synthgate.errors import DataCorrupted, NotFound, WrongState
from synthgate.release import ACTIVE, ReleaseState

log = structlog.get_logger()

Run = Callable[..., Mapping[str, Any]]
"""``run(kind, spec, timeout_s, python=None)``: one job of this attempt in its own folder; returns its result."""

_DONE = {
    runner.Kind.FIT: Step.FITTED,
    runner.Kind.EVALUATE: Step.EVALUATED,
    runner.Kind.RENDER: Step.RENDERED,
    runner.Kind.DERIVE: Step.DERIVED,
}


def check_wanted(gateway: Gateway, tx: Transaction, record: ReleaseRecord) -> None:
    """Raise Fenced where the job is another gateway's by now, and JobFailed (cancelled) where the release was told to
    stop or its dataset is deleted."""
    gateway.leases.check(tx, record.release.id)
    gateway.doubt.check()
    deleted = tx.datasets.get(record.release.dataset).dataset.state is DatasetState.DELETED
    if deleted or gateway.running[record.release.id].is_set():
        gateway.running[record.release.id].set()
        raise runner.JobFailed(runner.Reason.CANCELLED)


@contextmanager
def at_rest_afterwards(gateway: Gateway, release: str) -> Iterator[None]:
    """Whatever happens inside, the release is at rest, its data are gone unless kept, and watchers are told. What is
    fenced writes nothing: the release is whoever's took the lease."""
    try:
        with _failing(gateway, release):
            yield
    except Fenced as fenced:
        log.warning("fenced", release=release, why=str(fenced))
    finally:
        gateway.news.publish(release, stage="")
    forget(gateway, release)
    checkpoints.take(gateway)


@contextmanager
def _failing(gateway: Gateway, release: str) -> Iterator[None]:
    try:
        yield
    except Fenced:
        raise
    except Exception as error:
        stopped = gateway.running[release].is_set()
        if stopped and gateway.stopping.is_set():
            log.warning("left to the next start", release=release)
            return
        if not stopped and interrupted(error) and queue_again(gateway, release):
            log.warning("interrupted; to be repeated", release=release, why=str(error))
            return
        if isinstance(error, runner.JobFailed | WrongState | NotFound):
            message = error.message
        else:
            log.exception("release failed", release=release)
            message = "a fault of the gateway; its log has the incident"
        # Whatever a job died of after it was told to stop: a deletion takes its rows away while it still runs.
        fail(gateway, release, message, ReleaseState.CANCELLED if stopped else ReleaseState.FAILED)


def fail(gateway: Gateway, release: str, message: str, state: ReleaseState = ReleaseState.FAILED) -> None:
    """Close a release that cannot go on, unless it is at rest already. Its charge stays; a sample kept for it goes.
    Raises Fenced without its lease."""
    with gateway.store.begin() as tx:
        gateway.leases.check(tx, release)
        record = tx.releases.get(release)
        if record.release.state.terminal or record.release.state is ReleaseState.AWAITING_APPROVAL:
            return
        move(gateway, tx, record, state, failure=message)
        tx.audit.append(principal=GATEWAY, action=str(state), resource=release, detail={"why": message})
        gateway.at(Step.FAILED_WRITING)
    gateway.at(Step.FAILED)


@contextmanager
def attempt(gateway: Gateway, release: str, secret: bytes) -> Iterator[tuple[Path, Run]]:
    """A folder for one attempt, which is destroyed with it, and a way to run its jobs, which get ``secret``."""
    work = gateway.settings.work / folder(gateway.leases.mine(release))
    limits = gateway.settings.job_memory_mib * 2**20

    def run(kind: str, spec: Mapping[str, Any], timeout_s: float, *, python: Path | None = None) -> Mapping[str, Any]:
        result = gateway.job(
            kind, spec, python=python, folder=work / kind, secret=secret, cancelled=gateway.running[release],
            limits=runner.Limits(timeout_s=timeout_s, memory_bytes=limits),
            progress=lambda stage: gateway.news.publish(release, stage=stage),
        )  # fmt: skip
        gateway.at(_DONE[runner.Kind(kind)])
        return result

    work.mkdir(mode=0o700, parents=True)
    gateway.at(Step.WORK_MADE)
    try:
        yield work, run
    finally:
        shutil.rmtree(work, ignore_errors=True)
    gateway.at(Step.WORK_GONE)


def advance(gateway: Gateway, record: ReleaseRecord, state: ReleaseState, **changes: Any) -> ReleaseRecord:
    """Write the record in its next state, and tell. Raises JobFailed where the release is not wanted any more."""
    with gateway.store.begin() as tx:
        check_wanted(gateway, tx, record)
        moved = move(gateway, tx, record, state, **changes)
        tx.audit.append(principal=GATEWAY, action=str(state), resource=record.release.id, detail={})
        gateway.at(Step[f"{state.name}_WRITING"])
    gateway.at(Step[state.name])
    gateway.news.publish(record.release.id)
    return moved


@contextmanager
def kept(
    gateway: Gateway, record: ReleaseRecord, made: Mapping[str, Any], files: Mapping[str, Path]
) -> Iterator[ReleaseRecord]:
    """The record with ``files`` stored for it by kind, and with what a job says of its ``made`` sample; what raises
    inside destroys them again."""
    described = {name: made[name] for name in ("sha256", "bytes", "rows")}
    record = replace(record, artifacts={**record.artifacts, **{kind: name_of(file) for kind, file in files.items()}})
    try:
        _announce(gateway, record)
        for kind, file in files.items():
            if gateway.artifacts.put(file) != record.artifacts[kind]:
                raise DataCorrupted("a file of the attempt changed while it was stored")
            gateway.at(Step[f"{kind.upper()}_STORED"])
        yield replace(record, release=replace(record.release, **described))
    except Fenced:
        _destroy_at_rest(gateway, record.release.id, record)
        raise
    except BaseException:
        destroy_data(gateway, record)
        raise


def _announce(gateway: Gateway, record: ReleaseRecord) -> None:
    """Write which artifacts are about to be stored, before the first is: another release that has the same bytes and is
    taken back meanwhile leaves them."""
    with gateway.store.begin() as tx:
        check_wanted(gateway, tx, record)
        tx.releases.replace(record, expected=record.release.state)
        gateway.at(Step.ANNOUNCE_WRITING)
    gateway.at(Step.ANNOUNCED)


def _destroy_at_rest(gateway: Gateway, release: str, record: ReleaseRecord) -> None:
    """Destroy what a fenced job stored, unless the release is under way elsewhere: the same draw may be stored there
    at this moment, and `server.recovery` sweeps what nobody needs in the end."""
    with gateway.store.begin() as tx:
        under_way = tx.releases.get(release).release.state in ACTIVE
    if not under_way:
        destroy_data(gateway, record)
