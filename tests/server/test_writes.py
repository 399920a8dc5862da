"""Rows that wait are sent before anything reads what they change, in few round trips, and refused where they belong."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from server.ledger.standing import Standing
from server.store import Store, Transaction
from server.store_sql import SqlStore
from server.writes import Writes
from synthgate.errors import AlreadyExists, InvalidArgument, RequestIdReused
from tests import postgres
from tests.server.catalog.records import dataset, release
from tests.server.stores import EPOCH, EPS1, account, ticking

DATABASES: dict[str, Callable[[Path], str | Path]] = {
    "sqlite": lambda folder: folder / "gateway.db",
    "postgresql": lambda _folder: postgres.database(),
}
TOGETHER = 8
TINY = replace(EPS1, epsilon=EPS1.epsilon // 1_000, rdp=1)


@pytest.fixture(params=DATABASES)
def sql(request: pytest.FixtureRequest, tmp_path: Path) -> SqlStore:
    made = SqlStore(DATABASES[request.param](tmp_path), clock=ticking())
    with made.begin() as tx:
        for name in ("people", "plants"):
            tx.ledger.open(account(name), reason="")
        tx.datasets.add(dataset())
    return made


def admitted(tx: Transaction, name: str, *, resource: str = "") -> str:
    """What admission writes, as `server.requests.create` does."""
    assert tx.requests.recall("analyst", "create", name, payload=name) is None
    tx.ledger.reserve("people", name, TINY, by="analyst")
    tx.releases.add(release(name))
    tx.requests.remember("analyst", "create", name, payload=name, resource=name)
    tx.audit.append(principal="analyst", action="create", resource=resource or name, detail={})
    return name


READS: dict[str, Callable[[Transaction], Any]] = {
    "entries": lambda tx: tx.ledger.entries("people")[-1].reservation,
    "reservation": lambda tx: tx.ledger.reservation("r1").id,
    "what a principal made": lambda tx: tx.ledger.made("analyst", since=EPOCH - timedelta(days=1))[-1].reservation,
    "release": lambda tx: tx.releases.get("r1").release.id,
    "releases": lambda tx: tx.releases.list()[-1].release.id,
    "audit": lambda tx: tx.audit.records()[-1].resource,
    "answer": lambda tx: tx.requests.recall("analyst", "create", "r1", payload="r1"),
}


@pytest.mark.parametrize("read", READS)
def test_a_transaction_reads_what_it_has_written(sql: SqlStore, read: str) -> None:
    with sql.begin() as tx:
        admitted(tx, "r1")
        assert READS[read](tx) == "r1"


def test_sums_count_what_waits(sql: SqlStore) -> None:
    with sql.begin() as tx:
        for number in range(3):
            admitted(tx, f"r{number}")
            assert tx.releases.verdicts("people") == number + 1
        tx.ledger.void("r1", by="analyst", reason="")
        assert tx.releases.verdicts("people") == 2
        assert tx.ledger.balance("people").reserved.epsilon == 2 * TINY.epsilon
        assert tx.ledger.accounts()[0].name == "people"
    with sql.begin() as tx:
        whole = Standing.of(tx.ledger.entries())
        assert {n: s.balance for n, s in whole.items()} == {n: tx.ledger.balance(n) for n in ("people", "plants")}


@pytest.mark.parametrize("twice", ["reservation", "release", "request"])
def test_names_that_wait_are_taken(sql: SqlStore, twice: str) -> None:
    with sql.begin() as tx:
        admitted(tx, "r1")
        verbs: dict[str, Callable[[], object]] = {
            "reservation": lambda: tx.ledger.reserve("people", "r1", TINY, by="analyst"),
            "release": lambda: tx.releases.add(release("r1")),
            "request": lambda: tx.requests.remember("analyst", "create", "r1", payload="other", resource="r2"),
        }
        with pytest.raises(AlreadyExists):
            verbs[twice]()
        with pytest.raises(RequestIdReused):
            tx.requests.recall("analyst", "create", "r1", payload="other")


def test_what_waits_is_gone_with_its_transaction(sql: SqlStore) -> None:
    with pytest.raises(InterruptedError), sql.begin() as tx:
        admitted(tx, "r1")
        raise InterruptedError
    with sql.begin() as tx:
        assert admitted(tx, "r1") == "r1"


def shared(store: Store, works: list[Callable[[Transaction], Any]]) -> list[Any]:
    """What came of each work, all of them in one transaction first."""
    found: list[Any] = [None] * len(works)

    def run(number: int) -> None:
        try:
            found[number] = store.together(works[number])
        except Exception as error:
            found[number] = error

    assert isinstance(store, SqlStore)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    with store._together._turn:
        for thread in threads:
            thread.start()
        while len(store._together._waiting) < len(works):
            threads[0].join(0.01)
    for thread in threads:
        thread.join(60)
    return found


def round_trips(sql: SqlStore, works: list[Callable[[Transaction], Any]]) -> int:
    """Statements that were sent; the rows of one statement count once."""
    sent: list[str] = []
    event.listen(sql._engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: sent.append(statement))
    found = shared(sql, works)
    assert found == [f"r{number}" for number in range(len(works))], found
    return len(sent)


def test_requests_that_share_a_commit_share_their_round_trips(sql: SqlStore) -> None:
    """Each asks three questions of its own (is its answer known, is its reservation, is its release); the rest is
    asked, and written, once."""
    works = [lambda tx, name=f"r{number}": admitted(tx, name) for number in range(TOGETHER)]
    assert round_trips(sql, works) <= 3 * TOGETHER + 12


def test_rows_sent_one_by_one_are_convicted(sql: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    later = Writes.later

    def at_once(self: Writes, *row: Any, **key: Any) -> None:
        later(self, *row, **key)
        self.send()

    monkeypatch.setattr(Writes, "later", at_once)
    works = [lambda tx, name=f"r{number}": admitted(tx, name) for number in range(TOGETHER)]
    assert round_trips(sql, works) > 3 * TOGETHER + 12


def test_a_row_that_cannot_be_stored_is_refused_alone(tmp_path: Path) -> None:
    """PostgreSQL takes no NUL in a text, and says so only when the row is sent."""
    store = SqlStore(postgres.database(), clock=ticking())
    with store.begin() as tx:
        tx.ledger.open(account(), reason="")
        tx.datasets.add(dataset())
    works: list[Callable[[Transaction], Any]] = [
        lambda tx: admitted(tx, "r0"), lambda tx: admitted(tx, "r1", resource="nul\0"), lambda tx: admitted(tx, "r2"),
    ]  # fmt: skip
    found = shared(store, works)
    assert found[0] == "r0" and found[2] == "r2"
    assert isinstance(found[1], InvalidArgument)
    with store.begin() as tx:
        assert {r.release.id for r in tx.releases.list()} == {"r0", "r2"}
