"""`kill -9` of a gateway and of its workers at moments that nobody chose: every charge stays, every release comes to
rest, and what was interrupted is repeated."""

import contextlib
import random
import signal
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
from synthgate.ledger import Entry, EntryKind
from synthgate.release import Release, ReleaseState
from tests.e2e.process import Served
from tests.e2e.zygote import CAP, EPSILON, ROWS, Zygote

DEFAULT = (0, 40)
SOAK = ((1, 100), (2, 100), (3, 100))
"""Seeds, and how many kills each."""
RECOVERY_S = 30.0
LONGEST_S, PATIENCE_S = 2.0, 3.0
WORKERS = 0.4
"""Of the kills."""
Entries = tuple[Entry, ...]


@pytest.fixture
def lives(plugin: Path, tmp_path: Path) -> Iterator[list[Served]]:
    """The gateways that were started, the last of which serves: the first as an operator starts it, with the tables
    and tokens that it makes, and the others by a process that has imported all they need."""
    first = Served(tmp_path / "state", plugin)
    first.dataset("kills", rows=ROWS, cap=CAP)
    zygote = Zygote(plugin, log=first.log)
    first.start = zygote.start
    started = [first]
    yield started
    if started[-1].process.poll() is None:
        started[-1].kill()
    zygote.close()


def struck(gateway: Served, draw: random.Random, orphans: list[psutil.Process]) -> tuple[Served, bool]:
    """At a random moment, kill the gateway (early in an attempt more often than late) or the worker that runs; the
    gateway that serves afterwards, and whether it was the worker."""
    worker, moment = draw.random() < WORKERS, draw.random()
    if worker and begun(gateway):
        time.sleep(moment)
        if workers := gateway.workers():
            for each in workers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            assert not psutil.wait_procs(workers, timeout=10)[1], "a worker outlived its kill"
            return gateway, True
    else:
        time.sleep(LONGEST_S * moment**2)
    orphans += gateway.workers()
    gateway.kill()
    assert gateway.process.poll() == -signal.SIGKILL
    since = time.monotonic()
    again = gateway.restarted()
    assert time.monotonic() - since < RECOVERY_S
    return again, False


def begun(gateway: Served) -> bool:
    """Wait until a worker runs; there may be no work left."""
    until = time.monotonic() + PATIENCE_S
    while not gateway.workers() and time.monotonic() < until:
        time.sleep(0.02)
    return bool(gateway.workers())


def read(state: Path) -> Entries:
    """The whole book, as another process finds it on disk."""
    made = compose(Settings(state=state))
    with closing(made.store), made.store.begin() as tx:
        entries = tx.ledger.entries()
    verify_chain(entries)
    return entries


def held(state: Path, before: Entries) -> Entries:
    """The laws of a kill: the book goes on from what it was, and no charge is doubled or given back."""
    now = read(state)
    assert now[: len(before)] == before, "a charge was lost"
    for kinds in charges(now).values():
        assert kinds in ([EntryKind.RESERVE], [EntryKind.RESERVE, EntryKind.COMMIT]), f"a charge went {kinds}"
    return now


def charges(entries: Entries) -> dict[str, list[EntryKind]]:
    found: dict[str, list[EntryKind]] = {}
    for entry in entries:
        if entry.reservation:
            found.setdefault(entry.reservation, []).append(entry.kind)
    return found


def run(lives: list[Served], kills: int, seed: int) -> str:
    draw, workers, number, book = random.Random(seed), 0, 0, ()
    orphans: list[psutil.Process] = []
    for _ in range(kills):
        asked(lives[-1].analyst, f"kill-{number}")
        gateway, worker = struck(lives[-1], draw, orphans)
        lives += [gateway] if gateway is not lives[-1] else []
        workers += worker
        book = held(gateway.state, book)
        asked(gateway.analyst, f"kill-{number}")
        number += all(release.state.terminal for release in gateway.steward.releases())
    assert not psutil.wait_procs(orphans, timeout=30)[1], "a worker outlived its gateway"
    last = asked(gateway.analyst, "last")
    assert gateway.ended(last).state is ReleaseState.RELEASED, "the queue does not go on"
    found, releases = charges(held(gateway.state, book)), gateway.steward.releases()
    assert len(releases) in (number + 1, number + 2), "a request was lost, or taken twice"
    assert {release.state for release in releases} <= {ReleaseState.RELEASED, ReleaseState.FAILED}
    for release in releases:
        assert found[release.id] == [EntryKind.RESERVE, EntryKind.COMMIT], "a charge was lost, doubled or given back"
    gateway.stop()  # a release is seen at rest a moment before its secret is shredded; who goes down leaves none
    assert list((gateway.state / "attempts").glob("*")) == []
    assert list((gateway.state / "work").glob("*")) == []
    served = sum(release.state is ReleaseState.RELEASED for release in releases)
    return f"{kills} random kills, {workers} of them of workers: {served} of {len(releases)} releases RELEASED"


def asked(analyst: Client, request_id: str) -> Release:
    return analyst.create_release("kills", epsilon=EPSILON, engine="independent", request_id=request_id)


@pytest.mark.guarantee("no-lost-spend")
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize(("seed", "kills"), [DEFAULT, *(pytest.param(*each, marks=pytest.mark.soak) for each in SOAK)])
def test_random_kills_lose_no_charge(lives: list[Served], seed: int, kills: int, record_property) -> None:
    record_property("reached", run(lives, kills, seed=seed))
