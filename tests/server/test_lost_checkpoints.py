"""Checkpoints that are gone, altered or another key's, and decisions that only a checkpoint remembers."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from server import accounts, approvals, checkpoints, erasure, restore
from server.app import compose, opened
from server.config import Settings
from server.gateway import Gateway
from server.identity import Office, Principal
from server.quorum import quorum
from synthgate.errors import ReadOnly
from synthgate.policy import COPIES, Policy, Rule, VerdictKind
from synthgate.release import ReleaseState
from tests.server.composed import STEWARD, TICK_S, Clock, call, registered
from tests.server.released import charged
from tests.server.several import TINY
from tests.server.stores import account

pytestmark = pytest.mark.guarantee("restored-backup")
OFFICER = Principal("officer", Office.OFFICER)
ONE = Policy(
    name="one", epsilon_max=3.0, certified_only=True, verdicts_max=100, rules=(Rule(score=COPIES, at_most=0.5),),
    approvals=1, verdict=VerdictKind.EXACT,
)  # fmt: skip
CHARGES = 3


def started(state: Path) -> Gateway:
    gateway = compose(Settings(state=state))
    opened(gateway)
    return gateway


@pytest.fixture
def spent(tmp_path: Path) -> Path:
    """The state folder of a gateway that went down, after charges that each left a checkpoint; beside it a backup of
    the database before them."""
    state = tmp_path / "state"
    gateway = started(state)
    with gateway.store.begin() as tx:
        tx.ledger.open(account(), reason="")
    checkpoints.take(gateway)
    shutil.copy(state / "gateway.db", tmp_path / "backup.db")
    for number in range(CHARGES):
        with gateway.store.begin() as tx:
            tx.ledger.reserve("people", f"r{number}", TINY, by="analyst")
            tx.ledger.commit(f"r{number}", by="gateway")
        checkpoints.take(gateway)
    gateway.store.close()
    return state


def emptied(state: Path) -> None:
    shutil.rmtree(state / "checkpoints")


def altered(state: Path) -> None:
    for path in sorted((state / "checkpoints").glob("*.json"))[-CHARGES:]:
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-20])


def rekeyed(state: Path) -> None:
    (state / "keys" / "signing.pem").unlink()


@pytest.mark.parametrize("restored", [True, False])
@pytest.mark.parametrize("lose", [emptied, altered, rekeyed])
def test_without_its_newest_checkpoint_nothing_of_any_account_is_left(
    spent: Path, lose: Callable[[Path], None], restored: bool
) -> None:
    if restored:
        shutil.copy(spent.parent / "backup.db", spent / "gateway.db")
    lose(spent)
    gateway = started(spent)
    assert gateway.doubt.reason
    assert restore.accept(gateway, by="officer", reason="the disk died").filled == ("people",)
    with gateway.store.begin() as tx:
        assert not tx.ledger.balance("people").admits(TINY)
    gateway.store.close()
    again = started(spent)
    assert again.doubt.reason == ""
    again.store.close()


def test_a_folder_that_is_emptied_while_the_gateway_serves_stops_its_writes(spent: Path) -> None:
    gateway = started(spent)
    emptied(spent)
    with pytest.raises(ReadOnly, match="is gone from"):
        checkpoints.take(gateway)
    with pytest.raises(ReadOnly):
        gateway.doubt.check()
    gateway.store.close()


def lowers(gateway: Gateway, release: str) -> None:
    how = {"epsilon": 1.0, "delta": None, "verdicts_granted": None}
    accounts.amend_account(gateway, call(OFFICER), name="people", **how, reason="the board")  # type: ignore[arg-type]


def opens(gateway: Gateway, release: str) -> None:
    accounts.open_account(gateway, call(STEWARD), name="others", epsilon=1.0, delta=1e-6, sandbox=False)


def deletes(gateway: Gateway, release: str) -> None:
    erasure.delete(gateway, call(STEWARD), "table")


def approves(gateway: Gateway, release: str) -> None:
    with gateway.store.begin() as tx:
        binding = quorum(gateway, tx, tx.releases.get(release)).binding.digest
    assert (
        approvals.approve(gateway, call(OFFICER), release, binding=binding, reason="looked").release.state
        is ReleaseState.RELEASED
    )


def rejects(gateway: Gateway, release: str) -> None:
    approvals.reject(gateway, call(OFFICER), release, reason="no")


def expires(gateway: Gateway, release: str) -> None:
    later = replace(gateway, now=lambda: gateway.now() + timedelta(days=gateway.settings.waiting_days))
    assert approvals.close_overdue(later) == (release,)


@pytest.mark.parametrize("planted", [False, True])
@pytest.mark.parametrize("decide", [opens, lowers, deletes, approves, rejects, expires])
def test_a_backup_from_before_a_decision_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decide: Callable[[Gateway, str], None], planted: bool
) -> None:
    clock = Clock()
    clock.seconds = 100 * TICK_S + 1

    def gateway() -> Gateway:
        made = replace(compose(Settings(state=tmp_path / "state", verdict_tick_s=TICK_S)), now=clock)
        opened(made)
        return made

    first = gateway()
    accounts.open_account(first, call(STEWARD), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
    registered(first, policy=ONE)
    clock.seconds += TICK_S * 2
    release = charged(first, ReleaseState.AWAITING_APPROVAL, {"data": b"D", "report_json": b"{}", "report_html": b"h"})
    checkpoints.take(first)
    shutil.copy(tmp_path / "state" / "gateway.db", tmp_path / "backup.db")
    with monkeypatch.context() as patched:
        if planted:
            patched.setattr(checkpoints, "take", lambda gateway: b"")
        decide(first, release)
    first.store.close()  # killed: no last checkpoint
    shutil.copy(tmp_path / "backup.db", tmp_path / "state" / "gateway.db")
    second = gateway()
    assert (second.doubt.reason == "") is planted
    second.store.close()
