"""Two served gateways on one PostgreSQL and one state folder: one is killed, or stands still, and the other goes on."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from synthgate import Client
from synthgate.dataset import DatasetState
from synthgate.ledger import EntryKind
from synthgate.release import Release, ReleaseState
from tests import postgres
from tests.e2e.process import Served

WITHIN_S = 30.0
Pair = tuple[Served, Served]


@pytest.fixture
def pair(plugin: Path, tmp_path: Path) -> Iterator[Pair]:
    settings = {"database_url": postgres.database(), "lease_s": "3", "heartbeat_s": "1"}
    made: list[Served] = []
    try:
        made.append(Served(tmp_path / "state", plugin, instance="one", **settings))
        made.append(Served(tmp_path / "state", plugin, instance="two", **settings))
        yield made[0], made[1]
    finally:
        for each in made:
            if each.process.poll() is None:
                each.process.send_signal(signal.SIGCONT)
                each.kill()


def runner(pair: Pair) -> Pair:
    """The gateway that has workers first, then the other."""
    one, two = pair
    return (one, two) if one.workers() else (two, one)


def ended(client: Client, release: Release) -> Release:
    """The release at rest, as a watcher sees it."""
    return tuple(client.watch(release.id, timeout_s=60))[-1]


def commits(gateway: Served, release: Release) -> int:
    entries = gateway.steward.entries("shared")
    return sum(e.kind is EntryKind.COMMIT and e.reservation == release.id for e in entries)


@pytest.mark.guarantee("terminal-after-restart")
def test_another_gateway_brings_to_rest_what_a_lost_one_ran(
    pair: Pair, record_property: Callable[[str, object], None]
) -> None:
    one, two = pair
    assert one.fingerprint == two.fingerprint
    one.dataset("shared", rows=300, cap=10.0)
    assert two.steward.wait_ready("shared").dataset.state is DatasetState.READY
    stalled = one.analyst.create_release("shared", epsilon=1.0, engine="stalling")
    assert two.until(stalled, ReleaseState.TRAINING).state is ReleaseState.TRAINING
    lost, other = runner(pair)
    assert not other.workers()
    workers = lost.workers()
    lost.kill()
    begun = time.monotonic()
    release = ended(other.steward, stalled)
    took_s = time.monotonic() - begun
    assert release.state is ReleaseState.FAILED
    assert took_s < WITHIN_S
    assert commits(other, stalled) == 1
    assert not psutil.wait_procs(workers, timeout=10)[1]
    record_property("reached", f"at rest {took_s:.1f} s after a kill, by another process on PostgreSQL")


@pytest.mark.guarantee("terminal-after-restart")
def test_a_gateway_that_stood_still_writes_nothing_of_a_job_that_was_taken(
    pair: Pair, record_property: Callable[[str, object], None]
) -> None:
    one, two = pair
    one.dataset("shared", rows=300, cap=10.0)
    stalled = one.analyst.create_release("shared", epsilon=1.0, engine="stalling")
    two.until(stalled, ReleaseState.TRAINING)
    still, other = runner(pair)
    workers = still.workers()
    still.process.send_signal(signal.SIGSTOP)
    release = ended(other.steward, stalled)
    assert release.state is ReleaseState.FAILED
    still.process.send_signal(signal.SIGCONT)
    assert not psutil.wait_procs(workers, timeout=30)[1]
    assert still.steward.release(stalled.id) == release
    assert commits(other, stalled) == 1
    asked = still.analyst.create_release("shared", epsilon=1.0, engine="fresh")
    assert ended(other.steward, asked).state in (ReleaseState.RELEASED, ReleaseState.REJECTED)
    assert commits(other, asked) == 1
    record_property("reached", "a gateway that stood still for longer than its lease wrote nothing late")


def test_a_release_is_cancelled_through_any_gateway(pair: Pair) -> None:
    one, two = pair
    one.dataset("shared", rows=300, cap=10.0)
    stalled = one.analyst.create_release("shared", epsilon=1.0, engine="stalling")
    two.until(stalled, ReleaseState.TRAINING)
    running, other = runner(pair)
    workers = running.workers()
    other.analyst.cancel(stalled.id)
    assert ended(running.steward, stalled).state is ReleaseState.CANCELLED
    assert not psutil.wait_procs(workers, timeout=30)[1]
