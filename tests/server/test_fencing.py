"""Zombies: jobs whose lease another gateway has taken. Each of their writes is refused, and a writer that does not
check is convicted."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dp_models.base import Plan
from server import attempts, ingestion, pipeline
from server.attestation import statement
from server.catalog.base import ReleaseRecord
from server.derived import run_derived
from server.gateway import Gateway
from server.heartbeat import Heartbeat
from server.jobs.runner import JobFailed, Reason
from server.leases import Fenced, Leases
from server.publication import publish
from server.recovery import recover
from server.releases import stop
from server.store import Transaction
from server.store_memory import MemoryStore
from synthgate.dataset import DatasetState
from synthgate.derivation import Derivation
from synthgate.policy import Verdict
from synthgate.release import ReleaseState
from tests.server.composed import Clock, leased, registered
from tests.server.several import TTL_S, Several, another, opened

TRAINING, EVALUATING = ReleaseState.TRAINING, ReleaseState.EVALUATING
MADE = {"sha256": "0" * 64, "bytes": 4, "rows": 1}
EACH = 10


class Careless(Leases):
    """A planted fault: a gateway that writes without a look at the fence."""

    def check(self, tx: Transaction, name: str) -> None:
        return


def files(gateway: Gateway, record: ReleaseRecord) -> dict[str, Path]:
    made = gateway.settings.state / f"{record.release.id}.parquet"
    made.write_bytes(b"PAR1" + record.release.id.encode())
    return {"data": made}


def keeps_report(gateway: Gateway, record: ReleaseRecord) -> None:
    work = gateway.settings.state / f"work-{record.release.id}"
    (work / "render").mkdir(parents=True)
    for name in ("report.json", "report.html", "decision.html"):
        (work / "render" / name).write_text(record.release.id)
    with gateway.store.begin() as tx:
        dataset = tx.datasets.get("table")
    claim = statement(Plan.from_json(record.plan), dataset, record, noise=(), weaknesses=())
    verdict = Verdict(findings=())
    pipeline._keep_report(gateway, record, dataset, claim, verdict, work, lambda *_, **__: {})


def awaits(gateway: Gateway, record: ReleaseRecord) -> None:
    with attempts.kept(gateway, record, MADE, files(gateway, record)) as kept:
        attempts.advance(gateway, kept, ReleaseState.AWAITING_APPROVAL)


def publishes(gateway: Gateway, record: ReleaseRecord) -> None:
    with gateway.store.begin() as tx:
        dataset = tx.datasets.get("table")
    claim = statement(Plan.from_json(record.plan), dataset, record, noise=(), weaknesses=())
    record = replace(record, statement=claim.to_dict())
    with attempts.kept(gateway, record, MADE, files(gateway, record)) as kept, gateway.store.begin() as tx:
        attempts.check_wanted(gateway, tx, kept)
        publish(gateway, tx, kept)


def dies(gateway: Gateway, record: ReleaseRecord, error: Exception) -> None:
    with attempts.at_rest_afterwards(gateway, record.release.id):
        raise error


WRITES: dict[str, tuple[tuple[ReleaseState, ...], Callable[[Gateway, ReleaseRecord], object]]] = {
    "commit": ((), lambda g, r: pipeline.run_release(g, r.release.id)),
    "evaluating": ((TRAINING,), lambda g, r: attempts.advance(g, r, EVALUATING)),
    "report": ((TRAINING, EVALUATING), keeps_report),
    "rejected": ((TRAINING, EVALUATING), lambda g, r: attempts.advance(g, r, ReleaseState.REJECTED)),
    "awaiting": ((TRAINING, EVALUATING), awaits),
    "released": ((TRAINING, EVALUATING), publishes),
    "failed": ((TRAINING,), lambda g, r: dies(g, r, JobFailed(Reason.CRASHED))),
    "cancelled": ((TRAINING,), lambda g, r: dies(g, r, JobFailed(Reason.CANCELLED))),
    "fault": ((TRAINING, EVALUATING), lambda g, r: dies(g, r, RuntimeError("a fault"))),
    "closed": ((TRAINING,), lambda g, r: attempts.fail(g, r.release.id, "it cannot go on")),
}


def written(gateway: Gateway, release: str) -> tuple[Any, ...]:
    """Everything that a job may write, in the store and beside it."""
    with gateway.store.begin() as tx:
        books = tx.releases.get(release), tx.ledger.head(), tx.audit.newest()
    return (*books, set(gateway.artifacts.digests()))


def changes(several: Several, write: str, name: str, zombie: Gateway, other: Gateway, like: ReleaseRecord) -> bool:
    """Whether a zombie's write changed anything that counts. It is paused with a lease, and the lease is taken."""
    path, verb = WRITES[write]
    record = another(other, like, name, *path)
    leased(zombie, name)
    several.clock.seconds += TTL_S
    leased(other, name)
    before = written(other, name)
    with suppress(Fenced):
        verb(zombie, record)
    after = written(other, name)
    zombie.running.pop(name)
    return bool(before[:3] != after[:3] or (write not in ("awaiting", "released") and before != after))


