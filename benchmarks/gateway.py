"""A gateway under load: watchers who wait, and requests that are admitted, on SQLite and on PostgreSQL in turn.

    .venv/bin/python benchmarks/gateway.py                  # 1,000 watchers, 200 creates a second, 60 s, both databases
    .venv/bin/python benchmarks/gateway.py --seconds 10 --databases sqlite

Real gRPC against ``python -m server`` in a process of its own. The queue is paused (``SYNTHGATE_JOBS=0``), and every
request asks for the same plan, so what is measured is admission: one transaction that reserves the charge, writes the
catalog and the audit log, and keeps the answer. Requests are sent at fixed times whether or not earlier ones have been
answered, and a latency runs from the time at which a request was due. The clients share the machine with the gateway.

Ends with one line of JSON: ``errors`` (sum), ``p99_ms`` (worst), ``creates_per_s`` and ``commits_per_s`` (lowest), and
the same four for each database. A commit here is a durable transaction: an entry of the ledger that the database has.
"""

import argparse
import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthgate import Client
from synthgate.dataset import PrivacyUnit, PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.policy import COPIES, Policy, Rule, VerdictKind
from synthgate.schema import Declaration
from synthgate.v1 import release_service_pb2 as pb
from synthgate.v1.release_service_pb2_grpc import ReleaseServiceStub

HERE = Path(__file__).parent
ROWS, EPSILON, DELTA = 1_500, 0.001, 1e-10
WATCHED = 50
"""Releases that the watchers share."""
DOMAIN = Domain(
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=0, high=99),
        Column(name="region", kind=Kind.CATEGORICAL, categories=("north", "east", "south", "west")),
    )
)
POLICY = Policy(
    name="load", verdict=VerdictKind.EXACT, epsilon_max=3.0, certified_only=True, verdicts_max=3, approvals=0,
    rules=(Rule(score=COPIES, at_most=0.5),),
)  # fmt: skip


