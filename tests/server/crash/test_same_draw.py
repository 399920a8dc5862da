"""An attempt that is killed is repeated to the same bytes for one charge, at most twice, and nothing of it is kept."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from server.failpoints import Step
from server.keys import Keys
from server.sealed import Sealed
from synthgate.release import ReleaseState
from tests.server.crash.conftest import States
from tests.server.crash.laws import lived
from tests.server.crash.lives import Life, Log, composed, write_rows
from tests.server.crash.nursery import ROOT, Nursery

KILLS = (
    Step.COMMITTED, Step.SECRET_OPENED, Step.WORK_MADE, "fitting", "sync 1", "sync 2", "sync 3", "sync 4", "sampling",
    Step.FITTED, Step.EVALUATING_WRITING, Step.EVALUATING, Step.EVALUATED, Step.RENDERED, Step.REPORT_STORED,
    Step.REPORT_PAGE_STORED, Step.DATA_STORED, Step.MODEL_STORED, Step.ATTESTATION_STORED, Step.RELEASED_WRITING,
)
"""Places in one attempt; the syncs are those of the journal, one a draw."""


def journals(state: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((state / "attempts").glob("*/journal.*"))]


@pytest.mark.guarantee("same-draw")
@pytest.mark.parametrize("place", KILLS)
def test_a_killed_attempt_is_repeated_to_the_same_bytes(
    nursery: Nursery, state: States, place: str, record_property
) -> None:
    """Killed at a place, and from there on twice apart: what had been drawn is drawn again in both, so that two that
    were killed after their last draw have the same bytes."""
    folder = state("released")
    life = Life(state=str(folder), at=place)
    assert nursery.live(life) == 9
    drawn = journals(folder)
    twin = shutil.copytree(folder, folder.with_name("twin"))
    results = []
    for copy in (folder, twin):
        assert nursery.live(replace(life, state=str(copy), at="sampling", start=500)) == 9
        (*_, last) = journals(copy)
        assert all(last.startswith(earlier) for earlier in drawn), "a replay left out what had been drawn"
        assert lived(nursery, replace(life, state=str(copy), at="", start=0)) == [ReleaseState.RELEASED]
        gateway, _ = composed(copy)
        with gateway.store.begin() as tx:
            (record,) = tx.releases.list()
        gateway.store.close()
        assert record.replays == 2
        fitted = Log(folder).read("fitted") + Log(copy).read("fitted")
        assert set(fitted) == {record.release.sha256}
        results.append((record.release.sha256, record.artifacts["model"]))
    whole = place not in KILLS[: KILLS.index("sampling")]
    if whole:
        assert results[0] == results[1], "two replays of one attempt differ"
    record_property("reached", f"{len(KILLS)} kill points: equal sha256 of data and model, one charge")
