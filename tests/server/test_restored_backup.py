"""A database put back from a backup: the gateway only reads, says why, and an officer's word gives no budget back."""

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from server import checkpoints, pipeline, restore
from server.app import compose, opened, running
from server.config import Settings
from server.gateway import Gateway
from synthgate.client.client import Client
from synthgate.client.faults import error_of
from synthgate.errors import FailedPrecondition, InvalidArgument, ReadOnly
from synthgate.verify import verify_checkpoint
from tests import postgres
from tests.e2e.calls import RPCS
from tests.server.composed import TICK_S, Clock, asked, leased, registered
from tests.server.several import TINY
from tests.server.stores import account

SNAPSHOTS = 5

pytestmark = pytest.mark.guarantee("restored-backup")


class Kept:
    """A gateway's life on one database, with a backup before every charge."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.folder, self.kind, self.state = folder, kind, folder / "state"
        self.url = postgres.database() if kind == "postgresql" else f"sqlite:///{folder / 'live.db'}"
        self.backups: list[str] = []
        gateway = compose(Settings(state=self.state, database_url=self.url))
        opened(gateway)
        with gateway.store.begin() as tx:
            tx.ledger.open(account(), reason="")
        checkpoints.take(gateway)
        gateway.store.close()
        for number in range(SNAPSHOTS):
            self.backups.append(self._backup(number))
            self._charge(number)

    def _backup(self, number: int) -> str:
        if self.kind == "sqlite":
            shutil.copy(self.folder / "live.db", self.folder / f"{number}.db")
            return f"sqlite:///{self.folder / f'{number}.db'}"
        name, copy = self.url.split("/")[3].split("?")[0], f"copy{number}of"
        with psycopg.connect(self.url, dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {copy}{name} TEMPLATE {name}")
        return self.url.replace(f"/{name}?", f"/{copy}{name}?")

    def _charge(self, number: int) -> None:
        gateway = compose(Settings(state=self.state, database_url=self.url))
        with gateway.store.begin() as tx:
            tx.ledger.reserve("people", f"r{number}", TINY, by="analyst")
            tx.ledger.commit(f"r{number}", by="gateway")
        checkpoints.take(gateway)
        gateway.store.close()

    def settings(self, url: str, number: int = 0) -> Settings:
        """The state folder as it is now, beside another database."""
        state = self.folder / f"state{number}"
        shutil.copytree(self.state, state)
        return Settings(state=state, database_url=url, port=0)


@pytest.fixture(params=("sqlite", "postgresql"))
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return Kept(request.param, tmp_path)


def lines(gateway: Gateway) -> tuple[int, int]:
    with gateway.store.begin() as tx:
        return len(tx.ledger.entries()), len(tx.audit.records())


def starts(kept: Kept) -> list[str]:
    """Why each start on a backup only reads."""
    found = []
    for number, url in enumerate(kept.backups):
        gateway = compose(kept.settings(url, number))
        before = lines(gateway)
        opened(gateway)
        found.append(gateway.doubt.reason)
        assert not gateway.doubt.reason or lines(gateway) == before, "it has written"
        gateway.store.close()
    return found


def test_every_backup_is_read_only(kept: Kept) -> None:
    found = starts(kept)
    assert len(found) == SNAPSHOTS
    assert all("restored or cut" in why for why in found)


def test_without_the_comparison_every_backup_is_served(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "lacking", lambda tx, checkpoint: "")
    assert starts(kept) == [""] * SNAPSHOTS


def test_the_live_database_is_not_in_doubt_and_there_is_nothing_to_accept(kept: Kept) -> None:
    gateway = compose(kept.settings(kept.url))
    opened(gateway)
    assert gateway.doubt.reason == ""
    with pytest.raises(FailedPrecondition):
        restore.accept(gateway, by="officer", reason="why not")
    gateway.store.close()


def test_an_officer_accepts_and_no_budget_comes_back(kept: Kept) -> None:
    live = compose(Settings(state=kept.state, database_url=kept.url))
    with live.store.begin() as tx:
        spent = tx.ledger.balance("people").committed
    live.store.close()
    settings = kept.settings(kept.backups[2])
    gateway = compose(settings)
    opened(gateway)
    with pytest.raises(InvalidArgument):
        restore.accept(gateway, by="officer", reason=" ")
    restore.accept(gateway, by="officer", reason="the disk died on 3 May")
    with gateway.store.begin() as tx:
        again, record = tx.ledger.balance("people").committed, tx.audit.newest()
    assert again.epsilon >= spent.epsilon
    assert again.delta >= spent.delta
    assert (again.rdp or 0) >= (spent.rdp or 0) > 0
    assert record is not None
    assert (record.principal, record.action) == ("officer", "AcceptRestore")
    assert record.detail["reason"] == "the disk died on 3 May"
    gateway.store.close()
    after = compose(settings)
    opened(after)
    assert after.doubt.reason == ""
    after.store.close()


def test_a_gateway_in_doubt_answers_reads_and_refuses_changes_uploads_and_downloads(tmp_path: Path) -> None:
    kept = Kept("sqlite", tmp_path)

    async def asked() -> None:
        settings = kept.settings(kept.backups[0])
        async with running(settings) as (_gateway, _port):
            await asyncio.to_thread(refused, settings.state)

    asyncio.run(asked())


def refused(state: Path) -> None:
    with Client.from_state(state, "officer") as client:
        assert len(client.accounts()) == 1
        assert [r.action for r in client.audit_records()]
        assert client.checkpoint()[0]
    tried = 0
    for rpc in RPCS:
        request = rpc.request("release", "people")
        if not changes(request) and rpc.name != "DownloadRelease":
            continue
        role = sorted(rpc.allowed)[-1]
        bearer = (("authorization", f"Bearer {(state / 'tokens' / role).read_text().strip()}"),)
        with Client.from_state(state, role) as client:
            method = getattr(getattr(client._wire, rpc.service), rpc.name)
            with pytest.raises(grpc.RpcError) as caught:
                answer = method(request, timeout=10, metadata=bearer)
                next(answer)  # a stream fails at its first message
        assert isinstance(error_of(caught.value), ReadOnly), rpc.name
        tried += 1
    assert tried >= 10


def changes(request: Any) -> bool:
    return not hasattr(request, "DESCRIPTOR") or "request_id" in request.DESCRIPTOR.fields_by_name


@pytest.mark.parametrize("planted", [False, True])
def test_a_charge_is_in_a_checkpoint_before_a_row_is_opened(
    gateway: Gateway, clock: Clock, monkeypatch: pytest.MonkeyPatch, planted: bool
) -> None:
    registered(gateway)
    clock.seconds += TICK_S
    checkpoints.take(gateway)
    release, seen = asked(gateway), []
    leased(gateway, release)

    def fit(*_: object) -> None:
        kept = verify_checkpoint(checkpoints.newest_file(gateway), gateway.signer.public_pem)
        seen.append(kept.accounts[0].committed.charges)
        raise InterruptedError

    monkeypatch.setattr(pipeline, "_fit", fit)
    monkeypatch.setattr(pipeline, "seal", lambda *_: None)  # there are no rows to bind a secret to
    monkeypatch.setattr(pipeline, "unsealed", lambda *_: bytes(32))
    if planted:
        monkeypatch.setattr(checkpoints, "take", lambda gateway: b"")
    with contextlib.suppress(InterruptedError):
        pipeline.run_release(gateway, release)
    assert seen == [0 if planted else 1]
