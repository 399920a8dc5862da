"""Two gateways on one store: no job runs twice, whatever stops when, and what a lost gateway left comes to rest."""

import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from server import app
from server.app import only_one
from server.config import Settings
from server.following import Follower
from server.gateway import Gateway
from server.identity import Office, provision
from server.leases import Fenced, Leases
from server.queue import Queue
from server.recovery import recover
from server.releases import move
from server.store import Store
from server.store_memory import MemoryStore
from synthgate.errors import Unavailable
from synthgate.ledger import EntryKind
from synthgate.release import ACTIVE, ReleaseState
from tests.server.composed import TICK_S, Clock, leased
from tests.server.several import TTL_S, Several, another, opened

JOBS, WITHIN_S = 200, 30.0
TRAINING, EVALUATING = ReleaseState.TRAINING, ReleaseState.EVALUATING


class Work:
    """Jobs of three steps (charge, evaluate, close) that go on when the test says, or in threads."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.fenced = 0

    def steps(self, gateway: Gateway, release: str) -> "list[Callable[[], None]]":
        def write(state: ReleaseState) -> None:
            with gateway.store.begin() as tx:
                gateway.leases.check(tx, release)
                record = tx.releases.get(release)
                if state is TRAINING:
                    tx.ledger.commit(release, by="gateway")
                move(gateway, tx, record, state)
            self.done[release] += state is ReleaseState.FAILED

        return [partial(write, state) for state in (TRAINING, EVALUATING, ReleaseState.FAILED)]

    def whole(self, gateway: Gateway, release: str) -> None:
        for step in self.steps(gateway, release):
            step()


def commits(store: Store) -> Counter[str]:
    with store.begin() as tx:
        return Counter(e.reservation for e in tx.ledger.entries("people") if e.kind is EntryKind.COMMIT)


def states(store: Store) -> Counter[ReleaseState]:
    with store.begin() as tx:
        return Counter(record.release.state for record in tx.releases.list())


class Stepped:
    """A gateway whose jobs the test moves on one step at a time, and that may be stopped between any two."""

    def __init__(self, several: Several, work: Work, instance: str) -> None:
        self.gateway = several.gateway(instance)
        self.work, self.instance = work, instance
        self.queue = Queue(self.gateway, start=self.begin)
        self.jobs: dict[str, list[Callable[[], None]]] = {}

    def begin(self, job: "partial[None]", name: str) -> None:
        self.jobs[name] = self.work.steps(self.gateway, name)

    def step(self, chance: random.Random) -> None:
        if not self.jobs:
            return
        name = chance.choice(sorted(self.jobs))
        try:
            self.jobs[name].pop(0)()
        except Fenced:
            self.work.fenced += 1
            self.jobs[name].clear()
        if not self.jobs[name]:
            del self.jobs[name]
            self.gateway.running.pop(name)
            self.gateway.leases.release(self.gateway.store, name)


def lived(several: Several, work: Work, *, jobs: int, seed: int = 4) -> Counter[str]:
    """Two gateways work off ``jobs`` releases; each is stopped at random moments (killed and started again, or paused
    for longer than its leases last). Returns what happened."""
    chance, happened = random.Random(seed), Counter[str]()
    pair = [Stepped(several, work, name) for name in ("a", "b")]
    like = opened(pair[0].gateway, several.clock)
    for i in range(jobs - 1):
        another(pair[0].gateway, like, f"r-{i}")
    for event_number in range(100 * jobs):
        if event_number % 50 == 0 and not set(states(pair[0].gateway.store)) & set(ACTIVE):
            break
        which = chance.randrange(2)
        one, event = pair[which], chance.random()
        if event < 0.02:
            happened["kills"] += 1
            pair[which] = Stepped(several, work, one.instance)
            recover(pair[which].gateway)
        elif event < 0.04:
            happened["pauses"] += 1
            several.clock.seconds += TICK_S + TTL_S
            recover(pair[1 - which].gateway, starting=False)
        elif event < 0.1:
            several.clock.seconds += TICK_S
            for each in pair:
                each.gateway.leases.beat(each.gateway.store)
                each.queue.take()
        else:
            one.step(chance)
    return happened


@pytest.fixture
def several(tmp_path: Path) -> Several:
    clock = Clock()
    return Several(tmp_path, clock, MemoryStore(clock=clock))


@pytest.mark.guarantee("terminal-after-restart")
def test_two_gateways_that_are_stopped_at_random_charge_and_close_every_job_once(
    several: Several, record_property: Callable[[str, object], None]
) -> None:
    work = Work()
    happened = lived(several, work, jobs=JOBS)
    assert several.store is not None
    assert states(several.store) == {ReleaseState.FAILED: JOBS}
    assert set(commits(several.store).values()) == {1}
    assert commits(several.store).total() == JOBS
    assert max(work.done.values()) == 1
    assert work.fenced > 0 < happened["kills"]
    record_property(
        "reached",
        f"{JOBS} jobs charged and closed once; {happened['kills']} kills, {happened['pauses']} pauses, "
        f"{work.fenced} late results fenced",
    )


class Greedy(Leases):
    """A planted fault: whoever asks for a lease gets it."""

    def dead(self, holder: str) -> bool:
        return True


def raced(several: Several, leases: type[Leases], *, jobs: int = JOBS) -> Counter[str]:
    """How often each of the jobs was begun by two gateways whose queues look at the same time, in threads."""
    assert several.store is not None
    begun: Counter[str] = Counter()
    lock, work = threading.Lock(), Work()
    pair = [several.gateway(name, leases=leases) for name in ("a", "b")]
    like = opened(pair[0], several.clock)
    for i in range(jobs - 1):
        another(pair[0], like, f"r-{i}")
    with ThreadPoolExecutor(6) as pool:

        def begin(job: "partial[None]", name: str) -> None:
            with lock:
                begun[name] += 1
            pool.submit(job.func, work.whole, job.args[1], name)

        def look(gateway: Gateway) -> None:
            gateway.leases.ttl_s = 1e9
            queue = Queue(gateway, start=begin)
            for _ in range(10 * jobs):
                with lock:
                    several.clock.seconds += TICK_S
                    if begun.total() >= jobs:
                        return
                queue.take()
                gateway.wake.wait(0.05)
                gateway.wake.clear()

        lookers = [threading.Thread(target=look, args=(gateway,)) for gateway in pair]
        for thread in lookers:
            thread.start()
        for thread in lookers:
            thread.join()
    return begun


@pytest.mark.guarantee("terminal-after-restart")
def test_two_queues_at_once_begin_every_job_once(
    several: Several, record_property: Callable[[str, object], None]
) -> None:
    begun = raced(several, Leases)
    assert (len(begun), set(begun.values())) == (JOBS, {1})
    assert several.store is not None
    assert states(several.store) == {ReleaseState.FAILED: JOBS}
    record_property("reached", f"{begun.total()} jobs begun once each by two queues")


def test_leases_that_anybody_gets_are_convicted(several: Several) -> None:
    assert max(raced(several, Greedy, jobs=20).values()) > 1


FOUND = {
    "r-training": (TRAINING,),
    "r-evaluating": (TRAINING, EVALUATING),
    "r-awaiting": (TRAINING, EVALUATING, ReleaseState.AWAITING_APPROVAL),
    "r-rejected": (TRAINING, EVALUATING, ReleaseState.REJECTED),
    "r-queued": (),
}
ENDS = {
    "r-training": ReleaseState.FAILED,
    "r-evaluating": ReleaseState.FAILED,
    "r-awaiting": ReleaseState.AWAITING_APPROVAL,
    "r-rejected": ReleaseState.REJECTED,
    "r-queued": ReleaseState.PENDING,
}


def ends(gateway: Gateway) -> dict[str, ReleaseState]:
    with gateway.store.begin() as tx:
        return {name: tx.releases.get(name).release.state for name in FOUND}


@pytest.mark.guarantee("terminal-after-restart")
@pytest.mark.parametrize("who", ["restarted", "another"])
def test_what_a_lost_gateway_left_comes_to_rest_in_time(
    tmp_path: Path, who: str, record_property: Callable[[str, object], None]
) -> None:
    several = Several(tmp_path, Clock())
    lost = several.gateway("lost")
    like = opened(lost, several.clock)
    for name, path in FOUND.items():
        another(lost, like, name, *path)
        leased(lost, name)
    (lost.settings.work / "r-training.1").mkdir(parents=True)
    lost.store.close()
    left = several.clock.seconds
    next_one = several.gateway("lost" if who == "restarted" else "other")
    queue = Queue(next_one)
    recover(next_one)
    while ends(next_one) != ENDS and several.clock.seconds - left < WITHIN_S:
        several.clock.seconds += 1.0
        queue.recover()
    assert ends(next_one) == ENDS
    took = several.clock.seconds - left
    assert took <= (0.0 if who == "restarted" else 2 * TTL_S)
    assert list(next_one.settings.work.glob("*")) == []
    with next_one.store.begin() as tx:
        lease = next_one.leases.take(tx, "r-queued")
        assert lease is not None
        assert lease.fence == 2
    record_property("reached", f"at rest or queued after {took:g} s by the {who} gateway")


def test_a_gateway_leaves_alone_what_another_is_at(several: Several) -> None:
    busy, other = several.gateway("busy"), several.gateway("other")
    like = opened(other, several.clock)
    another(other, like, "r-1", TRAINING)
    leased(busy, "r-1")
    (busy.settings.work / "r-1.1").mkdir(parents=True)
    stored = busy.artifacts.put(b"PAR1, stored and not yet written")
    assert recover(other) == ()
    assert (busy.settings.work / "r-1.1").exists()
    assert busy.artifacts.digests() == (stored,)
    busy.leases.release(busy.store, "r-1")
    assert recover(other) == ("r-1",)
    assert not (busy.settings.work / "r-1.1").exists()
    assert busy.artifacts.digests() == ()


def test_watchers_of_one_gateway_learn_what_another_changed(several: Several) -> None:
    here, there = several.gateway("here"), several.gateway("there")
    like = opened(there, several.clock)
    another(there, like, "r-1", TRAINING)
    told: list[str] = []
    follower = Follower(here)
    with here.news.listening("r-1", told.append), here.news.listening("r-2", told.append):
        assert follower.look() == 0
        assert recover(there) == ("r-1",)
        assert follower.look() > 0
        assert told == ["r-1"]
        assert follower.look() == 0


@pytest.mark.parametrize("records", [0, 1, 2, 3, 7, 8, 9, 100])
def test_the_newest_audit_record_is_found(records: int) -> None:
    store = MemoryStore()
    with store.begin() as tx:
        for _ in range(records):
            tx.audit.append(principal="x", action="y", resource="z", detail={})
        newest = tx.audit.newest()
        assert (newest.sequence if newest else 0) == records


def test_two_gateways_that_start_at_once_share_their_tokens(tmp_path: Path) -> None:
    store, barrier = MemoryStore(), threading.Barrier(2)

    def start(_: int) -> frozenset[str]:
        barrier.wait()
        return frozenset(provision(store, tmp_path / "tokens"))

    with ThreadPoolExecutor(2) as pool:
        known = set(pool.map(start, range(2)))
    assert [len(tokens) for tokens in known] == [len(Office)]
    assert frozenset(provision(store, tmp_path / "tokens")) in known


class OnPostgres(Settings):
    """Settings as they are where the database is shared."""

    @property
    def shared(self) -> bool:
        return True


def test_gateways_with_a_shared_database_lock_their_names(tmp_path: Path) -> None:
    one, other = (OnPostgres(state=tmp_path, instance=name) for name in ("one", "other"))
    with only_one(one), only_one(other):
        assert sorted(p.name for p in one.instances.iterdir()) == ["one.lock", "other.lock"]
        with pytest.raises(Unavailable, match="--instance"), only_one(one):
            pass
    assert app.instance(OnPostgres(state=tmp_path)) != ""
    assert app.instance(Settings(state=tmp_path)) == "gateway"


def test_a_lock_that_a_killed_gateway_left_to_its_child_is_waited_for(tmp_path: Path) -> None:
    """Between fork and exec a worker holds whatever its gateway had open, also when that is dead."""
    hold = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); time.sleep(1)"
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "lock")], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with only_one(Settings(state=tmp_path)):
            assert child.wait(timeout=10) == 0


def test_a_heartbeat_that_is_too_slow_for_its_leases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three times"):
        Settings(state=tmp_path, lease_s=6.0, heartbeat_s=3.0)
