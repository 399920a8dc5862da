"""Migrations: a new database, one of the version before there were any, and the refusals that both databases keep."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from server import migrations
from server.databases import connect
from server.ledger.standing import Standing
from server.preflight import check
from server.store_sql import SqlStore
from server.tables import metadata
from synthgate.errors import DataCorrupted, NotFound, Unavailable
from synthgate.ledger import ReservationState
from tests import postgres
from tests.server.ledger.test_sql import REWRITES
from tests.server.stores import EPS1, account

PLACES: dict[str, Callable[[Path], str]] = {
    "sqlite": lambda folder: str(folder / "gateway.db"),
    "postgresql": lambda _folder: postgres.database(),
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return PLACES[request.param](tmp_path)


def filled(place: str) -> SqlStore:
    store = SqlStore(place)
    with store.begin() as tx:
        tx.ledger.open(account(), reason="")
        for name in ("kept", "voided", "waiting"):
            tx.ledger.reserve("people", name, EPS1, by="analyst")
        tx.ledger.commit("kept", by="gateway")
        tx.ledger.void("voided", by="analyst", reason="")
        tx.audit.append(principal="analyst", action="reserve", resource="kept", detail={})
        tx.requests.remember("analyst", "create", "kept", payload="p", resource="kept")
    return store


def test_the_revisions_lead_to_the_tables_of_this_version(place: str) -> None:
    SqlStore(place).close()
    engine = connect(place, timeout_s=5)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert context.get_current_revision() == migrations.REVISION
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_database_of_before_migrations_is_taken_over_with_its_sums(place: str) -> None:
    store = filled(place)
    with store.begin() as tx:
        entries, balance = tx.ledger.entries(), tx.ledger.balance("people")
    store.close()
    engine = connect(place, timeout_s=5)
    with engine.begin() as connection:
        for statement in (
            "DROP TABLE balances", "DROP TABLE leases", "DROP TABLE accounted", "DROP INDEX reserved_by",
            "DROP TABLE alembic_version",
            "CREATE TABLE schema_version (version INTEGER)", "INSERT INTO schema_version VALUES (1)",
        ):  # fmt: skip
            connection.execute(text(statement))
    engine.dispose()
    store = SqlStore(place)
    with store.begin() as tx:
        assert tx.ledger.entries() == entries
        assert tx.ledger.balance("people") == balance == Standing.of(entries)["people"].balance
        assert (tx.releases.verdicts("people"), tx.releases.verdicts("nobody")) == (2, 0)
        assert tx.requests.recall("analyst", "create", "kept", payload="p") == "kept"
    store.close()


REFUSED = {
    name: rewrite for name, rewrite in REWRITES.items() if name not in ("replace an entry", "a text for an amount")
}
"""All but what the languages of the two databases say differently."""


@pytest.mark.parametrize("name", REFUSED)
def test_the_database_refuses_to_rewrite_history(place: str, name: str) -> None:
    filled(place).close()
    engine = connect(place, timeout_s=5)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(REFUSED[name]))
    engine.dispose()


def test_postgresql_refuses_to_empty_a_table() -> None:
    place = postgres.database()
    filled(place).close()
    engine = connect(place, timeout_s=5)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("TRUNCATE entries"))
    engine.dispose()


def test_several_gateways_may_open_a_new_database_at_once(place: str) -> None:
    opened: list[SqlStore] = []
    threads = [threading.Thread(target=lambda: opened.append(SqlStore(place))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 8
    for store in opened:
        with store.begin() as tx, pytest.raises(NotFound):
            tx.ledger.balance("people")
        store.close()


OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def test_a_session_that_the_database_ends_is_unavailable_and_writes_nothing() -> None:
    """As it ends one that is frozen inside a transaction, so that others get the writers' lock."""
    place = postgres.database()
    store = filled(place)
    with store._engine.begin() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "30s"
    with pytest.raises(Unavailable), store.begin() as tx:
        with psycopg.connect(place, autocommit=True) as other:
            other.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")
        tx.ledger.void("waiting", by="analyst", reason="")
    with store.begin() as tx:
        assert tx.ledger.reservation("waiting").state is ReservationState.RESERVED
    store.close()


def test_sums_that_the_entries_do_not_give_are_found(tmp_path: Path) -> None:
    """The sums are no second truth: whoever edits them is convicted by the entries."""
    path = tmp_path / "gateway.db"
    store = filled(str(path))
    check(store)
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE balances SET reserved_rdp = '0'")
    connection.commit()
    connection.close()
    store = SqlStore(path)
    with pytest.raises(DataCorrupted, match="people"):
        check(store)
    store.close()
