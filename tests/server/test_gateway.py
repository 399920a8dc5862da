"""Laws of the gateway in one process: what is published when, what deletion stops, and what one fault may cost."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dp_models.mechanisms.accounting import rdp
from server import datasets, erasure, releases
from server.app import compose
from server.config import Settings
from server.gateway import Gateway
from server.ledger import meter
from server.publication import next_tick, publish
from server.queue import Queue
from server.releases import move
from synthgate.budget import PrivacyBudget
from synthgate.dataset import DatasetState, PrivacyUnit
from synthgate.errors import InvalidPolicy, NotFound, WrongState
from synthgate.events import Gaussian
from synthgate.ledger import ReservationState
from synthgate.policy import EXACT_POLICY
from synthgate.release import ReleaseState
from tests.server.composed import ANALYST, DOMAIN, SIZES, START, STEWARD, TICK_S, Clock, asked, call, registered


def test_a_dataset_is_ready_to_everybody_on_a_tick(gateway: Gateway, clock: Clock) -> None:
    clock.seconds = 1.0
    record = registered(gateway)
    seen = [datasets.state_seen(gateway, record, who) for who in (ANALYST, STEWARD)]
    assert seen == [DatasetState.CREATED, DatasetState.INGESTING]
    with pytest.raises(WrongState):
        asked(gateway)
    clock.seconds = TICK_S
    assert {datasets.state_seen(gateway, record, who) for who in (ANALYST, STEWARD)} == {DatasetState.READY}
    asked(gateway)


@pytest.mark.parametrize("state", [DatasetState.INGESTING, DatasetState.FAILED])
def test_ingest_shows_to_stewards_alone(gateway: Gateway, state: DatasetState) -> None:
    record = registered(gateway, state=state)
    assert datasets.state_seen(gateway, record, ANALYST) is DatasetState.CREATED
    assert datasets.state_seen(gateway, record, STEWARD) is state


def test_releases_start_on_a_tick_alone(gateway: Gateway, clock: Clock) -> None:
    registered(gateway)
    clock.seconds = TICK_S + 1
    started: list[str] = []
    queue = Queue(gateway, start=lambda job, name: started.append(name))
    waiting = asked(gateway)
    for clock.seconds in (TICK_S + 1, TICK_S + 5, 2 * TICK_S - 0.001):
        queue.take()
        assert started == []
    clock.seconds = 2 * TICK_S
    queue.take()
    assert started == [waiting]


def test_an_ingest_that_cannot_run_fails_and_stops_nobody(gateway: Gateway) -> None:
    registered(gateway, state=DatasetState.INGESTING)
    (gateway.settings.keys / "account-people.key").unlink()
    Queue(gateway, start=lambda job, name: job(name)).take()
    record = datasets.read(gateway, STEWARD, "table")
    assert record.dataset.state is DatasetState.FAILED
    assert "fault of the gateway" in record.dataset.failure


def test_more_approvals_than_officers_are_refused_at_registration(gateway: Gateway) -> None:
    with pytest.raises(InvalidPolicy, match="the officers are 1"):
        datasets.register(
            gateway, call(STEWARD), name="table", domain=DOMAIN, unit=PrivacyUnit(), sizes=SIZES, account="people",
            policy=replace(EXACT_POLICY, approvals=2),
        )  # fmt: skip


def test_a_cancel_that_a_crash_left_half_done_is_done_when_it_is_asked_again(gateway: Gateway, clock: Clock) -> None:
    registered(gateway)
    clock.seconds = TICK_S
    release, cancelling = asked(gateway), call(ANALYST)
    with gateway.store.begin() as tx:
        cancelling.answer(tx, release)
    releases.cancel(gateway, cancelling, release)
    with gateway.store.begin() as tx:
        assert tx.releases.get(release).release.state is ReleaseState.CANCELLED
        assert tx.ledger.reservation(release).state is ReservationState.VOIDED
        entries = tx.ledger.entries()
    releases.cancel(gateway, cancelling, release)
    with gateway.store.begin() as tx:
        assert tx.ledger.entries() == entries


def upload(gateway: Gateway, content: bytes = b"age,sex,ill\n1,f,true\n") -> datasets.Upload:
    started = datasets.Upload(gateway, "table")
    started.begin(total_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    started.append(0, content)
    return started


@pytest.mark.parametrize("late", [DatasetState.DELETED, DatasetState.READY, DatasetState.INGESTING])
def test_an_upload_that_ends_late_changes_nothing(gateway: Gateway, late: DatasetState) -> None:
    record = registered(gateway, state=DatasetState.FAILED)
    started = upload(gateway)
    with gateway.store.begin() as tx:
        tx.datasets.replace(replace(record, dataset=replace(record.dataset, state=late)), expected=DatasetState.FAILED)
    with pytest.raises(WrongState):
        started.finish(STEWARD)
    with gateway.store.begin() as tx:
        assert tx.datasets.get("table").dataset.state is late


def test_nothing_of_a_deleted_dataset_is_released(gateway: Gateway, clock: Clock) -> None:
    registered(gateway)
    clock.seconds = TICK_S
    release = asked(gateway)
    with gateway.store.begin() as tx:
        tx.ledger.commit(release, by="gateway")
        record = move(gateway, tx, tx.releases.get(release), ReleaseState.TRAINING)
        record = move(gateway, tx, record, ReleaseState.EVALUATING)
    erasure.delete(gateway, call(STEWARD), "table")
    with pytest.raises(WrongState, match="deleted"), gateway.store.begin() as tx:
        publish(gateway, tx, record)
    with pytest.raises(NotFound):
        datasets.read(gateway, STEWARD, "table")


def test_an_attestation_finds_its_entry_behind_a_thousand_others(gateway: Gateway, clock: Clock) -> None:
    registered(gateway)
    clock.seconds = TICK_S
    tiny = meter.charge(budget=PrivacyBudget.spend(0.001, 1e-15), rdp=rdp(Gaussian(1e4), 9))
    with gateway.store.begin() as tx:
        for i in range(501):
            tx.ledger.reserve("people", f"gone-{i}", tiny, by="analyst")
            tx.ledger.void(f"gone-{i}", by="analyst", reason="cancelled")
    release = asked(gateway)
    with gateway.store.begin() as tx:
        tx.ledger.commit(release, by="gateway")
        assert [e.reservation for e in tx.ledger.entries("people") if e.kind == "commit"] == [release]


def test_equal_entries_have_unequal_digests(tmp_path: Path) -> None:
    digests = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        made = replace(compose(Settings(state=tmp_path / folder)), now=Clock())
        account = meter.new_account("people", PrivacyBudget.cap(3, 1e-6), sandbox=False, by="x", at=START)
        with made.store.begin() as tx:
            digests.add(tx.ledger.open(account, reason="opened").digest)
    assert len(digests) == 2


@pytest.mark.parametrize(("at", "tick"), [(0.0, 0.0), (0.001, 15.0), (14.999, 15.0), (15.0, 15.0), (15.001, 30.0)])
def test_the_next_tick(at: float, tick: float) -> None:
    moment = datetime.fromtimestamp(START.timestamp() + at, UTC)
    assert next_tick(moment, TICK_S).timestamp() - START.timestamp() == tick
