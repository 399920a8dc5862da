"""Two gateways on one store: no job runs twice, whatever stops when, and what a lost gateway left comes to rest."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from server import app
from server.app import only_one
from server.config import Settings
from server.following import Follower, newest
from server.gateway import Gateway
from server.identity import Office, provision
from server.leases import Fenced, Leases
from server.ledger.base import Ledger
from server.queue import Queue
from server.recovery import recover
from server.releases import move
from server.store import Store, Transaction
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
        return Counter(e.reservation for e in tx.ledger.entries("people", limit=100_000) if e.kind is EntryKind.COMMIT)


def states(store: Store) -> Counter[ReleaseState]:
    with store.begin() as tx:
        return Counter(record.release.state for record in tx.releases.list())


class Stepped:
    """A gateway whose jobs the test moves on one step at a time, and that may be stopped between any two."""

    def __init__(self, several: Several, work: Work, instance: str, leases: type[Leases]) -> None:
        self.gateway = several.gateway(instance, leases=leases)
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


def lived(several: Several, work: Work, *, jobs: int, leases: type[Leases] = Leases, seed: int = 4) -> Counter[str]:
    """Two gateways work off ``jobs`` releases; each is stopped at random moments (killed and started again, or paused
    for longer than its leases last). Returns what happened."""
    chance, happened = random.Random(seed), Counter[str]()
    pair = [Stepped(several, work, name, leases) for name in ("a", "b")]
    like = opened(pair[0].gateway, several.clock)
    for i in range(jobs - 1):
        another(pair[0].gateway, like, f"r-{i}")
    for _ in range(100 * jobs):
        if not set(states(pair[0].gateway.store)) & set(ACTIVE):
            break
        which = chance.randrange(2)
        one, event = pair[which], chance.random()
        if event < 0.02:
            happened["kills"] += 1
            pair[which] = Stepped(several, work, one.instance, leases)
            recover(pair[which].gateway)
        elif event < 0.04:
            happened["pauses"] += 1
            several.clock.seconds += TICK_S + TTL_S
            recover(pair[1 - which].gateway, starting=False)
        elif event < 0.3:
            several.clock.seconds += TICK_S
            for each in pair:
                each.gateway.leases.beat(each.gateway.store)
                each.queue.take()
        else:
            one.step(chance)
    return happened


def settings_of(folder: Path, **options: object) -> Settings:
    return Settings(state=folder, verdict_tick_s=TICK_S, **options)  # type: ignore[arg-type]
