"""After the noisy margin of an accounted verdict is drawn, nothing that fails changes what becomes of the release."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.base import Comparison, Findings
from evaluation.registry import Registry
from evaluation.run import FAILED, compare
from server import after_verdict, releases
from server.gateway import Gateway
from server.jobs import evaluate as evaluating
from server.jobs.runner import JobFailed, Reason
from server.leases import revoke
from synthgate.policy import EXACT_POLICY, MARGIN
from synthgate.release import ReleaseState
from synthgate.report import Report
from tests.server.composed import Clock
from tests.server.test_accounted import FORMS, OFFICER, POLICY, Jobs, asked, prepared, record_of, run

pytestmark = pytest.mark.guarantee("accounted-verdict")

SECRET = "income 41,307"
DEATHS = (Reason.CRASHED, Reason.TIMED_OUT, Reason.OUT_OF_MEMORY)


class Failing:
    """A metric, read by no rule, that fails for some rows."""

    name = "utility.failing"

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        raise self.error(SECRET)


def _read(gateway: Gateway, release: str) -> dict[str, bytes]:
    found = {}
    for kind in FORMS:
        with gateway.artifacts.open(record_of(gateway, release).artifacts[kind]) as file:
            found[kind] = file.read()
    releases.report(gateway, OFFICER, release, kind="report_json")
    return found


@pytest.fixture(autouse=True)
def nothing_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluating, "compare", lambda *_arguments, **_settings: Report(scores=()))


@pytest.mark.parametrize("error", [ValueError, MemoryError, ZeroDivisionError])
def test_a_metric_that_fails_tells_nothing_and_stops_nothing(
    gateway: Gateway, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def failing(comparison: Comparison, **given: Any) -> Report:
        return compare(comparison, **given, registry=Registry([Failing(error)]))

    monkeypatch.setattr(evaluating, "compare", failing)
    reports: list[Report] = []
    real = Jobs._render

    def kept(jobs: Jobs, spec: Any, folder: Path, secret: bytes) -> Any:
        reports.append(Report.from_dict(json.loads(Path(spec["report"]).read_bytes())))
        return real(jobs, spec, folder, secret)

    monkeypatch.setattr(Jobs, "_render", kept)
    gateway = prepared(gateway, clock, Jobs())
    release = asked(gateway)
    run(gateway, release)
    assert record_of(gateway, release).release.state is ReleaseState.RELEASED
    assert [score.name for score in reports[0].scores] == [MARGIN, Failing.name]
    score = reports[0][Failing.name]
    assert (score.conclusive, score.usable, score.note) == (False, False, FAILED)


def test_in_an_exact_verdict_a_metric_that_fails_is_a_failure(gateway: Gateway) -> None:
    with pytest.raises(ValueError, match=SECRET):
        compare(None, seed=bytes(16), progress=print, registry=Registry([Failing(ValueError)]))  # type: ignore[arg-type]


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("death", DEATHS)
def test_a_worker_that_dies_after_its_margin_leaves_the_verdict(
    gateway: Gateway, clock: Clock, death: Reason, copied: bool
) -> None:
    gateway = prepared(gateway, clock, Jobs(copied=copied, dies=death))
    release = asked(gateway)
    run(gateway, release)
    found = record_of(gateway, release).release
    assert found.state is (ReleaseState.REJECTED if copied else ReleaseState.RELEASED)
    assert found.margin is not None
    assert (found.margin.pessimistic <= 0) is not copied


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("failed", DEATHS)
def test_a_page_that_cannot_be_drawn_is_said_so_and_changes_nothing(
    gateway: Gateway, clock: Clock, failed: Reason, copied: bool
) -> None:
    gateway = prepared(gateway, clock, Jobs(copied=copied, undrawn=failed))
    release = asked(gateway)
    run(gateway, release)
    record = record_of(gateway, release)
    assert record.release.state is (ReleaseState.REJECTED if copied else ReleaseState.RELEASED)
    assert record.release.margin is not None
    forms = _read(gateway, release)
    assert all(b"could not be rendered" in content and b"do not forward" in content for content in forms.values())
    told = Report.from_dict(json.loads(forms["report_json"]))
    assert told[MARGIN].value == record.release.margin.value
    assert not any(b"Traceback" in content for content in forms.values())


def test_a_verdict_that_is_killed_for_the_last_time_is_not_lost(gateway: Gateway, clock: Clock) -> None:
    """What was killed from outside is repeated twice; the third time its margin decides."""
    gateway = prepared(gateway, clock, Jobs(dies=Reason.INTERRUPTED))
    release = asked(gateway)
    states = []
    for _ in range(3):
        run(gateway, release)
        states.append(record_of(gateway, release).release.state)
        with gateway.store.begin() as tx:
            revoke(tx, release)
    assert states == [ReleaseState.PENDING, ReleaseState.PENDING, ReleaseState.RELEASED]


@pytest.mark.parametrize(
    "jobs", [Jobs(dies=Reason.INTERRUPTED), Jobs(undrawn=Reason.INTERRUPTED)], ids=["judged", "drawn"]
)
def test_what_is_killed_and_cannot_be_repeated_is_decided_at_once(
    gateway: Gateway, clock: Clock, monkeypatch: pytest.MonkeyPatch, jobs: Jobs
) -> None:
    """As with a plug-in, or an engine in an environment of its own."""
    monkeypatch.setattr("server.replays.BUILT_IN_ENGINES", ())
    gateway = prepared(gateway, clock, jobs)
    release = asked(gateway)
    run(gateway, release)
    assert record_of(gateway, release).release.state is ReleaseState.RELEASED


@pytest.mark.parametrize("reason", [*DEATHS, Reason.INTERRUPTED])
def test_what_dies_before_its_margin_or_for_an_exact_verdict_fails(
    gateway: Gateway, clock: Clock, tmp_path: Path, reason: Reason
) -> None:
    record = record_of(prepared(gateway, clock, Jobs()), asked(gateway))
    with pytest.raises(JobFailed):
        after_verdict.decided_before(JobFailed(reason), tmp_path, record, again=bool)
    exact = replace(record, policy=EXACT_POLICY)
    assert not exact.accounted
    with pytest.raises(JobFailed):
        after_verdict.plain(JobFailed(reason), tmp_path, exact, {}, again=bool)
    with pytest.raises(JobFailed):
        after_verdict.plain(JobFailed(Reason.CANCELLED), tmp_path, record, {}, again=bool)
    assert POLICY.verdict is record.policy.verdict


@pytest.mark.parametrize("death", DEATHS)
def test_a_death_that_decided_is_convicted(
    gateway: Gateway, clock: Clock, monkeypatch: pytest.MonkeyPatch, death: Reason
) -> None:
    """Planted: what fails after the margin closes the release, whatever the margin said."""

    def raising(failure: JobFailed, *_: Any, **_again: Any) -> None:
        raise failure

    monkeypatch.setattr("server.pipeline.decided_before", raising)
    gateway = prepared(gateway, clock, Jobs(dies=death))
    release = asked(gateway)
    run(gateway, release)
    assert record_of(gateway, release).release.state is ReleaseState.FAILED
