"""What officers do not answer in time is rejected: nothing waits for ever, and nothing is released by waiting."""

from dataclasses import replace
from pathlib import Path

import pytest

from server import approvals, releases
from server.leases import Leases
from server.queue import Queue
from synthgate.errors import WrongState
from synthgate.ledger import ReservationState
from synthgate.release import ReleaseState
from tests.server.approving import DAY_S, ODA, OLGA, OTTO, TwoOfThree, another, awaiting
from tests.server.composed import ANALYST, TICK_S


@pytest.fixture
def office(tmp_path: Path) -> TwoOfThree:
    return awaiting(tmp_path)


def test_a_release_that_waits_too_long_is_rejected_and_its_rows_are_destroyed(office: TwoOfThree) -> None:
    gateway, since = office.gateway, office.clock.seconds
    office.clock.seconds = since + 29 * DAY_S
    later = another(gateway)
    office.approve(OLGA)  # one approval prolongs nothing
    office.clock.seconds = since + 30 * DAY_S - 1
    assert approvals.close_overdue(gateway) == ()
    office.clock.seconds = since + 30 * DAY_S
    assert approvals.close_overdue(gateway) == (office.release,)
    assert approvals.close_overdue(gateway) == ()
    closed = office.stored()
    assert (closed.release.state, closed.release.reasons) == (ReleaseState.REJECTED, ("APPROVALS_MISSING",))
    kept = gateway.artifacts.digests()
    assert not {closed.artifacts["data"], closed.artifacts["model"]} & set(kept)
    assert closed.artifacts["report_json"] in kept
    with pytest.raises(WrongState, match="REJECTED, not AWAITING_APPROVAL"):
        office.approve(OTTO)
    office.clock.seconds += TICK_S
    seen = releases.read(gateway, ANALYST, office.release).release
    assert (seen.state, seen.reasons) == (ReleaseState.CLOSED, ())
    with gateway.store.begin() as tx:
        assert tx.ledger.reservation(office.release).state is ReservationState.COMMITTED
        assert tx.releases.get(later).release.state is ReleaseState.AWAITING_APPROVAL
        assert (tx.audit.records()[-1].action, tx.audit.records()[-1].resource) == ("Reject", office.release)


def test_the_queue_looks_for_them(office: TwoOfThree) -> None:
    office.clock.seconds += 31 * DAY_S
    seconds = [0.0]
    gateway = replace(office.gateway, leases=Leases(monotonic=lambda: seconds[0]))
    queue = Queue(gateway, start=lambda job, name: None)
    queue.recover()
    assert office.stored().release.state is ReleaseState.AWAITING_APPROVAL
    seconds[0] = gateway.leases.ttl_s + 1
    queue.recover()
    assert office.stored().release.state is ReleaseState.REJECTED


@pytest.mark.parametrize("days", [0.5, 90.0])
def test_the_operator_says_how_long(office: TwoOfThree, days: float) -> None:
    within = office.within(waiting_days=days, approval_days=2 * days)
    within.approve(OLGA)
    office.clock.seconds += days * DAY_S - 1
    assert approvals.close_overdue(within.gateway) == ()
    assert within.quorum().officers == ("olga",)
    assert within.approve(ODA).state is ReleaseState.RELEASED
