"""Officers put their names under the very bytes that were judged, or refuse them; nobody else can."""

from dataclasses import replace
from pathlib import Path

import pytest

from server import approvals
from server.app import compose
from server.config import Settings
from server.gateway import Call
from server.identity import Office, Principal
from synthgate.errors import InvalidArgument, InvalidPolicy, PermissionDenied, WrongState
from synthgate.release import Release, ReleaseState
from synthgate.verify import verify
from tests.e2e.people import LENIENT
from tests.e2e.process import Served


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

    with pytest.raises(WrongState, match="digest"):
        served.officer.approve(release.id, sha256="0" * 64, reason="looked")
    with pytest.raises(InvalidArgument, match="reason"):
        served.officer.approve(release.id, sha256=release.sha256, reason=" ")
    for client in (served.steward, served.analyst, served.auditor):
        with pytest.raises(PermissionDenied):
            client.approve(release.id, sha256=release.sha256, reason="looked")
    assert served.officer.release(release.id).approvals == ()

    approved = served.officer.approve(release.id, sha256=release.sha256, reason="looked", request_id="once")
    assert (approved.state, approved.approvals) == (ReleaseState.RELEASED, ("officer",))
    assert served.officer.approve(release.id, sha256=release.sha256, reason="looked", request_id="once") == approved
    with pytest.raises(WrongState):
        served.officer.reject(release.id, reason="too late")
    assert tuple(served.analyst.watch(release.id))[-1].state is ReleaseState.RELEASED
    file = served.analyst.download(release.id, tmp_path / "release.parquet")
    signed = served.analyst.attestation(release.id)
    attested = verify(file, signed.envelope, signed.public_key)
    assert (attested.approvals, attested.sha256) == (("officer",), release.sha256)


def test_whoever_asked_or_registered_or_approved_cannot_approve_and_a_rejection_destroys(
    served: Served, tmp_path: Path
) -> None:
    with pytest.raises(InvalidPolicy, match="the officers are 1"):
        awaiting(served, "unmet", needed=2)
    gateway = compose(Settings(state=served.state))
    with gateway.store.begin() as tx:
        tx.principals.replace("second-officer", "officer", "0" * 64)
    release = awaiting(served, "rejection", needed=2)
    for name in (release.requested_by, "steward"):
        call = Call(Principal(name, Office.OFFICER), "ApproveRelease", f"as {name}", "payload")
        with pytest.raises(PermissionDenied, match="requested or registered"):
            approvals.approve(gateway, call, release.id, sha256=release.sha256, reason="my own")
    gateway.store.close()
    once = served.officer.approve(release.id, sha256=release.sha256, reason="looked")
    assert (once.state, once.approvals) == (ReleaseState.AWAITING_APPROVAL, ("officer",))
    with pytest.raises(PermissionDenied, match="twice"):
        served.officer.approve(release.id, sha256=release.sha256, reason="looked again")

    stored = served.state / "artifacts" / release.sha256
    assert stored.exists()
    rejected = served.officer.reject(release.id, reason="not for this purpose")
    assert (rejected.state, rejected.reasons) == (ReleaseState.REJECTED, ("OFFICER_REJECTED",))
    assert not stored.exists()
    assert served.balance("rejection").balance.committed.epsilon == 10**9
    with pytest.raises(WrongState):
        served.officer.approve(release.id, sha256=release.sha256, reason="after all")
    for client in (served.analyst, served.steward, served.officer):
        with pytest.raises(WrongState):
            client.download(release.id, tmp_path / "late.parquet")
    seen = tuple(served.analyst.watch(release.id))[-1]
    assert (seen.state, seen.reasons, seen.sha256) == (ReleaseState.CLOSED, (), "")
