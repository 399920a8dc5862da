"""What only the SQL store promises: durability, files, versions, and a database that refuses to rewrite history."""

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from server.ledger import chain
from server.store_sql import SqlStore
from synthgate.errors import DataCorrupted, FailedPrecondition, InvalidArgument, Unavailable
from tests.server.ledger.client import SPILLED
from tests.server.stores import EPS1, account

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "gateway.db"
    store = SqlStore(made)
    with store.begin() as tx:
        tx.ledger.open(account(), reason="")
        tx.ledger.reserve("people", "first", EPS1, by="analyst")
        tx.audit.append(principal="analyst", action="reserve", resource="first", detail={})
        tx.requests.remember("analyst", "create", "first", payload="p", resource="first")
    store.close()
    return made


def child(verb: str, path: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.server.ledger.client", verb, str(path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_entries_outlive_the_store(path: Path) -> None:
    store = SqlStore(f"sqlite:///{path}")
    with store.begin() as tx:
        assert tx.ledger.balance("people").reserved == EPS1
        chain.verify(tx.ledger.entries())
    store.close()


def test_a_kill_in_the_middle_of_a_transaction_leaves_nothing(path: Path) -> None:
    size = path.stat().st_size
    with child("spill", path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        assert path.with_name("gateway.db-journal").stat().st_size > 0
        assert path.stat().st_size > size, "the transaction has reached the file: only the journal can undo it"
        process.kill()
    store = SqlStore(path)
    with store.begin() as tx:
        assert [e.reservation for e in tx.ledger.entries()] == ["", "first"]
        assert len(tx.audit.records(limit=SPILLED)) == 1
        assert tx.requests.recall("analyst", "create", "spilled", payload="p") is None
        tx.ledger.reserve("people", "spilled", EPS1, by="analyst")
    store.close()


@pytest.mark.parametrize("acknowledged", [1, 5, 12])
def test_a_kill_between_commits_keeps_what_was_acknowledged_and_no_half(path: Path, acknowledged: int) -> None:
    with child("stream", path) as process:
        assert process.stdout is not None
        for _ in range(acknowledged):
            process.stdout.readline()
        process.kill()
        last = acknowledged - 1 + len(process.stdout.read().split("\n")[:-1])
    store = SqlStore(path)
    with store.begin() as tx:
        entries, records = tx.ledger.entries()[2:], tx.audit.records()[1:]
        answered = [tx.requests.recall("analyst", "create", e.reservation, payload="p") for e in entries]
        assert tx.requests.recall("analyst", "create", f"r{len(entries)}", payload="p") is None
        chain.verify(tx.ledger.entries())
        chain.verify(tx.audit.records())
    store.close()
    assert last + 1 <= len(entries) <= last + 2
    assert [e.reservation for e in entries] == [r.resource for r in records] == answered


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_connection_is_durable_and_checks_keys(path: Path) -> None:
    store = SqlStore(path)
    with store._engine.begin() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")
        }
    store.close()
    assert found == {
        "journal_mode": "delete", "synchronous": 3, "foreign_keys": 1, "recursive_triggers": 1, "busy_timeout": 30_000,
    }  # fmt: skip


REWRITES = {
    "update an entry": "UPDATE entries SET charge_rdp = 1 WHERE sequence = 2",
    "delete an entry": "DELETE FROM entries WHERE sequence = 2",
    "replace an entry": "INSERT OR REPLACE INTO entries SELECT * FROM entries WHERE sequence = 2",
    "fork the chain": "INSERT INTO entries SELECT 9, account, kind, principal, reason, at, previous, 'd', 'r9', "
    "charge_epsilon, charge_delta, charge_rdp, cap_epsilon, cap_delta, rdp_order, capacity, sandbox, "
    "verdicts_granted, salt FROM entries WHERE sequence = 2",
    "reserve an id again": "INSERT INTO entries SELECT 3, account, kind, principal, reason, at, digest, 'd', "
    "reservation, charge_epsilon, charge_delta, charge_rdp, cap_epsilon, cap_delta, rdp_order, capacity, sandbox, "
    "verdicts_granted, salt FROM entries WHERE sequence = 2",
    "open an account again": "INSERT INTO entries SELECT 3, account, kind, principal, reason, at, (SELECT digest FROM "
    "entries WHERE sequence = 2), 'd', reservation, charge_epsilon, charge_delta, charge_rdp, cap_epsilon, cap_delta, "
    "rdp_order, capacity, sandbox, verdicts_granted, salt FROM entries WHERE sequence = 1",
    "update the audit log": "UPDATE audit SET principal = 'nobody'",
    "delete the audit log": "DELETE FROM audit",
    "update an answer": "UPDATE requests SET resource = 'other'",
    "delete an answer": "DELETE FROM requests",
    "a text for an amount": "INSERT INTO entries SELECT 3, account, kind, principal, reason, at, digest, 'd', 'r9', "
    "'much', charge_delta, charge_rdp, cap_epsilon, cap_delta, rdp_order, capacity, sandbox, verdicts_granted, "
    "salt FROM entries WHERE sequence = 2",
}


@pytest.mark.parametrize("name", REWRITES)
def test_the_database_refuses_to_rewrite_history(path: Path, name: str) -> None:
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(REWRITES[name])
    connection.close()


def test_a_release_needs_its_dataset(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA foreign_keys=ON")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO releases VALUES (1, 'r', 'nowhere', 'people', 'PENDING', '{}')")
    connection.close()


def test_a_newer_database_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(FailedPrecondition, match=r"revision 9999 .* knows them up to"):
        SqlStore(path)


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE things (x)")
    connection.close()
    with pytest.raises(FailedPrecondition, match="not a gateway's"):
        SqlStore(tmp_path / "other.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("a diary, and no database " * 100)
    with pytest.raises(DataCorrupted):
        SqlStore(tmp_path / "x.db")


@pytest.mark.parametrize(
    "place", ["mysql://host/db", "postgresql://host", "sqlite://", "sqlite:///:memory:", "what://", ":memory:", ""]
)
def test_other_places_are_refused(place: str) -> None:
    with pytest.raises(InvalidArgument):
        SqlStore(place)


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        SqlStore(tmp_path / "nowhere" / "gateway.db")


def test_a_locked_database_is_unavailable_after_the_timeout(path: Path) -> None:
    holder, waiter = SqlStore(path), SqlStore(path, timeout_s=0.1)
    with holder.begin(), pytest.raises(Unavailable), waiter.begin():
        pass
    with waiter.begin() as tx:
        assert tx.ledger.reservation("first")
    holder.close()
    waiter.close()
