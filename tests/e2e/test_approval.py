"""Officers put their names under all that was judged, or refuse it; nobody else can."""

from dataclasses import replace
from pathlib import Path

import pytest

from synthgate import Client
from synthgate.approval import Approval
from synthgate.errors import InvalidArgument, InvalidPolicy, PermissionDenied, WrongState
from synthgate.release import Release, ReleaseState
from synthgate.verify import verify
from tests.e2e.people import LENIENT
from tests.e2e.process import SECOND, Served

RELEASED = ReleaseState.RELEASED


def awaiting(served: Served, name: str, *, needed: int) -> Release:
    served.dataset(name, rows=1_200, policy=replace(LENIENT, approvals=needed))
    asked = served.analyst.create_release(name, epsilon=1.0, engine="fresh")
    return served.until(asked, ReleaseState.AWAITING_APPROVAL, client=served.officer)


def test_an_officer_releases_what_was_looked_at(served: Served, tmp_path: Path) -> None:
    release = awaiting(served, "approval", needed=1)
    assert (release.state, release.approvals_needed) == (ReleaseState.AWAITING_APPROVAL, 1)
    assert len(release.sha256) == 64
    seen = served.analyst.release(release.id)
    assert (seen.state, seen.sha256, seen.approvals_needed) == (ReleaseState.PENDING, "", 0)
    for client in (served.analyst, served.steward, served.officer):
        with pytest.raises(WrongState):
            client.download(release.id, tmp_path / "early.parquet")
        with pytest.raises(WrongState):
            client.attestation(release.id)

    assert release.binding is not None
    assert (release.binding.data, release.binding.requester) == (release.sha256, "analyst")
    digest = release.binding.digest
    for client in (served.analyst, served.auditor):
        assert client.release(release.id).binding is None

    with pytest.raises(WrongState, match="digest"):
        served.officer.approve(release.id, binding="0" * 64, reason="looked")
    with pytest.raises(InvalidArgument, match="reason"):
        served.officer.approve(release.id, binding=digest, reason=" ")
    for client in (served.steward, served.analyst, served.auditor):
        with pytest.raises(PermissionDenied):
            client.approve(release.id, binding=digest, reason="looked")
    assert served.officer.release(release.id).approvals == ()

    approved = served.officer.approve(release.id, binding=digest, reason="looked", request_id="once")
    assert (approved.state, approved.approvals, approved.binding) == (RELEASED, ("officer",), release.binding)
    assert served.officer.approve(release.id, binding=digest, reason="looked", request_id="once") == approved
    with pytest.raises(WrongState):
        served.officer.reject(release.id, reason="too late")
    assert tuple(served.analyst.watch(release.id))[-1].state is RELEASED
    file = served.analyst.download(release.id, tmp_path / "release.parquet")
    signed = served.analyst.attestation(release.id)
    attested = verify(file, signed.envelope, signed.public_key)
    (approval,) = attested.approvals
    assert isinstance(approval, Approval)
    assert (approval.officer, approval.binding, attested.sha256) == ("officer", digest, release.sha256)


def test_two_officers_are_needed_where_the_policy_says_so(served: Served) -> None:
    with pytest.raises(InvalidPolicy, match="the officers are 2"):
        awaiting(served, "unmet", needed=3)
    release = awaiting(served, "both", needed=2)
    once = served.approve(release, reason="looked")
    assert (once.state, once.approvals) == (ReleaseState.AWAITING_APPROVAL, ("officer",))
    with pytest.raises(PermissionDenied, match="approved it before"):
        served.approve(release, reason="looked again")
    with Client.from_state(served.state, SECOND) as second:
        twice = served.approve(release, reason="looked", client=second)
    assert (twice.state, twice.approvals) == (RELEASED, ("officer", SECOND))


def test_a_rejection_destroys(served: Served, tmp_path: Path) -> None:
    release = awaiting(served, "rejection", needed=1)
    assert release.binding is not None
    stored = served.state / "artifacts" / release.sha256
    assert stored.exists()
    rejected = served.officer.reject(release.id, reason="not for this purpose")
    assert (rejected.state, rejected.reasons) == (ReleaseState.REJECTED, ("OFFICER_REJECTED",))
    assert not stored.exists()
    assert served.balance("rejection").balance.committed.epsilon == 10**9
    with pytest.raises(WrongState):
        served.officer.approve(release.id, binding=release.binding.digest, reason="after all")
    for client in (served.analyst, served.steward, served.officer):
        with pytest.raises(WrongState):
            client.download(release.id, tmp_path / "late.parquet")
    seen = tuple(served.analyst.watch(release.id))[-1]
    assert (seen.state, seen.reasons, seen.sha256) == (ReleaseState.CLOSED, (), "")
