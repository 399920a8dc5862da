"""64 clients in 8 processes ask one SQLite file for a budget that admits exactly k of them."""

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from server.ledger import chain
from server.store_sql import SqlStore
from synthgate.ledger import Account, Charge
from tests.server.stores import account

ROOT = Path(__file__).parents[3]
PROCESSES, THREADS = 8, 8


def on_meter_a(people: Account, k: int) -> Charge:
    """Opaque: k of them fit under the cap's epsilon, and meter B is closed."""
    return Charge(epsilon=people.cap.epsilon_units // k, delta=1, rdp=None)


def on_meter_b(people: Account, k: int) -> Charge:
    """k of them fit under K; meter A would admit a single one."""
    return Charge(epsilon=people.cap.epsilon_units, delta=1, rdp=people.capacity // k)


def run_race(path: Path, kind: str, charge: Charge) -> int:
    """How many were told that they are admitted."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.server.ledger.client", "race", str(path), kind, str(THREADS), f"p{i}",
                     json.dumps(asdict(charge))],
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "gateway.db"
    store = SqlStore(made)
    with store.begin() as tx:
        tx.ledger.open(account(), reason="")
    store.close()
    return made


@pytest.mark.parametrize(("k", "charge"), [(7, on_meter_b), (37, on_meter_a)])
def test_exactly_k_of_64_clients_are_admitted(path: Path, k: int, charge) -> None:  # type: ignore[no-untyped-def]
    assert run_race(path, "sound", charge(account(), k)) == k
    store = SqlStore(path)
    with store.begin() as tx:
        entries = tx.ledger.entries()
        assert tx.ledger.balance("people").holds
    store.close()
    assert len(entries) == 1 + k
    chain.verify(entries)


@pytest.mark.parametrize("kind", ["deducts-afterwards", "forgets-reserved"])
def test_the_race_convicts_a_planted_fault(path: Path, kind: str) -> None:
    assert run_race(path, kind, on_meter_b(account(), 7)) > 7
    store = SqlStore(path)
    with store.begin() as tx:
        assert not tx.ledger.balance("people").holds
    store.close()
