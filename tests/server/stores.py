"""What the suites of the stores share: the stores under test, a clock that ticks, accounts and charges."""

import itertools
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.ledger import meter
from server.store import Store
from server.store_memory import MemoryStore
from server.store_sql import SqlStore
from synthgate.budget import PrivacyBudget
from synthgate.ledger import Account, Charge
from tests import postgres

IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""The folder for SQLite's files where no test cuts the power: on a disk each commit waits for it."""
EPOCH = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MAKERS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda folder: MemoryStore(clock=ticking()),
    "sqlite": lambda folder: SqlStore(folder / "gateway.db", clock=ticking()),
    "postgresql": lambda _folder: SqlStore(postgres.database(), clock=ticking()),
}


def ticking() -> Callable[[], datetime]:
    """A clock that advances by a second a reading: two stores that do the same write the same times."""
    seconds = itertools.count()
    return lambda: EPOCH + timedelta(seconds=next(seconds))


def account(name: str = "people", *, epsilon: float = 3.0, delta: float = 1e-6, sandbox: bool = False) -> Account:
    return meter.new_account(name, PrivacyBudget.cap(epsilon, delta), sandbox=sandbox, by="officer", at=EPOCH)


def gaussian(sigma: float, *, epsilon: float, delta: float = 5e-8, order: int = 9) -> Charge:
    """A continuous Gaussian of noise multiplier ``sigma``: alpha / (2 sigma^2) at order alpha (Mironov 2017)."""
    return meter.charge(budget=PrivacyBudget.spend(epsilon, delta), rdp=order / (2 * sigma**2))


EPS1 = gaussian(4.809, epsilon=1.0)
EPS3 = gaussian(1.727, epsilon=3.0)
