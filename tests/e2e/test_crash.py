"""What is left after a kill: the charge, a release at rest, no worker, and a queue that goes on."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from server import erasure
from server.app import compose
from server.config import Settings
from server.gateway import Call
from server.identity import Office, Principal
from server.ledger.chain import verify as verify_chain
from server.recovery import recover
from synthgate.dataset import DatasetState
from synthgate.errors import NotFound
from synthgate.ledger import EntryKind
from synthgate.release import ReleaseState
from tests.e2e.people import LENIENT, declaration, people
from tests.e2e.process import Served, start

RECOVERY_S = 30.0
APPROVED = replace(LENIENT, name="approved", approvals=1)


@pytest.fixture
def doomed(plugin: Path, tmp_path: Path) -> Iterator[Served]:
    """A gateway of its own, with one dataset whose releases need an approval."""
    gateway = Served(tmp_path / "state", plugin)
    gateway.dataset("crash", rows=1_200, policy=APPROVED, cap=10.0)
    yield gateway
    if gateway.process.poll() is None:
        gateway.kill()


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


def test_a_killed_worker_fails_the_release_and_keeps_the_charge(served: Served) -> None:
    name = served.dataset("worker-killed", rows=300)
    asked = served.analyst.create_release(name, epsilon=1.0, engine="stalling")
    assert served.until(asked, "fitting").state is ReleaseState.TRAINING
    (worker,) = served.workers()
    worker.kill()
    release = served.ended(asked)
    assert release.state is ReleaseState.FAILED
    assert "killed from outside" in release.stage
    assert [e.kind for e in served.steward.entries(name)] == [EntryKind.OPEN, EntryKind.RESERVE, EntryKind.COMMIT]
    assert tuple(served.analyst.watch(asked.id))[-1].state is ReleaseState.CLOSED


def test_a_killed_gateway_comes_back_with_everything_at_rest_or_in_its_queue(doomed: Served) -> None:
    approving = doomed.analyst.create_release("crash", epsilon=1.0, engine="fresh")
    doomed.until(approving, ReleaseState.AWAITING_APPROVAL)
    training = doomed.analyst.create_release("crash", epsilon=1.0, engine="stalling")
    doomed.until(training, "fitting")
    queued = doomed.analyst.create_release("crash", epsilon=1.0, engine="fresh", request_id="queued")
    assert doomed.steward.release(queued.id).state is ReleaseState.PENDING
    workers = doomed.workers()
    assert workers
    doomed.kill()
    assert gone(workers)

    begun = time.monotonic()
    again = doomed.restarted()
    try:
        release = again.steward.release(training.id)
        assert release.state is ReleaseState.FAILED
        assert "restarted" in release.stage
        assert time.monotonic() - begun < RECOVERY_S
        assert again.steward.release(approving.id).state is ReleaseState.AWAITING_APPROVAL
        kinds = {(e.reservation, e.kind) for e in again.steward.entries("crash")}
        assert {(approving.id, EntryKind.COMMIT), (training.id, EntryKind.COMMIT)} <= kinds
        assert not {e for e in kinds if e[1] is EntryKind.VOID}
        assert again.analyst.create_release("crash", epsilon=1.0, engine="fresh", request_id="queued").id == queued.id
        assert again.until(queued, ReleaseState.AWAITING_APPROVAL).state is ReleaseState.AWAITING_APPROVAL
        assert again.balance("crash").balance.committed.epsilon == 3 * 10**9
        assert again.approve(approving, reason="looked").state is ReleaseState.RELEASED
        verify_chain(again.steward.entries())
    finally:
        again.kill()


def test_a_gateway_killed_while_it_judges_leaves_no_sample_behind(doomed: Served) -> None:
    asked = doomed.analyst.create_release("crash", epsilon=1.0, engine="fresh")
    assert doomed.until(asked, ReleaseState.EVALUATING).state is ReleaseState.EVALUATING
    workers = doomed.workers()
    doomed.kill()
    assert gone(workers)
    assert doomed.parquet_on_disk()
    again = doomed.restarted()
    try:
        assert again.steward.release(asked.id).state is ReleaseState.FAILED
        assert again.parquet_on_disk() == []
        assert again.balance("crash").balance.committed.epsilon == 10**9
        stopped = again.analyst.create_release("crash", epsilon=1.0, engine="stalling")
        again.until(stopped, "fitting")
        workers = again.workers()
    finally:
        again.stop()
    assert gone(workers)
    last = again.restarted()
    try:
        release = last.steward.release(stopped.id)
        assert release.state is ReleaseState.FAILED
        assert "restarted" in release.stage
        assert last.balance("crash").balance.committed.epsilon == 2 * 10**9
    finally:
        last.kill()


def test_an_upload_survives_the_kill_that_follows_it(doomed: Served) -> None:
    doomed.steward.create_dataset("again", declaration(1_000), account="crash")
    file = doomed.state.with_name("again.csv")
    people(1_000, seed=5).to_pandas().to_csv(file, index=False)
    doomed.steward.upload("again", file)
    doomed.kill()
    again = doomed.restarted()
    try:
        view = again.steward.wait_ready("again")
        assert view.dataset.state is DatasetState.READY
        assert not any(f.unparsable for f in view.findings)
        assert list((again.state / "uploads").glob("*")) == []
    finally:
        again.kill()


def test_a_second_gateway_on_the_same_state_is_refused(served: Served, plugin: Path, tmp_path: Path) -> None:
    log = tmp_path / "second.log"
    second = start(served.state, plugin, log=log)
    assert second.wait(timeout=60) == 1
    assert "another gateway serves this state folder" in log.read_text()
    assert second.stdout is not None
    second.stdout.close()
    assert served.steward.accounts() is not None


def test_what_a_crash_left_between_two_writes_is_closed(doomed: Served) -> None:
    """The moments that no kill hits on purpose: committed and queued again; stored but not yet released; deleted but
    not yet destroyed."""
    stalled = doomed.analyst.create_release("crash", epsilon=1.0, engine="stalling")
    doomed.until(stalled, "fitting")
    asked = doomed.analyst.create_release("crash", epsilon=1.0, engine="fresh")
    waiting = doomed.analyst.create_release("crash", epsilon=1.0, engine="fresh")
    doomed.kill()
    gateway = compose(Settings(state=doomed.state))
    with gateway.store.begin() as tx:
        tx.ledger.commit(asked.id, by="gateway")
    orphan = gateway.artifacts.put(b"PAR1 of nobody")
    with gateway.store.begin() as tx:
        record = tx.datasets.get("crash")
        deleted = replace(record, dataset=replace(record.dataset, state=DatasetState.DELETED))
        tx.datasets.replace(deleted, expected=DatasetState.READY)
    for left in ("crash.part", "crash.json"):
        (gateway.settings.uploads / left).write_bytes(b"left")
    assert (gateway.settings.rows / "crash" / "train.parquet").exists()

    assert recover(gateway) == (stalled.id,)
    assert recover(gateway) == ()
    assert orphan not in gateway.artifacts.digests()
    assert not (gateway.settings.rows / "crash").exists()
    assert list(gateway.settings.uploads.glob("*")) == []
    with gateway.store.begin() as tx:
        assert tx.releases.get(stalled.id).release.state is ReleaseState.FAILED
        assert {tx.releases.get(r.id).release.state for r in (asked, waiting)} == {ReleaseState.CANCELLED}
        balance = tx.ledger.balance("crash")
        assert (balance.committed.epsilon, balance.reserved.epsilon) == (2 * 10**9, 0)
    steward = Principal("steward", Office.STEWARD)
    with pytest.raises(NotFound):
        erasure.delete(gateway, Call(steward, "DeleteDataset", "new", "payload"), "crash")
    gateway.store.close()
