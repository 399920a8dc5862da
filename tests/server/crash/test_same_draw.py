"""An attempt that is killed is repeated to the same bytes for one charge, at most twice, and nothing of it is kept."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from server.failpoints import Step
from server.replays import REPLAYS
from synthgate.release import ReleaseState
from tests.server.crash.conftest import States
from tests.server.crash.laws import lived
from tests.server.crash.lives import composed
from tests.server.crash.nursery import ROOT, Nursery
from tests.server.crash.states import write_rows
from tests.server.crash.strikes import Life, Log

KILLS = (
    Step.COMMITTED,
    Step.SECRET_OPENED,
    Step.WORK_MADE,
    "stage fitting",
    "sync 1",
    "sync 2",
    "sync 3",
    "sync 4",
    "stage sampling",
    Step.FITTED,
    Step.EVALUATING_WRITING,
    Step.EVALUATING,
    Step.EVALUATED,
    Step.RENDERED,
    Step.REPORT_STORED,
    Step.REPORT_PAGE_STORED,
    Step.DATA_STORED,
    Step.MODEL_STORED,
    Step.ATTESTATION_STORED,
    Step.RELEASED_WRITING,
)
"""Places in one attempt; the syncs are those of the journal, one a draw."""


DRAWN = KILLS[KILLS.index("stage sampling") :]
"""The places after the last draw."""


def journals(state: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((state / "attempts").glob("*/journal.*"))]


def released(state: Path) -> tuple[str, str, int]:
    """The sha256 of the data and of the model, and how often the attempt was repeated."""
    gateway, _ = composed(state)
    with gateway.store.begin() as tx:
        (record,) = tx.releases.list()
    gateway.store.close()
    assert record.release.state is ReleaseState.RELEASED
    return record.release.sha256, record.artifacts["model"], record.replays


@pytest.mark.guarantee("same-draw")
@pytest.mark.parametrize("place", KILLS)
def test_a_killed_attempt_is_repeated_to_the_same_bytes(
    nursery: Nursery, state: States, place: str, record_property
) -> None:
    """Killed where all was drawn, and from there repeated twice, apart: the same bytes. Killed before that, and again
    where all is drawn: what had been drawn is drawn again."""
    folder = state("released")
    life = Life(state=str(folder), at=place)
    assert nursery.live(life) == 9
    drawn, fitted = journals(folder), Log(folder).read("fitted")
    if place in DRAWN:
        twin = shutil.copytree(folder, folder.with_name("twin"))
        assert lived(nursery, replace(life, state=str(twin), at="")) == [ReleaseState.RELEASED]
        assert lived(nursery, replace(life, at="")) == [ReleaseState.RELEASED]
        assert released(twin) == released(folder)
    else:
        assert nursery.live(replace(life, at="stage sampling", start=500)) == 9
        assert all(journals(folder)[-1].startswith(before) for before in drawn)
        assert lived(nursery, replace(life, at="")) == [ReleaseState.RELEASED]
    sha256, _, replays = released(folder)
    assert {*fitted, sha256} == {sha256}
    assert replays == (1 if place in DRAWN else 2)
    record_property("reached", f"{len(KILLS)} kill points: equal sha256 of data and model, one charge")


@pytest.mark.guarantee("same-draw")
def test_an_attempt_is_repeated_twice_and_no_more(nursery: Nursery, state: States) -> None:
    folder = state("released")
    for number in range(REPLAYS + 1):
        assert nursery.live(Life(state=str(folder), at=Step.EVALUATED, start=500 * number)) == 9
    assert lived(nursery, Life(state=str(folder), start=5_000)) == [ReleaseState.FAILED]
    assert len(Log(folder).read("fitted")) == REPLAYS + 1


@pytest.mark.guarantee("same-draw")
def test_an_attempt_is_not_repeated_on_other_rows(nursery: Nursery, state: States) -> None:
    folder = state("released")
    assert nursery.live(Life(state=str(folder), at=Step.FITTED)) == 9
    write_rows(folder, seed=2)
    assert lived(nursery, Life(state=str(folder), start=500)) == [ReleaseState.FAILED]
    assert len(Log(folder).read("fitted")) == 1


@pytest.mark.guarantee("same-draw")
@pytest.mark.parametrize("path", ["secret", "journal.1"])
def test_an_attempt_with_a_changed_secret_or_journal_is_not_repeated(
    nursery: Nursery, state: States, path: str
) -> None:
    folder = state("released")
    assert nursery.live(Life(state=str(folder), at=Step.FITTED)) == 9
    (kept,) = (folder / "attempts").glob(f"*/{path}")
    kept.write_bytes(kept.read_bytes()[:-1] + bytes([kept.read_bytes()[-1] ^ 1]))
    assert lived(nursery, Life(state=str(folder), start=500)) == [ReleaseState.FAILED]
    assert len(Log(folder).read("fitted")) == 1


@pytest.mark.guarantee("same-draw")
def test_a_replay_with_fresh_noise_is_seen(nursery: Nursery, state: States) -> None:
    life = Life(state=str(state("released")), at=Step.EVALUATED, plant="fresh noise")
    with pytest.raises(AssertionError, match="a replay drew other bytes"):
        lived(nursery, life)


@pytest.mark.guarantee("same-draw")
@pytest.mark.parametrize("end", ["released", "rejected", "awaiting", "failed"])
def test_no_copy_of_a_gateway_at_rest_holds_a_secret_or_a_journal(nursery: Nursery, state: States, end: str) -> None:
    """Everything under the state folder, database included, copied once the release is at rest."""
    folder = state(end)
    place = Step.WORK_MADE if end == "failed" else Step.FITTED
    assert nursery.live(Life(state=str(folder), scenario=end, at=place)) == 9
    sealed = [path.read_bytes() for path in (folder / "attempts").glob("*/*")]
    assert len(sealed) == (1 if end == "failed" else 2)
    lived(nursery, Life(state=str(folder), scenario=end, start=500))
    copy = shutil.copytree(folder, folder.with_name("backup"))
    for path in (path for path in copy.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not [kept for kept in sealed if kept[-32:] in content], path.name
    assert list((copy / "attempts").glob("*")) == []


@pytest.mark.guarantee("same-draw")
def test_the_backup_of_the_guide_holds_no_secret_of_an_attempt_under_way(nursery: Nursery, state: States) -> None:
    """The command of the guide, on a gateway that died in the middle of an attempt."""
    folder = state("released")
    assert nursery.live(Life(state=str(folder), at=Step.FITTED)) == 9
    kept = [path.read_bytes() for path in [*folder.glob("attempts/*/*"), folder / "keys" / "attempts.key"]]
    assert len(kept) == 3
    guide = (ROOT / "docs" / "operations.md").read_text()
    (line,) = [line.strip() for line in guide.splitlines() if line.startswith("    tar ")]
    archive, restored = folder.with_name("backup.tar.gz"), folder.with_name("restored")
    restored.mkdir()
    words = [{"BACKUP.tar.gz": str(archive), "STATE": str(folder)}.get(word, word) for word in line.split()]
    subprocess.run(words, check=True)
    subprocess.run(["tar", "-xzf", archive, "-C", restored], check=True)
    for path in (path for path in restored.rglob("*") if path.is_file()):
        assert not [secret for secret in kept if secret[-32:] in path.read_bytes()], path.name
    shutil.copytree(folder / "checkpoints", restored / "checkpoints")  # as from the other disk that the guide asks for
    Log(restored).path.touch()
    assert lived(nursery, Life(state=str(restored), start=500)) == [ReleaseState.FAILED]


@pytest.mark.guarantee("same-draw")
def test_a_journal_that_is_left_behind_is_seen(nursery: Nursery, state: States) -> None:
    with pytest.raises(AssertionError, match="outlived their attempt"):
        lived(nursery, Life(state=str(state("released")), plant="left behind"))
