"""The plan that runs is the one that its charge was reserved for, whatever the catalog says by then."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server import pipeline, pricing, requests
from server.queue import Queue
from synthgate.budget import PrivacyBudget
from synthgate.ledger import EntryKind
from synthgate.policy import VerdictKind
from synthgate.release import ReleaseState
from tests.server.composed import DOMAIN, TICK_S
from tests.server.crash.conftest import States
from tests.server.crash.lives import ASKED, EPSILON, SIZES, Jobs, composed
from tests.server.crash.strikes import Life, Log, Strike

DELTA = 5e-8


def dearer() -> dict[str, Any]:
    """Another plan, at its own price."""
    return dict(
        pricing.plan("independent", DOMAIN, SIZES, PrivacyBudget.spend(2.5, DELTA), VerdictKind.EXACT).to_json()
    )


def relabelled() -> dict[str, Any]:
    """The dearer plan's parameters and events under the asked budget."""
    asked = pricing.plan("independent", DOMAIN, SIZES, PrivacyBudget.spend(EPSILON, DELTA), VerdictKind.EXACT).to_json()
    return dearer() | {"budget": asked["budget"]}


def edited(state: Path, release: str, plan: dict[str, Any]) -> None:
    with closing(sqlite3.connect(state / "gateway.db")) as database, database:
        (text,) = database.execute("SELECT document FROM releases WHERE id=?", (release,)).fetchone()
        document = json.dumps(json.loads(text) | {"plan": plan})
        database.execute("UPDATE releases SET document=? WHERE id=?", (document, release))


@pytest.mark.guarantee("charge-before-touch")
@pytest.mark.parametrize("planted", [False, True])
@pytest.mark.parametrize("plan", [dearer, relabelled])
def test_a_plan_that_was_edited_opens_no_row(
    state: States, monkeypatch: pytest.MonkeyPatch, plan: Any, planted: bool
) -> None:
    folder = state("released")
    made, clock = composed(folder)
    life = Life(state=str(folder))
    gateway = replace(made, job=Jobs(life, Log(folder), Strike(life, Log(folder)), folder))
    clock.seconds += TICK_S
    queue = Queue(gateway, start=lambda job, name: job(name))
    release = requests.create(
        gateway, ASKED, dataset="table", engine="independent", epsilon=EPSILON, delta=DELTA
    ).release.id
    edited(folder, release, plan())
    if planted:
        monkeypatch.setattr(pipeline, "_secret", pipeline.unsealed)
    clock.seconds += TICK_S
    queue.take()
    with gateway.store.begin() as tx:
        record, entries = tx.releases.get(release), tx.ledger.entries()
    gateway.store.close()
    assert len(Log(folder).read("fitted")) == planted
    if not planted:
        assert record.release.state is ReleaseState.FAILED
        assert "not the one that its charge was reserved for" in record.failure
    assert [entry.kind for entry in entries if entry.reservation] == [EntryKind.RESERVE, EntryKind.COMMIT]
