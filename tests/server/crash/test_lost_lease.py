"""A gateway that loses its lease in the middle of an attempt: another one repeats it, to the same bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from server import requests
from server.gateway import Gateway
from server.leases import Leases
from server.queue import Queue
from server.recovery import recover
from server.store_sql import SqlStore
from synthgate.ledger import EntryKind
from synthgate.release import ReleaseState
from tests.server.composed import TICK_S, Clock
from tests.server.crash.conftest import States
from tests.server.crash.lives import ASKED, EPSILON, Jobs, composed
from tests.server.crash.strikes import Life, Log, Strike

TTL_S, MARGIN_S = 10.0, 3.0


@dataclass(frozen=True)
class Overtaken:
    """Jobs that are overtaken after the one of a kind has done its work."""

    jobs: Jobs
    kind: str
    overtake: Callable[[], None]

    def __call__(self, kind: str, spec: Mapping[str, Any], **given: Any) -> Mapping[str, Any]:
        done = self.jobs(kind, spec, **given)
        if kind == self.kind:
            self.overtake()
        return done


def gateway(state: Path, instance: str, clock: Clock) -> Gateway:
    made, _ = composed(state)
    made.store.close()
    life = Life(state=str(state))
    return replace(
        made, now=clock, store=SqlStore(state / "gateway.db", clock=clock),
        leases=Leases(
            instance=instance, ttl_s=TTL_S, margin_s=MARGIN_S, alone=False, monotonic=lambda: clock.seconds
        ),
        job=Jobs(life, Log(state), Strike(life, Log(state)), state),
    )  # fmt: skip


def queue(of: Gateway) -> Queue:
    return Queue(of, start=lambda job, name: job(name))


@pytest.mark.guarantee("same-draw")
@pytest.mark.parametrize("kind", ["fit", "evaluate", "render"])
def test_another_gateway_repeats_what_a_lost_one_began(state: States, kind: str) -> None:
    folder, clock = state("released"), Clock()
    made, second = (gateway(folder, name, clock) for name in ("a", "b"))
    clock.seconds = TICK_S
    release = requests.create(
        made, ASKED, dataset="table", engine="independent", epsilon=EPSILON, delta=None
    ).release.id
    later = queue(second)

    def overtake() -> None:
        clock.seconds += 2 * TTL_S
        assert recover(second, starting=False) == ()
        clock.seconds += TICK_S
        later.take()
        assert state_of(second, release) is ReleaseState.RELEASED

    taking = queue(replace(made, job=Overtaken(made.job, kind, overtake)))
    clock.seconds += TICK_S
    taking.take()

    fitted = Log(folder).read("fitted")
    assert len(fitted) == 2
    with second.store.begin() as tx:
        record = tx.releases.get(release)
        commits = [entry for entry in tx.ledger.entries() if entry.kind is EntryKind.COMMIT]
    assert record.release.state is ReleaseState.RELEASED
    assert {*fitted} == {record.release.sha256}
    assert (record.replays, len(commits)) == (1, 1)
    assert second.sealed.releases() == ()
    second.artifacts.open(record.release.sha256).close()
    for one in (made, second):
        one.store.close()


@pytest.mark.guarantee("same-draw")
@pytest.mark.parametrize("planted", [False, True])
def test_recovery_takes_no_lease_from_a_job_that_runs_in_the_same_process(state: States, planted: bool) -> None:
    """The process stood still for longer than its lease; its own recovery and its own job go on side by side."""
    folder, clock = state("released"), Clock()
    made = gateway(folder, "a", clock)
    clock.seconds = TICK_S
    release = requests.create(
        made, ASKED, dataset="table", engine="independent", epsilon=EPSILON, delta=None
    ).release.id

    def overtake() -> None:
        clock.seconds += 2 * TTL_S
        recover(replace(made, running={}) if planted else made, starting=False)

    first, later = queue(replace(made, job=Overtaken(made.job, "fit", overtake))), queue(made)
    clock.seconds += TICK_S
    first.take()
    found = state_of(made, release)
    assert found is (ReleaseState.PENDING if planted else ReleaseState.TRAINING)
    clock.seconds += 2 * TTL_S
    recover(made, starting=False)
    clock.seconds += TICK_S
    later.take()
    with made.store.begin() as tx:
        record = tx.releases.get(release)
        commits = [entry for entry in tx.ledger.entries() if entry.kind is EntryKind.COMMIT]
    assert (record.release.state, record.replays, len(commits)) == (ReleaseState.RELEASED, 1, 1)
    assert {*Log(folder).read("fitted")} == {record.release.sha256}
    made.store.close()


def state_of(of: Gateway, release: str) -> ReleaseState:
    with of.store.begin() as tx:
        return tx.releases.get(release).release.state
