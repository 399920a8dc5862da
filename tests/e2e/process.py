"""A gateway in a process of its own, started as an operator starts it, with the tests' plug-in on its path."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import psutil
import pyarrow.parquet as pq

from server.config import BUILT_IN_ENGINES
from synthgate import Client
from synthgate.client.faults import error_of
from synthgate.ledger import PPM, AccountView
from synthgate.policy import Policy
from synthgate.release import Release, ReleaseState
from synthgate.v1 import (
    audit_service_pb2_grpc,
    dataset_service_pb2_grpc,
    ledger_service_pb2_grpc,
    release_service_pb2_grpc,
)
from tests.e2e.people import LENIENT, declaration, people

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests" / "plugins" / "copycat"
CERTIFIED = (
    *BUILT_IN_ENGINES, "copycat-all", "copycat-tenth", "fresh", "renamed", "undeclared", "short", "swerving",
    "stalling", "talkative", "bursting", "overspending", "discounting", "resizing",
)  # fmt: skip
ROLES = ("steward", "analyst", "officer", "auditor")
SECOND = "second-officer"
TICK_S = 0.2
WORDS = "Mrs Private"
"""What an engine or a cell says that nobody may ever be told."""
FRESH_SEED = 2


def install(folder: Path) -> Path:
    """Install the plug-in as an installer does, into a folder of its own: the module and its metadata."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    metadata = folder / f"{project['name']}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (group,) = project["entry-points"]
    lines = [f"{name} = {value}" for name, value in project["entry-points"][group].items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
    shutil.copy(PLUGIN / "copycat.py", folder)
    pq.write_table(people(6_000, seed=FRESH_SEED), folder / "fresh.parquet")
    return folder


def environment(plugin: Path) -> dict[str, str]:
    """What a gateway of the tests finds in its environment."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SYNTHGATE_")},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(plugin)]),
        "SYNTHGATE_VERDICTS_PER_ACCOUNT": "100",
        "SYNTHGATE_CERTIFIED_ENGINES": json.dumps(CERTIFIED),
        "SYNTHGATE_PRINCIPALS": json.dumps({role: role for role in ROLES} | {SECOND: "officer"}),
    }


def arguments(state: Path) -> list[str]:
    return ["--state", str(state), "--verdict-tick-s", str(TICK_S)]


def start(state: Path, plugin: Path, *, log: Path) -> "subprocess.Popen[str]":
    """Start ``python -m server`` without waiting for it."""
    with log.open("a") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "server", *arguments(state)],
            stdout=subprocess.PIPE, stderr=stderr, env=environment(plugin), cwd=ROOT, text=True,
        )  # fmt: skip


class Served:
    """A running gateway and what tests do with it. Every dataset that is made here has an account of its own."""

    def __init__(self, state: Path, plugin: Path, *, start: Callable[..., Any] = start) -> None:
        self.state, self.plugin, self.start = state, plugin, start
        self.log = state.with_name(state.name + ".log")
        self.process = start(state, plugin, log=self.log)
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        if not first.startswith("listening on "):
            raise RuntimeError(self.log.read_text()[-4_000:])
        self.address = first.removeprefix("listening on ").strip()
        self.fingerprint = self.process.stdout.readline().removeprefix("key ").strip()
        self.steward, self.analyst, self.officer, self.auditor = (Client.from_state(state, role) for role in ROLES)
        self.channel = grpc.insecure_channel(self.address)
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(self.channel)
        self.releases = release_service_pb2_grpc.ReleaseServiceStub(self.channel)
        self.audit = audit_service_pb2_grpc.AuditServiceStub(self.channel)
        self.ledger = ledger_service_pb2_grpc.LedgerServiceStub(self.channel)

    def token(self, role: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {(self.state / 'tokens' / role).read_text()}"),)

    def fault(self, method, request, role="steward", metadata=None):
        """The error that a raw call ends with, as the client reads it; None where it succeeds."""
        try:
            answer = method(request, metadata=metadata if metadata is not None else self.token(role), timeout=30)
            if hasattr(answer, "__next__"):
                for _ in answer:
                    pass
        except grpc.RpcError as failure:
            return error_of(failure)
        return None

    def dataset(
        self, name: str, *, rows: int = 1_500, policy: Policy | None = LENIENT, sandbox: bool = False, cap: float = 3.0
    ) -> str:
        """Open an account and register, upload and ingest ``rows`` people under one name."""
        self.dataset_later(name, rows=rows, policy=policy, sandbox=sandbox, cap=cap)
        self.steward.wait_ready(name)
        return name

    def dataset_later(
        self, name: str, *, rows: int, policy: Policy | None = LENIENT, sandbox: bool = False, cap: float = 3.0
    ) -> str:
        """The same without waiting for ingest."""
        self.steward.open_account(name, epsilon=cap, delta=1e-6, sandbox=sandbox)
        self.steward.create_dataset(name, declaration(rows), account=name, policy=policy)
        file = self.state.with_name(f"{name}.parquet")
        pq.write_table(people(rows, seed=zlib.crc32(name.encode())), file)  # nobody is in two accounts
        self.steward.upload(name, file)
        return name

    def until(self, release: Release, *states: ReleaseState | str, client: Client | None = None) -> Release:
        """The release once it is in one of ``states`` (or at one of these stages), as the steward sees it."""
        for seen in (client or self.steward).watch(release.id, timeout_s=200):
            if seen.state in states or seen.stage in states:
                return seen
        return seen

    def approve(self, release: Release, *, reason: str, client: Client | None = None) -> Release:
        """Let an officer look at what awaits approval, and approve it."""
        officer = client or self.officer
        looked_at = officer.release(release.id).binding
        assert looked_at is not None
        return officer.approve(release.id, binding=looked_at.digest, reason=reason)

    def ended(self, release: Release) -> Release:
        """The release at rest, as the steward sees it."""
        return self.until(release)

    def free(self) -> None:
        """Cancel what stalls, so that a test that failed halfway does not keep the one slot for jobs."""
        for release in self.steward.releases():
            if release.engine == "stalling" and not release.state.terminal:
                self.steward.cancel(release.id)

    def balance(self, account: str) -> AccountView:
        return self.steward.balance(account)

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def parquet_on_disk(self) -> list[str]:
        """Every Parquet file of the state folder besides the private rows: what was, or could be, served."""
        return holding(self.state, b"PAR1", apart_from=self.state / "rows")

    def kill(self) -> None:
        """``kill -9``, and nothing else."""
        self._close()
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask it to go down, as an operator does."""
        self._close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def restarted(self) -> "Served":
        """Another gateway on the same state."""
        return Served(self.state, self.plugin, start=self.start)

    def _close(self) -> None:
        for client in (self.steward, self.analyst, self.officer, self.auditor):
            client.close()
        self.channel.close()
        assert self.process.stdout is not None
        self.process.stdout.close()


def share(view: AccountView) -> float:
    """The share of an account that is taken."""
    return view.taken_ppm / PPM


def holding(folder: Path, wanted: bytes, *, apart_from: Path | None = None) -> list[str]:
    """The files below ``folder`` that hold ``wanted``; those that vanish meanwhile do not."""
    found = []
    for place, _, names in os.walk(folder):
        for path in (Path(place) / name for name in names):
            if apart_from is None or apart_from not in path.parents:
                with contextlib.suppress(FileNotFoundError):
                    found += [str(path.relative_to(folder))] if wanted in path.read_bytes() else []
    return sorted(found)
