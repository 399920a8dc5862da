"""A fault at every durable step: the charge comes before the touch, is never given back, and pays for one draw."""

from dataclasses import replace
from pathlib import Path

import pytest

from server.app import compose
from server.config import Settings
from server.failpoints import Step, passed
from synthgate.release import ReleaseState
from tests.server.crash.conftest import States
from tests.server.crash.laws import ENDS, lived
from tests.server.crash.nursery import Nursery
from tests.server.crash.strikes import FAULTS, Life

LEDGER = (
    Step.RESERVE_WRITING, Step.RESERVED, Step.VOID_WRITING, Step.VOIDED, Step.SECRET_MAKING, Step.SECRET_MADE,
    Step.COMMIT_WRITING, Step.COMMITTED, Step.OPEN_WRITING, Step.OPENED, Step.AMEND_WRITING, Step.AMENDED,
    Step.ACCEPT_WRITING, Step.ACCEPTED,
)  # fmt: skip
"""The steps at which the ledger is written, or just was: every fault strikes them by default."""
SCENARIOS = {
    "cancelled": (Step.CANCEL_WRITING, Step.CANCEL_ASKED, Step.VOID_WRITING, Step.VOIDED),
    "rejected": (Step.REJECTED_WRITING, Step.REJECTED),
    "awaiting": (Step.AWAITING_APPROVAL_WRITING, Step.AWAITING_APPROVAL),
    "failed": (Step.FAILED_WRITING, Step.FAILED),
    "derived": (Step.DERIVE_WRITING, Step.DERIVE_ASKED, Step.SAMPLING_WRITING, Step.SAMPLING, Step.DERIVED),
    "interrupted": (Step.REPLAY_WRITING, Step.REPLAY),
    "approved": (Step.APPROVE_WRITING, Step.APPROVED),
    "refused": (Step.REFUSE_WRITING, Step.REFUSED, Step.DATA_GOING, Step.DATA_GONE),
    "overdue": (Step.OVERDUE_WRITING, Step.OVERDUE),
    "revoked": (Step.REVOKE_WRITING, Step.REVOKED),
    "deleted": (Step.DELETE_WRITING, Step.DELETED, Step.ROWS_GOING, Step.ROWS_GONE),
    "uploaded": (
        Step.PROMISED, Step.ARRIVED, Step.UPLOAD_WRITING, Step.UPLOADED, Step.INGESTING_WRITING, Step.INGESTING,
        Step.ROWS_STORED, Step.INGEST_WRITING, Step.INGESTED, Step.UPLOAD_GONE,
    ),
    "spoiled": (Step.INGEST_FAILED_WRITING,),
    "linked": (Step.WAIT_WRITING, Step.LINK_WRITING, Step.LINKED),
    "distinct": (Step.DISTINGUISH_WRITING, Step.DISTINGUISHED),
    "founded": (
        Step.OPEN_WRITING, Step.OPENED, Step.REGISTER_WRITING, Step.REGISTERED, Step.AMEND_WRITING, Step.AMENDED,
    ),
    "restored": (Step.ACCEPT_WRITING, Step.ACCEPTED),
    "provisioned": (Step.PROVISION_WRITING, Step.PROVISIONED),
}  # fmt: skip
"""What must be done to come to a step; every other step is on the way of a release that is RELEASED."""
DONE = (
    "approved", "refused", "overdue", "revoked", "deleted", "uploaded", "spoiled", "linked", "distinct", "founded",
    "restored", "provisioned",
)  # fmt: skip
"""What people ask for, and ask for again, or a start does: whatever struck, it is done in the end."""
WAYS = {step: next((name for name, steps in SCENARIOS.items() if step in steps), "released") for step in Step}
CASES = [(step, fault) for step in Step for fault in FAULTS]
DEFAULT = [
    (step, fault) for number, step in enumerate(Step) for fault in FAULTS
    if step in LEDGER or fault == FAULTS[number % len(FAULTS)]
]  # fmt: skip
REST = [case for case in CASES if case not in DEFAULT]


def check(nursery: Nursery, state: States, step: Step, fault: str) -> None:
    way = WAYS[step]
    life = Life(state=str(state(way)), scenario=way, at=step, fault=fault)
    if way == "interrupted":  # a life before it, which leaves something to be repeated
        life = replace(life, scenario="released")
        assert nursery.live(replace(life, at="stage sampling", fault="kill")) == 9
        life = replace(life, start=500)
    states, end = lived(nursery, life), ENDS[life.scenario]
    if way == "derived":
        assert states in (end, [ReleaseState.RELEASED, ReleaseState.FAILED])
    elif fault == "exception" and way not in DONE:  # a fault of the program, which would come again
        assert states in (end, [ReleaseState.FAILED])
    else:
        assert states == end


@pytest.mark.guarantee("no-lost-spend")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_that_is_never_reached_is_seen(nursery: Nursery, state: States, fault: str) -> None:
    """One call of ``gateway.at`` is missing, wherever the strike is to come: no case passes by not being struck."""
    life = Life(state=str(state("released")), at=Step.COMMITTED, fault=fault, plant="silent")
    with pytest.raises(AssertionError, match="committed was never reached"):
        lived(nursery, life)


@pytest.mark.guarantee("charge-before-touch")
@pytest.mark.guarantee("no-lost-spend")
@pytest.mark.parametrize(("step", "fault"), DEFAULT)
def test_a_fault_at_a_step(nursery: Nursery, state: States, step: Step, fault: str, record_property) -> None:
    check(nursery, state, step, fault)
    record_property("reached", f"{len(DEFAULT)} faults at {len(Step)} steps, all four at each of {len(LEDGER)}")


@pytest.mark.soak
@pytest.mark.guarantee("charge-before-touch")
@pytest.mark.guarantee("no-lost-spend")
@pytest.mark.parametrize(("step", "fault"), REST)
def test_every_other_fault_at_a_step(nursery: Nursery, state: States, step: Step, fault: str, record_property) -> None:
    check(nursery, state, step, fault)
    record_property("reached", f"all {len(CASES)} faults at {len(Step)} steps, with those of the default run")


@pytest.mark.guarantee("charge-before-touch")
def test_rows_that_are_opened_before_the_charge_are_seen(nursery: Nursery, state: States) -> None:
    life = Life(state=str(state("released")), plant="touch before charge")
    with pytest.raises(AssertionError, match="before the charge was durable"):
        lived(nursery, life)


@pytest.mark.guarantee("no-lost-spend")
def test_a_refund_after_the_touch_is_seen(nursery: Nursery, state: States) -> None:
    life = Life(state=str(state("failed")), scenario="failed", plant="refund")
    with pytest.raises(AssertionError, match="rows were opened, and not for one charge"):
        lived(nursery, life)


@pytest.mark.guarantee("no-lost-spend")
def test_an_acceptance_that_is_signed_too_late_is_seen(nursery: Nursery, state: States) -> None:
    """A crash between the charge of a restored database and its checkpoint: who accepts again charges again."""
    life = Life(state=str(state("restored")), scenario="restored", at=Step.ACCEPTED, plant="signed too late")
    with pytest.raises(AssertionError, match="charged twice"):
        lived(nursery, life)


def test_no_setting_reaches_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that is composed from its settings, whatever the environment says, has an empty function there."""
    for step in Step:
        for name in ("AT", "STEP", "FAILPOINT", "FAILPOINTS"):
            monkeypatch.setenv(f"SYNTHGATE_{name}", str(step))
    gateway = compose(Settings(state=tmp_path))
    gateway.store.close()
    assert gateway.at is passed
    assert not [name for name in Settings.model_fields if "fail" in name or "step" in name]
