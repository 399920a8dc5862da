"""A rehearsal on a released table, from the command line against a real gateway: free, in the clear, and checked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from synthgate.cli import rehearsal
from synthgate.cli.main import app
from synthgate.cli.rehearsal import BANNER
from synthgate.release import Release, ReleaseState
from tests.e2e.process import Served


@pytest.fixture(scope="module")
def source(served: Served) -> Release:
    name = served.dataset("rehearsed", rows=1_000)
    asked = served.analyst.create_release(name, epsilon=2.0, engine="independent")
    released = tuple(served.analyst.watch(asked.id))[-1]
    assert released.state is ReleaseState.RELEASED
    return released


def rehearsed(served: Served, role: str, *words: str) -> tuple[int, str, str]:
    given = ["--state", str(served.state), "--role", role, "release", "rehearse", *words]
    done = CliRunner().invoke(app, given)
    return done.exit_code, done.stdout, done.output


@contextmanager
def hidden(served: Served) -> Iterator[Path]:
    """The dataset's private rows where no rehearsal could find them, which is yielded."""
    rows, away = served.state / "rows" / "rehearsed", served.state.with_name("away")
    assert any(rows.glob("*.parquet"))
    rows.rename(away)
    try:
        yield away
    finally:
        away.rename(rows)


RUN = ("--engine", "independent", "--rows", "300", "--json")


@pytest.mark.guarantee("rehearsal")
def test_it_needs_no_private_row(served: Served, source: Release) -> None:
    with hidden(served):
        code, out, shown = rehearsed(served, "analyst", source.id, *RUN)
    assert code == 0, shown
    (tried,) = json.loads(out)["runs"]
    assert (tried["failure"], bool(tried["scores"])) == ("", True)


@pytest.mark.guarantee("rehearsal")
def test_one_that_reads_private_rows_is_convicted(
    served: Served, source: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault (`planted_rehearsal`) goes unseen where the rows are, and fails where they are not."""
    monkeypatch.setattr(rehearsal, "REHEARSAL", "tests.e2e.planted_rehearsal")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("PLANTED_ROWS", str(served.state / "rows" / "rehearsed"))
    code, _, shown = rehearsed(served, "analyst", source.id, *RUN)
    assert code == 0, shown
    with hidden(served):
        assert rehearsed(served, "analyst", source.id, *RUN)[0] != 0


@pytest.mark.guarantee("rehearsal")
def test_engines_are_compared_on_released_rows_and_nothing_is_charged(
    served: Served, source: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = (served.balance("rehearsed"), served.steward.entries("rehearsed"), served.steward.releases())
    code, out, shown = rehearsed(
        served, "analyst", source.id, "--engine", "independent", "--engine", "nobody", "--rows", "500", "--json"
    )
    assert code == 0, shown
    found = json.loads(out)
    assert (found["banner"], found["release"], found["rows"], found["units"]) == (BANNER, source.id, 500, 500)
    tried, unknown = found["runs"]
    assert (tried["engine"], tried["epsilon"], tried["failure"]) == ("independent", 1.0, "")
    assert tried["delta"] == pytest.approx(5e-8)
    assert {s["name"].split(".")[0] for s in tried["scores"]} == {"risk", "utility"}
    assert "no engine 'nobody'" in unknown["failure"]
    after = (served.balance("rehearsed"), served.steward.entries("rehearsed"), served.steward.releases())
    assert after == before
    assert list(tmp_path.iterdir()) == [], "surrogate, split and samples are gone"


def test_only_released_plain_tables_are_rehearsed_on(served: Served, source: Release) -> None:
    several = served.analyst.derive_release(source.id, replicates=2)
    assert tuple(served.analyst.watch(several.id))[-1].state is ReleaseState.RELEASED
    code, _, shown = rehearsed(served, "analyst", several.id)
    assert (code, "rehearse on its source" in shown) == (2, True)
    code, _, shown = rehearsed(served, "analyst", "r-0000000000000000")
    assert code == 4, shown
    code, _, shown = rehearsed(served, "analyst", source.id, "--rows", "1001")
    assert (code, "1,000 rows" in shown) == (2, True)


def test_who_may_not_download_may_not_rehearse(served: Served, source: Release) -> None:
    assert rehearsed(served, "auditor", source.id)[0] == 5
