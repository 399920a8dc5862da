"""One request id is one charge, however often it comes, whatever became of the replies and of the release meanwhile."""

import random
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from server import accounts, datasets, releases, requests
from server.failpoints import Step
from server.gateway import Call, Gateway
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

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def __call__(self, step: Step) -> None:
        if step in (Step.RESERVE_WRITING, Step.RESERVED) and self._draw.random() < 0.4:
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


Answers = dict[str, set[str]]


def sent(gateway: Gateway, *, ids: int, draw: random.Random, kind: type[Call] = Call) -> tuple[int, Answers]:
    """Every id one to eight times, in one shuffled stream; returns how many came, and the answers by id."""
    stream = [f"id-{number}" for number in range(ids) for _ in range(draw.randint(1, COPIES_MAX))]
    draw.shuffle(stream)
    settings = gateway.settings.model_copy(update={"verdicts_per_account": 1_000})
    gateway = replace(gateway, settings=settings)
    dropping, answers = replace(gateway, at=Dropping(draw)), defaultdict[str, set[str]](set)
    for request_id in (*stream, *(f"id-{number}" for number in range(ids))):  # and once more, until all have an answer
        asked = kind(ANALYST, "CreateRelease", request_id, "payload")
        for _ in range(50):
            try:
                made = requests.create(
                    dropping, asked, dataset="many", engine="independent", epsilon=EPSILON, delta=1e-12
                )
            except Dropped:
                if draw.random() < 0.5:
                    break
                continue
            if not answers[request_id]:
                becomes(gateway, made.release.id, draw)
            answers[request_id].add(made.release.id)
            break
    for request_id in {f"id-{number}" for number in range(ids)} - set(answers):
        made = requests.create(
            gateway, kind(ANALYST, "CreateRelease", request_id, "payload"), dataset="many", engine="independent",
            epsilon=EPSILON, delta=1e-12,
        )  # fmt: skip
        answers[request_id].add(made.release.id)
    return len(stream), answers


def becomes(gateway: Gateway, release: str, draw: random.Random) -> None:
    """A third are charged, a third cancelled, before the next copy comes."""
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
        copies, answers = sent(gateway, ids=EACH, draw=random.Random(number))
        check(gateway, answers, EACH)
        came += copies
    record_property("reached", f"{IDS} ids in {came} copies with dropped replies, in {IDS // EACH} gateways in memory")


@pytest.mark.guarantee("one-spend-per-request")
@pytest.mark.parametrize("ids", [50, pytest.param(IDS, marks=pytest.mark.soak)])
def test_so_it_is_in_a_database(tmp_path: Path, ids: int, record_property) -> None:
    made, clock = Maker.under(tmp_path).gateway()
    store: Store = SqlStore(tmp_path / "gateway.db", clock=clock)
    gateway = replace(made, store=store)
    ready(gateway)
    clock.seconds += TICK_S
    copies, answers = sent(gateway, ids=ids, draw=random.Random(100))
    check(gateway, answers, ids)
    store.close()
    record_property("reached", f"{ids} ids in {copies} copies with dropped replies, on SQLite")


class Forgetful(Call):
    """A planted bug: no answer is remembered."""

    __slots__ = ()

    def answered(self, _tx: object) -> None:
        return None

    def answer(self, tx: object, resource: str, **detail: str) -> None:
        pass


@pytest.mark.guarantee("one-spend-per-request")
def test_a_gateway_that_forgets_its_answers_is_seen(tmp_path: Path) -> None:
    gateway, clock = Maker.under(tmp_path).gateway()
    ready(gateway)
    clock.seconds += TICK_S
    _, answers = sent(gateway, ids=20, draw=random.Random(101), kind=Forgetful)
    with pytest.raises(AssertionError, match="answered with two releases"):
        check(gateway, answers, 20)
