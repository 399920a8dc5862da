"""`kill -9` of a gateway and of its workers at moments that nobody chose: every charge stays, every release comes to
rest, and what was interrupted is repeated."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from server.app import compose
from server.config import Settings
from server.ledger.chain import verify as verify_chain
from synthgate import Client
from synthgate.ledger import EntryKind
from synthgate.release import ReleaseState
from tests.e2e.process import TICK_S, Served

DEFAULT_KILLS, SOAK_KILLS = 4, 40
ROWS, EPSILON = 1_000, 0.05


@pytest.fixture
def lives(plugin: Path, tmp_path: Path) -> Iterator[list[Served]]:
    """The gateways that were started, the last of which serves."""
    gateway = Served(tmp_path / "state", plugin)
    gateway.dataset("kills", rows=ROWS, cap=100.0)
    started = [gateway]
    yield started
    if started[-1].process.poll() is None:
        started[-1].kill()


def struck(gateway: Served, draw: random.Random) -> tuple[Served, bool]:
    """Wait a moment, then kill the gateway or, where one runs, its worker; the gateway that serves afterwards, and
    whether it was the worker."""
    time.sleep(draw.uniform(0.0, 2.5))
    workers = gateway.workers()
    if workers and draw.random() < 0.4:
        for worker in workers:
            try:
                os.kill(worker.pid, 9)
            except ProcessLookupError:
                return gateway, False
        return gateway, True
    gateway.kill()
    psutil.wait_procs(workers, timeout=10)
    return gateway.restarted(), False


def charges(state: Path) -> dict[str, list[EntryKind]]:
    made = compose(Settings(state=state))
    with closing(made.store), made.store.begin() as tx:
        entries = tx.ledger.entries()
        verify_chain(entries)
        found: dict[str, list[EntryKind]] = {}
        for entry in entries:
            if entry.reservation:
                found.setdefault(entry.reservation, []).append(entry.kind)
    return found


def run(lives: list[Served], kills: int, seed: int) -> str:
    draw, workers, number = random.Random(seed), 0, 0
    for _ in range(kills):
        asked(lives[-1].analyst, f"kill-{number}")
        gateway, worker = struck(lives[-1], draw)
        lives += [gateway] if gateway is not lives[-1] else []
        workers += worker
        asked(gateway.analyst, f"kill-{number}")
        number += all(release.state.terminal for release in gateway.steward.releases())
    begun = time.monotonic()
    while any(not r.state.terminal for r in gateway.steward.releases()) and time.monotonic() - begun < 120:
        time.sleep(TICK_S)
    found, releases = charges(gateway.state), gateway.steward.releases()
    assert len(releases) in (number, number + 1), "a request was lost, or taken twice"
    assert {release.state for release in releases} <= {ReleaseState.RELEASED, ReleaseState.FAILED}
    for release in releases:
        assert found[release.id] == [EntryKind.RESERVE, EntryKind.COMMIT], "a charge was lost, doubled or given back"
    gateway.stop()  # a release is seen at rest a moment before its secret is shredded; who goes down leaves none
    assert list((gateway.state / "attempts").glob("*")) == []
    assert list((gateway.state / "work").glob("*")) == []
    served = sum(release.state is ReleaseState.RELEASED for release in releases)
    return f"{kills} random kills, {workers} of them of workers: {served} of {len(releases)} releases RELEASED"


def asked(analyst: Client, request_id: str) -> None:
    analyst.create_release("kills", epsilon=EPSILON, engine="independent", request_id=request_id)


@pytest.mark.guarantee("no-lost-spend")
@pytest.mark.parametrize(
    "kills", [DEFAULT_KILLS, pytest.param(SOAK_KILLS, marks=[pytest.mark.soak, pytest.mark.timeout(3_000)])]
)
def test_random_kills_lose_no_charge(lives: list[Served], kills: int, record_property) -> None:
    record_property("reached", run(lives, kills, seed=kills))
