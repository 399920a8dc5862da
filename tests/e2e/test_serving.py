"""What the serving process holds in memory, and what it tells when something inside it breaks."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from server.app import running
from server.config import BUILT_IN_ENGINES, Settings
from synthgate.v1 import ledger_service_pb2, ledger_service_pb2_grpc
from tests.e2e.process import ROOT

SERVED_AND_PRICED = """
import json, sys
from pathlib import Path
from server import pricing
from server.app import compose
from server.config import BUILT_IN_ENGINES, Settings
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.policy import VerdictKind
from tests.e2e.people import DOMAIN
gateway = compose(Settings(state=Path(sys.argv[1])))
sizes = PublicSizes(rows=5_000, units=5_000)
engines = [pricing.plan(e, DOMAIN, sizes, PrivacyBudget.spend(1.0, 5e-8), VerdictKind.ACCOUNTED).engine
           for e in ("", *BUILT_IN_ENGINES)]
print(json.dumps([engines, sorted({m.split(".")[0] for m in sys.modules})]))
"""


def test_a_gateway_prices_every_engine_without_what_trains_or_attacks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVED_AND_PRICED, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    engines, loaded = json.loads(done.stdout)
    assert engines[1:] == list(BUILT_IN_ENGINES)
    assert not set(loaded) & {"torch", "opacus", "jax", "anonymeter", "sklearn", "matplotlib", "opendp"}


async def refusal(port: int, token: str) -> grpc.aio.AioRpcError:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = ledger_service_pb2_grpc.LedgerServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.OpenAccount(
                ledger_service_pb2.OpenAccountRequest(request_id="one", name="people", epsilon=3.0, delta=1e-6),
                metadata=(("authorization", f"Bearer {token}"),),
            )
    return caught.value


def lose_the_keys(settings: Settings) -> None:
    shutil.rmtree(settings.keys)
    settings.keys.write_text("in the way")


def drop_everything(settings: Settings) -> None:
    with contextlib.closing(sqlite3.connect(settings.database)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            connection.execute(f'DROP TABLE "{name}"')


def overwrite(settings: Settings) -> None:
    Path(settings.database).write_bytes(b"not a database" * 1_000)


@pytest.mark.parametrize(
    ("breaks", "code", "reason"),
    [
        (lose_the_keys, grpc.StatusCode.INTERNAL, b"INTERNAL"),
        (drop_everything, grpc.StatusCode.UNAVAILABLE, b"UNAVAILABLE"),
        (overwrite, grpc.StatusCode.DATA_LOSS, b"DATA_CORRUPTED"),
    ],
)
async def test_a_fault_inside_tells_nothing_foreign(
    tmp_path: Path, breaks: Callable[[Settings], None], code: grpc.StatusCode, reason: bytes
) -> None:
    """Keys or database break under a running gateway."""
    async with running(Settings(state=tmp_path / "state")) as (gateway, port):
        breaks(gateway.settings)
        found = await refusal(port, (gateway.settings.tokens / "steward").read_text())
    assert found.code() is code
    details = dict(found.trailing_metadata())["grpc-status-details-bin"]
    assert reason in details
    told = found.details().encode() + details
    assert not [
        word
        for word in (b"sql", b"table", b"Errno", b"Operational", b"Traceback", str(tmp_path).encode())
        if word in told
    ]
    assert (b"incident" in told) is (code is grpc.StatusCode.INTERNAL)
