"""One request id is one charge, however often and at once it comes, whatever becomes of the replies and the release."""

import random
import shutil
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from server import accounts, datasets, releases, requests
from server.failpoints import Step
from server.gateway import Call, Doubt, Gateway
from server.store import Store
from server.store_sql import SqlStore
from synthgate.dataset import DatasetState, PrivacyUnit
from synthgate.ledger import EntryKind
from synthgate.policy import COPIES, Policy, Rule, VerdictKind
from tests.server.composed import ANALYST, DOMAIN, SIZES, STEWARD, TICK_S, call
from tests.server.released import Maker

IDS, COPIES_MAX, EPSILON = 1_000, 8, 0.002
EACH = 50
"""Ids of one gateway, whose creates become slower with the releases of one dataset."""
POLICY = Policy(
    name="many", verdict=VerdictKind.EXACT, epsilon_max=1.0, certified_only=True, verdicts_max=1_000, approvals=0,
    rules=(Rule(score=COPIES, at_most=0.5),),
)  # fmt: skip


class Dropped(Exception):
    """What a caller sees of a reply that never comes."""


class Dropping:
    """Fails every so often: before the charge is written, or once it is and the reply is under way."""

    def __init__(self, draw: random.Random, share: float) -> None:
        self._draw, self._share = draw, share

    def __call__(self, step: Step) -> None:
        if step in (Step.RESERVE_WRITING, Step.RESERVED) and self._draw.random() < self._share:
            raise Dropped


def ready(gateway: Gateway) -> None:
    accounts.open_account(gateway, call(STEWARD), name="crowd", epsilon=3.0, delta=1e-6, sandbox=False)
    datasets.register(
        gateway, call(STEWARD), name="many", domain=DOMAIN, unit=PrivacyUnit(), sizes=SIZES, account="crowd",
        policy=POLICY,
    )  # fmt: skip
    with gateway.store.begin() as tx:
        record = tx.datasets.get("many")
        found = {datasets.READY_AT: "2026-01-01T00:00:00+00:00"}
        done = replace(record, dataset=replace(record.dataset, state=DatasetState.READY), found=found)
        tx.datasets.replace(done, expected=DatasetState.CREATED)


class Crowd:
    """Clients that send every id one to eight times: the copies of two ids at a time, all from one moment on, and every
    id once more in the end. ``answers`` are the releases by id, ``came`` is how many copies there were."""

    def __init__(self, gateway: Gateway, *, ids: int, seed: int, kind: type[Call] = Call, drops: float = 0.4) -> None:
        settings = gateway.settings.model_copy(update={"verdicts_per_account": 1_000})
        self._gateway = replace(gateway, settings=settings)
        self._draw, self._kind, self._drops = random.Random(seed), kind, drops
        self._lock = threading.Lock()
        self.answers = defaultdict[str, set[str]](set)
        self.came = 0
        names = [f"id-{number}" for number in range(ids)]
        with ThreadPoolExecutor(2 * COPIES_MAX) as pool:
            for pair in zip(names[::2], names[1::2], strict=True):
                self._volley(pool, [name for name in pair for _ in range(self._draw.randint(1, COPIES_MAX))])
        for name in names:
            while not self._sent(name, self._draw):
                pass

    def _volley(self, pool: ThreadPoolExecutor, copies: list[str]) -> None:
        start = threading.Barrier(len(copies))
        draws = [random.Random(self._draw.random()) for _ in copies]
        clients = [pool.submit(self._client, name, draw, start) for name, draw in zip(copies, draws, strict=True)]
        for client in clients:
            client.result()
        self.came += len(copies)

    def _client(self, name: str, draw: random.Random, start: threading.Barrier) -> None:
        """Asks until it is answered, or half of the time not again."""
        asked = self._call(name)
        start.wait()
        while not self._sent(name, draw, asked) and draw.random() < 0.5:
            asked = self._call(name)

    def _call(self, name: str) -> Call:
        return self._kind(ANALYST, "CreateRelease", name, "payload")

    def _sent(self, name: str, draw: random.Random, asked: Call | None = None) -> bool:
        """Whether one copy was answered; what the first answer names is charged, cancelled or left to wait."""
        dropping = replace(self._gateway, at=Dropping(draw, self._drops))
        try:
            made = requests.create(
                dropping, asked or self._call(name), dataset="many", engine="independent", epsilon=EPSILON, delta=1e-12
            )
        except Dropped:
            return False
        with self._lock:
            first = not self.answers[name]
            self.answers[name].add(made.release.id)
        if first:
            becomes(self._gateway, made.release.id, draw)
        return True


