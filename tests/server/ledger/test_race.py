"""64 clients in 8 processes ask one database for a budget that admits exactly k of them."""

import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest

from server.ledger import chain
from server.store_sql import SqlStore
from synthgate.ledger import Account, Balance, Charge, Entry
from tests import postgres
from tests.server.stores import IN_MEMORY, account

ROOT = Path(__file__).parents[3]
PROCESSES, THREADS = 8, 8
TIMES, SOAK_TIMES = 20, 60


def on_meter_a(people: Account, k: int) -> Charge:
    """Opaque: k of them fit under the cap's epsilon, and meter B is closed."""
    return Charge(epsilon=people.cap.epsilon_units // k if k else people.cap.epsilon_units + 1, delta=1, rdp=None)


def on_meter_b(people: Account, k: int) -> Charge:
    """k of them fit under K; meter A would admit a single one, or none where k is 0."""
    if k == 0:
        return Charge(epsilon=people.cap.epsilon_units + 1, delta=1, rdp=people.capacity + 1)
    return Charge(epsilon=people.cap.epsilon_units, delta=1, rdp=people.capacity // k)


class Crew:
    """Eight processes over one database that race again and again, each race for an account of its own."""

    def __init__(self, place: str) -> None:
        self.database = "PostgreSQL" if place.startswith("postgresql") else "SQLite"
        self.store = SqlStore(place)
        self.book: list[Entry] = []
        self.children = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.server.ledger.client", "race", place, str(THREADS), f"p{i}"],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for i in range(PROCESSES)
        ]  # fmt: skip

    def tell(self, line: str) -> None:
        for child in self.children:
            assert child.stdin is not None
            child.stdin.write(f"{line}\n")
            child.stdin.flush()

    def hear(self) -> list[str]:
        return [child.stdout.readline().strip() for child in self.children if child.stdout is not None]

    def race(self, charge: Charge, kind: str = "sound") -> tuple[int, list[Entry], Balance]:
        """How many were told that they are admitted, and what the book of a new account says after it."""
        name = f"people-{secrets.token_hex(4)}"
        with self.store.begin() as tx:
            tx.ledger.open(account(name), reason="")
        self.tell(f"{kind} {name} {json.dumps(asdict(charge))}")
        assert self.hear() == ["ready"] * PROCESSES
        self.tell("go")
        admitted = sum(map(int, self.hear()))
        with self.store.begin() as tx:
            new, balance = tx.ledger.entries(after=len(self.book)), tx.ledger.balance(name)
        chain.verify(new, after=self.book[-1] if self.book else None)
        self.book += new
        return admitted, [entry for entry in new if entry.account == name], balance

    def close(self) -> None:
        """Let every process come to its end, and read the whole book once more."""
        with ExitStack() as stack:
            for child in self.children:
                stack.enter_context(child)
            for child in self.children:
                child.communicate(timeout=60)
        with self.store.begin() as tx:
            assert list(tx.ledger.entries()) == self.book
        self.store.close()
        assert [child.returncode for child in self.children] == [0] * PROCESSES


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crew(request: pytest.FixtureRequest) -> Iterator[Crew]:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        made = Crew(f"{folder}/gateway.db" if request.param == "sqlite" else postgres.database())
        yield made
        made.close()


@pytest.mark.guarantee("cap")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("times", [TIMES, pytest.param(SOAK_TIMES, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("k", "charge"), [(0, on_meter_b), (1, on_meter_a), (7, on_meter_b), (37, on_meter_a), (64, on_meter_b)]
)
def test_exactly_k_of_64_clients_are_admitted(crew: Crew, k: int, charge, times: int, record_property) -> None:  # type: ignore[no-untyped-def]
    for _ in range(times):
        admitted, entries, balance = crew.race(charge(account(), k))
        assert (admitted, len(entries), balance.holds) == (k, 1 + k, True)
    record_property("reached", f"64 clients in 8 processes on {crew.database}: exactly k = {k} admitted, {times} times")


@pytest.mark.guarantee("cap")
@pytest.mark.parametrize("kind", ["deducts-afterwards", "forgets-reserved"])
def test_the_race_convicts_a_planted_fault(crew: Crew, kind: str) -> None:
    admitted, _, balance = crew.race(on_meter_b(account(), 7), kind)
    assert admitted > 7
    assert not balance.holds
