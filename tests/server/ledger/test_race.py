"""64 clients in 8 processes ask one database for a budget that admits exactly k of them."""

import json
import secrets
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from server.ledger import chain
from server.store_sql import SqlStore
from synthgate.ledger import Account, Balance, Charge, Entry
from tests import postgres
from tests.server.stores import account

ROOT = Path(__file__).parents[3]
PROCESSES, THREADS = 8, 8


def on_meter_a(people: Account, k: int) -> Charge:
    """Opaque: k of them fit under the cap's epsilon, and meter B is closed."""
    return Charge(epsilon=people.cap.epsilon_units // k if k else people.cap.epsilon_units + 1, delta=1, rdp=None)


def on_meter_b(people: Account, k: int) -> Charge:
    """k of them fit under K; meter A would admit a single one, or none where k is 0."""
    if k == 0:
        return Charge(epsilon=people.cap.epsilon_units + 1, delta=1, rdp=people.capacity + 1)
    return Charge(epsilon=people.cap.epsilon_units, delta=1, rdp=people.capacity // k)


def run_race(place: str, kind: str, name: str, charge: Charge) -> int:
    """How many were told that they are admitted."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.server.ledger.client", "race", place, kind, str(THREADS), f"p{i}",
                     name, json.dumps(asdict(charge))],
                    cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for i in range(PROCESSES)
        ]  # fmt: skip
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        admitted = sum(int(child.communicate(timeout=120)[0]) for child in children)
        assert [child.returncode for child in children] == [0] * PROCESSES
    return admitted


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "gateway.db") if request.param == "sqlite" else postgres.database()


def raced(place: str, kind: str, charge: Charge) -> tuple[int, tuple[Entry, ...], Balance]:
    """How many were told that they are admitted, and what the book of a new account says after it."""
    name = f"people-{secrets.token_hex(4)}"
    store = SqlStore(place)
    with store.begin() as tx:
        tx.ledger.open(account(name), reason="")
    admitted = run_race(place, kind, name, charge)
    with store.begin() as tx:
        chain.verify(tx.ledger.entries())
        entries, balance = tx.ledger.entries(name), tx.ledger.balance(name)
    store.close()
    return admitted, entries, balance


@pytest.mark.guarantee("cap")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("k", "charge"), [(0, on_meter_b), (1, on_meter_a), (7, on_meter_b), (37, on_meter_a), (64, on_meter_b)]
)
def test_exactly_k_of_64_clients_are_admitted(place: str, k: int, charge, times: int, record_property) -> None:  # type: ignore[no-untyped-def]
    for _ in range(times):
        admitted, entries, balance = raced(place, "sound", charge(account(), k))
        assert (admitted, len(entries), balance.holds) == (k, 1 + k, True)
    database = "PostgreSQL" if place.startswith("postgresql") else "SQLite"
    record_property("reached", f"64 clients in 8 processes on {database}: exactly k = {k} admitted, {times} times")


@pytest.mark.guarantee("cap")
@pytest.mark.parametrize("kind", ["deducts-afterwards", "forgets-reserved"])
def test_the_race_convicts_a_planted_fault(tmp_path: Path, kind: str) -> None:
    admitted, _, balance = raced(str(tmp_path / "gateway.db"), kind, on_meter_b(account(), 7))
    assert admitted > 7
    assert not balance.holds