def becomes(gateway: Gateway, release: str, draw: random.Random) -> None:
    """A third are charged, a third cancelled, while other copies come."""
    end = draw.choice(("charged", "cancelled", "waits"))
    if end == "charged":
        with gateway.store.begin() as tx:
            tx.ledger.commit(release, by="gateway")
    elif end == "cancelled":
        releases.cancel(gateway, call(ANALYST), release)


def check(gateway: Gateway, answers: dict[str, set[str]], ids: int) -> None:
    assert len(answers) == ids
    assert {len(found) for found in answers.values()} == {1}, "one request id was answered with two releases"
    with gateway.store.begin() as tx:
        entries = tx.ledger.entries("crowd")
    kinds = Counter(entry.kind for entry in entries)
    assert kinds[EntryKind.RESERVE] == ids, "one request id was charged twice"
    spends = Counter(entry.reservation for entry in entries if entry.kind in (EntryKind.COMMIT, EntryKind.VOID))
    assert not spends or set(spends.values()) == {1}


@pytest.mark.guarantee("one-spend-per-request")
def test_a_thousand_ids_are_a_thousand_charges(tmp_path: Path, record_property) -> None:
    maker, came = Maker.under(tmp_path), 0
    for number in range(IDS // EACH):
        gateway, clock = maker.gateway()
        ready(gateway)
        clock.seconds += TICK_S
        crowd = Crowd(gateway, ids=EACH, seed=number)
        check(gateway, crowd.answers, EACH)
        came += crowd.came
    figure = f"{IDS} ids in {came} copies at a time with dropped replies, in {IDS // EACH} gateways in memory"
    record_property("reached", figure)


@pytest.mark.guarantee("one-spend-per-request")
@pytest.mark.parametrize("ids", [50, pytest.param(IDS, marks=pytest.mark.soak)])
def test_so_it_is_in_a_database(tmp_path: Path, ids: int, record_property) -> None:
    made, clock = Maker.under(tmp_path).gateway()
    store: Store = SqlStore(tmp_path / "gateway.db", clock=clock)
    shutil.rmtree(made.settings.checkpoints)  # those of the store in memory
    gateway = replace(made, store=store, doubt=Doubt())
    ready(gateway)
    clock.seconds += TICK_S
    crowd = Crowd(gateway, ids=ids, seed=100)
    check(gateway, crowd.answers, ids)
    store.close()
    record_property("reached", f"{ids} ids in {crowd.came} copies at a time with dropped replies, on SQLite")


class Forgetful(Call):
    """A planted bug: no answer is remembered."""

    __slots__ = ()

    def answered(self, _tx: object) -> None:
        return None

    def answer(self, tx: object, resource: str, **detail: str) -> None:
        pass


class Hasty(Call):
    """A planted bug: what was answered is looked up before the transaction, which is seen by copies at a time alone."""

    kept: ClassVar[dict[str, str]] = {}

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        object.__setattr__(self, "known", self.kept.get(self.request_id))

    def answered(self, _tx: object) -> str | None:
        return self.known  # type: ignore[attr-defined,no-any-return]

    def answer(self, tx: object, resource: str, **detail: str) -> None:
        self.kept[self.request_id] = resource


@pytest.mark.guarantee("one-spend-per-request")
@pytest.mark.parametrize(("kind", "drops"), [(Forgetful, 0.4), (Hasty, 0.0)])
def test_a_gateway_that_forgets_its_answers_or_looks_too_early_is_seen(
    tmp_path: Path, kind: type[Call], drops: float
) -> None:
    gateway, clock = Maker.under(tmp_path).gateway()
    ready(gateway)
    clock.seconds += TICK_S
    crowd = Crowd(gateway, ids=20, seed=101, kind=kind, drops=drops)
    with pytest.raises(AssertionError, match="answered with two releases"):
        check(gateway, crowd.answers, 20)