@pytest.fixture
def several(tmp_path: Path) -> Several:
    """On SQLite, through a connection for each gateway."""
    return Several(tmp_path, Clock())


@pytest.fixture
def fast(tmp_path: Path) -> Several:
    """In memory, for what is done a hundred times."""
    clock = Clock()
    return Several(tmp_path, clock, MemoryStore(clock=clock))


def paused(several: Several, leases: type[Leases] = Leases) -> Gateway:
    """A gateway that does not notice how time goes by."""
    return several.gateway("paused", monotonic=Clock(), leases=leases)


@pytest.mark.guarantee("terminal-after-restart")
def test_a_hundred_zombies_write_nothing(fast: Several, record_property: Callable[[str, object], None]) -> None:
    zombie, other = paused(fast), fast.gateway("other")
    like = opened(other, fast.clock)
    fenced = Counter(
        write
        for i in range(EACH)
        for write in WRITES
        if not changes(fast, write, f"r-{write}-{i}", zombie, other, like)
    )
    assert fenced == dict.fromkeys(WRITES, EACH)
    record_property("reached", f"{fenced.total()} zombie results fenced at {len(fenced)} write points")
    fast.clock.seconds += TTL_S
    other.running.clear()  # its jobs have died
    recover(other, starting=False)
    assert other.artifacts.digests() == ()
    with other.store.begin() as tx:
        states = Counter(r.release.state for r in tx.releases.list())
    assert states == {ReleaseState.FAILED: EACH * (len(WRITES) - 1), ReleaseState.PENDING: EACH + 1}


@pytest.mark.parametrize("write", WRITES)
def test_a_writer_that_does_not_check_the_fence_is_convicted(several: Several, write: str) -> None:
    other = several.gateway("other")
    like = opened(other, several.clock)
    assert changes(several, write, "r-zombie", paused(several, Careless), other, like)


def test_a_zombie_of_an_ingest_moves_no_rows(several: Several) -> None:
    zombie, other = paused(several), several.gateway("other")
    opened(other, several.clock)
    registered(other, "late", state=DatasetState.INGESTING)
    job, made = ingestion.ingest_job("late"), several.folder / "made"
    made.mkdir()
    leased(zombie, job)
    several.clock.seconds += TTL_S
    leased(other, job)
    with pytest.raises(Fenced):
        ingestion._settle(zombie, "late", found={"rows": 1, "units": 1}, folder=made)
    with other.store.begin() as tx:
        assert tx.datasets.get("late").dataset.state is DatasetState.INGESTING
    assert not (other.settings.rows / "late").exists()


def test_a_zombie_of_a_derived_release_draws_nothing(several: Several) -> None:
    zombie, other = paused(several), several.gateway("other")
    like = opened(other, several.clock)
    derived = replace(like.release, id="r-derived", derivation=Derivation(source=like.release.id, rows=5))
    with other.store.begin() as tx:
        tx.releases.add(replace(like, release=derived))
    leased(zombie, "r-derived")
    several.clock.seconds += TTL_S
    leased(other, "r-derived")
    before = written(other, "r-derived")
    run_derived(zombie, "r-derived")
    assert written(other, "r-derived") == before


def test_a_gateway_that_cannot_renew_stops_its_jobs_before_another_may_begin_them(several: Several) -> None:
    own = Clock()
    cut_off, other = several.gateway("cut-off", monotonic=own), several.gateway("other")
    like = opened(other, several.clock)
    another(other, like, "r-1", TRAINING)
    leased(cut_off, "r-1")
    cut_off.store.close()
    heartbeat = Heartbeat(cut_off)
    for own.seconds in range(int(TTL_S)):
        heartbeat.beat()
        heartbeat.watch()
        if cut_off.running["r-1"].is_set():
            break
    assert own.seconds == TTL_S - cut_off.leases.margin_s
    several.clock.seconds += own.seconds
    with other.store.begin() as tx:
        assert other.leases.take(tx, "r-1") is None
    with pytest.raises(Fenced):
        cut_off.leases.mine("r-1")


def test_a_heartbeat_keeps_jobs_and_learns_of_those_that_were_taken(several: Several) -> None:
    busy, other = several.gateway("busy"), several.gateway("other")
    like = opened(other, several.clock)
    for name in ("r-1", "r-2"):
        another(other, like, name, TRAINING)
        leased(busy, name)
    heartbeat = Heartbeat(busy)
    for _ in range(10):
        several.clock.seconds += busy.settings.heartbeat_s
        heartbeat.beat()
        heartbeat.watch()
    assert recover(other, starting=False) == ()
    attempts_before = {name: busy.leases.mine(name).fence for name in ("r-1", "r-2")}
    assert attempts_before == {"r-1": 1, "r-2": 1}
    stop(other, "r-1", by="steward", reason="not wanted")
    assert not busy.running["r-1"].is_set()
    heartbeat.beat()
    assert [busy.running[name].is_set() for name in ("r-1", "r-2")] == [True, False]
    with other.store.begin() as tx:
        assert tx.releases.get("r-1").release.state is ReleaseState.CANCELLED
    with pytest.raises(Fenced):
        attempts.fail(busy, "r-1", "late")
