"""What must be true of a gateway's books and files after its lives, whatever struck it."""

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

from server import checkpoints
from server.gateway import Gateway
from server.identity import on_disk
from server.ledger.chain import verify as verify_chain
from server.releases import PRIVATE
from synthgate.checkpoint import Amounts
from synthgate.dataset import DatasetState
from synthgate.ledger import EntryKind
from synthgate.release import ReleaseState
from tests.server.crash import deeds
from tests.server.crash.lives import composed
from tests.server.crash.nursery import Nursery
from tests.server.crash.strikes import Life, Log
from tests.server.several import TINY

LIVES = 5
"""Lives until everything must be at rest: the one that is struck, two that replay, and two more."""
ENDS = {
    "released": ["RELEASED"],
    "rejected": ["REJECTED"],
    "awaiting": ["AWAITING_APPROVAL"],
    "failed": ["FAILED"],
    "cancelled": ["CANCELLED"],
    "derived": ["RELEASED", "RELEASED"],
    "approved": ["RELEASED"],
    "refused": ["REJECTED"],
    "revoked": ["REVOKED"],
    "deleted": ["RELEASED"],
    "uploaded": ["READY", deeds.NEW],
    "linked": ["READY", deeds.OLD],
    "distinct": ["READY", deeds.NEW],
    "spoiled": ["FAILED", deeds.NEW],
    "overdue": ["REJECTED"],
    "founded": ["open", "amend", "2", "5", "CREATED"],
    "restored": [str(TINY.epsilon), ""],
    "provisioned": ["RELEASED"],
}
"""What is left of each scenario: the states of the releases, or what `deeds.LOOKS` sees."""
DECIDED = {"REJECTED", "REVOKED"}
"""What stays what it is, whatever comes later; so does a dataset that is DELETED."""


def lived(nursery: Nursery, life: Life) -> list[str]:
    """The states of the releases once lives that nothing strikes change nothing more; the laws hold after
    every one of them."""
    state, log = Path(life.state), Log(Path(life.state))
    charges: list[int] = []
    for number in range(LIVES):
        quiet = {} if number == 0 else {"at": "", "killed_after_s": 0.0}
        status = nursery.live(replace(life, start=life.start + 1_000 * number, **quiet))
        _check_end(life if number == 0 else replace(life, **quiet), status, log)
        charges.append(_charges(state))
        assert charges == sorted(charges), "a charge was taken back"
        touched = log.read("touched")
        assert all(touched), "a row was opened before the charge was durable"
        assert not touched or charges[-1] == 1, "rows were opened, and not for one charge"
        assert charges[-1] <= 1, "charged twice"
        left = log.read("left")
        _check_decided(log)
        if number and len(left) > 1 and left[-1] == left[-2]:
            break
    else:
        raise AssertionError(f"not at rest after {LIVES} lives: {left}")
    assert len(set(log.read("fitted"))) <= 1, "a replay drew other bytes"
    assert len(set(log.read("model"))) <= 1, "a replay made another model"
    assert len(set(log.read("keyed"))) <= 1, "a replay was judged with other draws"
    _at_rest(state)
    return list(left[-1])


def _check_end(life: Life, status: int, log: Log) -> None:
    """What is to be struck was struck: a place that is never reached proves nothing."""
    if life.killed_after_s:
        assert status in (0, -9), f"a life ended with {status}"
        return
    killed = bool(life.at) and life.fault == "kill"
    assert not (killed and status == 0), f"{life.at} was never reached"
    assert status == (9 if killed else 0), f"a life ended with {status}"
    if life.at and not killed:
        assert log.read("struck")[-1], f"{life.at} was never reached"


def _check_decided(log: Log) -> None:
    """No later life makes anything else of what was rejected or revoked."""
    for before, after in pairwise(log.read("recovered", "left")):
        for old, new in zip(before, after, strict=False):
            assert old not in DECIDED or new == old, f"{old} became {new}"


def _charges(state: Path) -> int:
    gateway, _ = composed(state)
    try:
        with gateway.store.begin() as tx:
            entries, releases = tx.ledger.entries(), tx.releases.list()
        verify_chain(entries)
        assert sum(record.release.derivation is None for record in releases) <= 1, "two releases of one request"
        kinds = [entry.kind for entry in entries]
        assert not {EntryKind.COMMIT, EntryKind.VOID} <= set(kinds), "a charge was given back after the rows were open"
        return kinds.count(EntryKind.COMMIT)
    finally:
        gateway.store.close()


def _at_rest(state: Path) -> None:
    """Nothing is kept that only an attempt under way needs."""
    gateway, _ = composed(state)
    try:
        assert gateway.sealed.releases() == (), "a secret and a journal outlived their attempt"
        assert list(gateway.settings.work.glob("*")) == [], "a job's folder outlived it"
        _check_artifacts(gateway)
        _check_deleted(gateway)
        _check_books(gateway)
    finally:
        gateway.store.close()


def _check_books(gateway: Gateway) -> None:
    """The newest checkpoint is of these books and has all that was spent, and the tokens on disk are those known."""
    with gateway.store.begin() as tx:
        checkpoints.compare(gateway, tx, starting=True)
        committed = {account.name: tx.ledger.standing(account.name).committed for account in tx.ledger.accounts()}
        known = {token for _, _, token in tx.principals.list()}
    assert gateway.doubt.reason == "", "the books do not contain their checkpoint"
    newest = checkpoints.newest(gateway)
    assert newest is not None
    signed = {each.account: each.committed for each in newest.accounts}
    assert signed == {name: Amounts(**asdict(each)) for name, each in committed.items()}, "a charge was not signed"
    assert known == set(on_disk(gateway.settings.tokens, gateway.settings.principals)), "a token opens nothing"


def _check_deleted(gateway: Gateway) -> None:
    with gateway.store.begin() as tx:
        deleted = tx.datasets.get("table").dataset.state is DatasetState.DELETED
        records = tx.releases.list()
    if deleted:
        assert not (gateway.settings.rows / "table").exists(), "rows outlived their deletion"
        private = {r.artifacts[kind] for r in records for kind in PRIVATE if kind in r.artifacts}
        assert not private & set(gateway.artifacts.digests()), "a report or a model outlived its dataset"


def _check_artifacts(gateway: Gateway) -> None:
    with gateway.store.begin() as tx:
        records = tx.releases.list()
        deleted = tx.datasets.get("table").dataset.state is DatasetState.DELETED
    for record in records:
        state = record.release.state
        assert state.terminal or state is ReleaseState.AWAITING_APPROVAL, f"left {state}"
        if state in (ReleaseState.RELEASED, ReleaseState.AWAITING_APPROVAL):
            for kind, digest in record.artifacts.items():
                if not (deleted and kind in PRIVATE):
                    gateway.artifacts.open(digest).close()
        else:
            assert record.artifacts.get("data") not in gateway.artifacts.digests(), "a sample outlived its rejection"
