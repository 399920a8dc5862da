"""The state folders that lives begin with."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from server import accounts, checkpoints, ingestion
from server.gateway import Gateway
from server.identity import provision
from synthgate.domain import UNIT_COLUMN
from synthgate.policy import COPIES, Policy, Rule, VerdictKind
from tests.server.composed import STEWARD, call, leased, registered
from tests.server.crash import deeds
from tests.server.crash.lives import ROWS, SIZES, Jobs, composed
from tests.server.crash.strikes import Life, Log, Strike
from tests.server.several import TINY

TRAINED = 800
AWAITING = ("awaiting", "approved", "refused", "overdue")
"""The scenarios whose policy asks for an officer."""


def kind(scenario: str) -> str:
    """The scenario whose state folder another one begins with."""
    if scenario in AWAITING:
        return "awaiting"
    return scenario if scenario in deeds.LOOKS or scenario == "provisioned" else "released"


def prepare(state: Path, *, scenario: str = "released") -> None:
    """A state folder with an account and a dataset that is READY, its rows on disk."""
    state.mkdir(parents=True)
    gateway, _ = composed(state)
    provision(gateway.store, gateway.settings.tokens)
    accounts.open_account(gateway, call(STEWARD), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
    policy = Policy(
        name="crash", epsilon_max=3.0, certified_only=True, verdicts_max=100, rules=(Rule(score=COPIES, at_most=0.5),),
        approvals=1 if scenario in AWAITING else 0, verdict=VerdictKind.EXACT,
    )  # fmt: skip
    registered(gateway, policy=policy, sizes=SIZES)
    if scenario in deeds.UPLOADS:
        _prepare_uploads(gateway, state, scenario)
    checkpoints.take(gateway)
    if scenario == "restored":
        _prepare_restored(gateway, state)
    gateway.store.close()
    if scenario == "provisioned":
        (gateway.settings.tokens / "analyst").unlink()
    write_rows(state, seed=1)


def _prepare_uploads(gateway: Gateway, state: Path, scenario: str) -> None:
    """A dataset to be uploaded; where it is to wait, the same people in another account before."""
    deeds.declare(gateway, deeds.UPLOADED, deeds.NEW)
    if scenario in ("linked", "distinct"):
        deeds.declare(gateway, deeds.FIRST, deeds.OLD)
        deeds.upload(gateway, deeds.FIRST)
        life, log = Life(state=str(state)), Log(state)
        job = ingestion.ingest_job(deeds.FIRST)
        leased(gateway, job)
        ingestion.ingest(replace(gateway, job=Jobs(life, log, Strike(life, log), state)), deeds.FIRST)
        gateway.leases.release(gateway.store, job)


def _prepare_restored(gateway: Gateway, state: Path) -> None:
    """A database put back from a backup that was made before a charge."""
    database = state / "gateway.db"
    backup = Path(shutil.copy(database, state.with_name("backup.db")))
    with gateway.store.begin() as tx:
        tx.ledger.reserve("people", "lost", TINY, by="analyst")
        tx.ledger.commit("lost", by="gateway")
    checkpoints.take(gateway)
    gateway.store.close()
    backup.replace(database)


def write_rows(state: Path, *, seed: int) -> None:
    """The private rows of the dataset, other ones for each seed."""
    draw, folder = np.random.default_rng(seed), state / "rows" / "table"
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", TRAINED), ("holdout", ROWS - TRAINED)):
        table = {
            "age": pa.array(draw.integers(0, 100, rows), pa.int64()),
            "sex": pa.array(draw.choice(["f", "m"], rows, p=[0.7, 0.3]), pa.string()),
            "ill": pa.array(draw.random(rows) < 0.1 * seed, pa.bool_()),
            UNIT_COLUMN: pa.array(range(rows), pa.int64()),
        }
        pq.write_table(pa.table(table), folder / f"{part}.parquet")