@contextmanager
def postgresql() -> Iterator[str]:
    """A private cluster on a socket, with the defaults that decide durability; its URL."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="load-", dir="/tmp"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_user = [shutil.which("runuser") or "/usr/sbin/runuser", "-u", "postgres", "--"]
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w", "-s"]
    make = [
        *as_user,
        str(programs / "initdb"),
        "-D",
        str(folder / "data"),
        "-U",
        "gateway",
        "-A",
        "trust",
        "-E",
        "UTF8",
    ]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    options = f"-c listen_addresses='' -k {folder}"
    subprocess.run([*control, "-l", str(folder / "log"), "-o", options, "start"], check=True, cwd=folder)
    try:
        yield f"postgresql://gateway@/postgres?host={folder}"
    finally:
        subprocess.run([*control, "-m", "fast", "stop"], check=True, cwd=folder)
        shutil.rmtree(folder)


@contextmanager
def served(state: Path, url: str, *, jobs: int) -> Iterator[str]:
    """A gateway in a process of its own; its address."""
    environment = os.environ | {"SYNTHGATE_JOBS": str(jobs), "SYNTHGATE_DATABASE_URL": url}
    with (state.parent / "gateway.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "--state", str(state)], env=environment, stdout=subprocess.PIPE,
            stderr=log, cwd=HERE.parent, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        if not first.startswith("listening on "):
            raise SystemExit(f"the gateway did not start; see {state.parent / 'gateway.log'}")
        yield first.removeprefix("listening on ").strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def prepare(state: Path) -> None:
    """One dataset on one account that admits every request of the load."""
    file = state.with_suffix(".parquet")
    rng = np.random.default_rng(0)
    region = np.asarray(DOMAIN.columns[1].categories)[rng.integers(0, 4, ROWS)]
    pq.write_table(pa.table({"age": rng.integers(0, 100, ROWS), "region": region}), file)
    with Client.from_state(state, "steward") as steward, Client.from_state(state, "officer") as officer:
        steward.open_account("load", epsilon=100.0, delta=1e-4)
        officer.amend_account("load", verdicts_granted=1_000_000, reason="a measurement")
        sizes = PublicSizes(rows=ROWS, units=ROWS)
        declared = Declaration(domain=DOMAIN, unit=PrivacyUnit(), sizes=sizes)
        steward.create_dataset("load", declared, account="load", policy=POLICY)
        steward.upload("load", file)
        steward.wait_ready("load")


async def load(address: str, state: Path, *, watchers: int, rate: float, seconds: float) -> dict[str, float]:
    """Watch and create for ``seconds``."""
    token = (state / "tokens" / "analyst").read_text()
    metadata = (("authorization", f"Bearer {token}"),)
    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(4)]
    stubs = itertools.cycle([ReleaseServiceStub(channel) for channel in channels])
    errors, latencies, numbers = [0], [], itertools.count()

    async def create(due: float) -> str:
        request = pb.CreateReleaseRequest(
            dataset="load", engine="independent", epsilon=EPSILON, delta=DELTA, request_id=f"load-{next(numbers)}"
        )
        try:
            answer = await next(stubs).CreateRelease(request, metadata=metadata, timeout=30)
        except grpc.RpcError:
            errors[0] += 1
            return ""
        latencies.append(time.perf_counter() - due)
        return str(answer.release.id)

    watched = [await create(time.perf_counter()) for _ in range(WATCHED)]
    seen = asyncio.Semaphore(0)

    async def watch(release: str) -> None:
        try:
            async for _ in next(stubs).WatchRelease(pb.WatchReleaseRequest(id=release), metadata=metadata):
                seen.release()
        except grpc.RpcError:
            errors[0] += 1

    waiting = [asyncio.create_task(watch(watched[i % WATCHED])) for i in range(watchers)]
    for _ in range(watchers):
        await asyncio.wait_for(seen.acquire(), 60)
    latencies.clear()
    start = time.perf_counter()
    asked = []
    for number in range(int(rate * seconds)):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(create(due)))
    await asyncio.gather(*asked)
    elapsed = time.perf_counter() - start
    ended = sum(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    for channel in channels:
        await channel.close()
    quantiles = np.quantile(latencies, [0.5, 0.99]) * 1_000
    return {
        "errors": errors[0] + ended, "p50_ms": round(float(quantiles[0]), 1), "p99_ms": round(float(quantiles[1]), 1),
        "creates_per_s": round(len(latencies) / elapsed, 1), "elapsed_s": round(elapsed, 1),
    }  # fmt: skip


def measure(database: str, url: str, options: argparse.Namespace) -> dict[str, Any]:
    """One database: prepare with the queue running, measure with it paused, count what is durable."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as name:
        state = Path(name) / "state"
        with served(state, url, jobs=1):
            prepare(state)
        with served(state, url, jobs=0) as address:
            before = len(entries(state))
            found = asyncio.run(
                load(address, state, watchers=options.watchers, rate=options.rate, seconds=options.seconds)
            )
            durable = len(entries(state)) - before - WATCHED
        found["commits_per_s"] = round(durable / found["elapsed_s"], 1)
        print(f"{database}: {json.dumps(found)}", flush=True)
        return found


def entries(state: Path) -> list[Any]:
    """The ledger's entries of the account."""
    with Client.from_state(state, "auditor") as auditor:
        return list(auditor.entries("load"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=1_000, help="streams that wait (default 1,000)")
    parser.add_argument("--rate", type=float, default=200.0, help="creates a second (default 200)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    options = parser.parse_args()
    found = {}
    for database in options.databases:
        if database == "sqlite":
            found[database] = measure(database, "", options)
        else:
            with postgresql() as url:
                found[database] = measure(database, url, options)
    summary = {
        "errors": sum(f["errors"] for f in found.values()),
        "p99_ms": max(f["p99_ms"] for f in found.values()),
        "creates_per_s": min(f["creates_per_s"] for f in found.values()),
        "commits_per_s": min(f["commits_per_s"] for f in found.values()),
    }
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "gateway.json").write_text(json.dumps(summary | found, indent=1) + "\n")
    print(json.dumps(summary | found))


if __name__ == "__main__":
    main()
