"""A tampered audit log never passes for the one that was signed: not at a start, not offline."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from server import checkpoints
from server.app import compose, opened
from server.config import Settings
from server.gateway import Gateway
from server.store_sql import SqlStore
from synthgate.cli.audit import document
from synthgate.errors import VerificationFailed
from synthgate.trail import RECORD, Trail
from synthgate.verify import verify_checkpoint
from tests import postgres
from tests.server import tampering

LINES, CASES = 20, 500

pytestmark = pytest.mark.guarantee("audit-chain")


@pytest.fixture(params=("sqlite", "postgresql"))
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    url = postgres.database() if request.param == "postgresql" else ""
    made = compose(Settings(state=tmp_path, database_url=url))
    opened(made)
    with made.store.begin() as tx:
        while len(tx.audit.records()) < LINES:
            tx.audit.append(principal="analyst", action="Ask", resource="r", detail={"share": "7"})
    checkpoints.take(made)
    yield made
    made.store.close()


def missed(gateway: Gateway, cases: int = CASES) -> tuple[int, int]:
    """Of ``cases`` tampered logs, how many a start takes, and how many the offline check takes."""
    rng, online, offline = random.Random(7), 0, 0
    head = verify_checkpoint(checkpoints.newest_file(gateway), gateway.signer.public_pem).audit
    assert isinstance(gateway.store, SqlStore)
    with pytest.raises(InterruptedError), gateway.store.begin() as tx:
        connection, lines = tx.audit._writes.now, list(tx.audit.records())  # type: ignore[attr-defined]
        tampering.unguard(connection)
        assert not tampering.convicted(gateway, tx), "the log as it was signed is innocent"
        for case in range(cases):
            change = tampering.KINDS[case % len(tampering.KINDS)]
            bad = change(lines, rng.randrange(len(lines)), rng)
            bad = tampering.anew(bad) if case // len(tampering.KINDS) % 2 else bad
            assert bad != lines
            with connection.begin_nested() as point:
                tampering.write(connection, bad)
                online += not tampering.convicted(gateway, tx)
                point.rollback()
            offline += _passes(bad, head)
        raise InterruptedError  # nothing of it stays
    return online, offline


def _passes(lines: tampering.Lines, head: object) -> bool:
    trail = Trail("audit log", RECORD)
    try:
        trail.take_all(map(document, lines))
        trail.holds(head)  # type: ignore[arg-type]
    except VerificationFailed:
        return False
    return True


def test_every_tampered_log_is_found(gateway: Gateway) -> None:
    assert missed(gateway) == (0, 0)


def test_without_the_comparison_logs_that_were_written_anew_pass(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "lacking", lambda tx, checkpoint: "")
    monkeypatch.setattr(Trail, "holds", lambda self, head: None)
    online, offline = missed(gateway, 80)
    assert online == offline
    assert online > 40


def test_a_checkpoint_that_was_altered_puts_the_gateway_in_doubt(gateway: Gateway) -> None:
    files = checkpoints.Checkpoints(gateway.settings.checkpoints)
    (number, *_) = files.numbers()
    path = files.folder / f"{number:012d}.json"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b'"sig":"', b'"sig":"A'))
    again = replace(gateway)
    opened(again)
    assert "signature fails" in again.doubt.reason
