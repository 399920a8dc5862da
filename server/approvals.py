"""Approval: officers put their names under all that was judged, by one digest, or refuse it. What counts, and how many
must, is in `server.quorum`."""

from dataclasses import replace
from datetime import timedelta

from server import checkpoints
from server.catalog.base import ReleaseRecord
from server.failpoints import Step
from server.gateway import GATEWAY, Call, Gateway, checked_reason
from server.publication import publish
from server.quorum import quorum
from server.releases import destroy_data, move, read
from synthgate.approval import APPROVAL_TYPE, Approval
from synthgate.attestation import canonical_json
from synthgate.errors import PermissionDenied, WrongState
from synthgate.release import ReleaseState

OFFICER_REJECTED, APPROVALS_MISSING = "OFFICER_REJECTED", "APPROVALS_MISSING"
"""Why a release that passed is REJECTED after all: an officer said no, or too few said yes in time."""


def approve(gateway: Gateway, call: Call, release: str, *, binding: str, reason: str) -> ReleaseRecord:
    """Put an officer's name under what was looked at, by the digest of the binding; the last one needed releases it.

    Raises NotFound, InvalidArgument, WrongState (also where the digest is another now), PermissionDenied where the
    approval would not count: by the requester, the registrar, the same person a second time, or no officer.
    """
    reason = checked_reason(reason)
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if call.answered(tx) is None:
            _awaiting(record)
            before = quorum(gateway, tx, record)
            if binding != before.binding.digest:
                raise WrongState("the digest is not that of the binding awaiting approval; look at it again")
            given = _signed(gateway, call.principal.name, binding)
            record = replace(record, approvals=(*record.approvals, given))
            found = quorum(gateway, tx, record)
            if len(found.counted) == len(before.counted):
                raise PermissionDenied(f"this approval would not count: {found.void[-1][1]}; ask another officer")
            record = replace(record, release=replace(record.release, approvals=found.officers))
            tx.releases.replace(record, expected=ReleaseState.AWAITING_APPROVAL)
            call.answer(tx, release, reason=reason, binding=binding)
            if found.reached:
                publish(gateway, tx, record)
            gateway.at(Step.APPROVE_WRITING)
    gateway.at(Step.APPROVED)
    checkpoints.take(gateway)
    gateway.news.publish(release)
    return read(gateway, call.principal, release)


def reject(gateway: Gateway, call: Call, release: str, *, reason: str) -> ReleaseRecord:
    """An officer's refusal: REJECTED, and the rows are destroyed. Raises NotFound, WrongState."""
    reason = checked_reason(reason)
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if call.answered(tx) is None:
            _awaiting(record)
            move(gateway, tx, record, ReleaseState.REJECTED, reasons=(OFFICER_REJECTED,))
            call.answer(tx, release, reason=reason)
            gateway.at(Step.REFUSE_WRITING)
    gateway.at(Step.REFUSED)
    destroy_data(gateway, record)
    checkpoints.take(gateway)
    gateway.news.publish(release)
    return read(gateway, call.principal, release)


def close_overdue(gateway: Gateway) -> tuple[str, ...]:
    """Bring to REJECTED what has awaited approval for longer than the settings allow, and destroy its rows. Returns the
    releases that were closed. Idempotent, and the same by whichever gateway is first."""
    with gateway.store.begin() as tx:
        latest = gateway.now() - timedelta(days=gateway.settings.waiting_days)
        waiting = tx.releases.list(states=(ReleaseState.AWAITING_APPROVAL,))
        overdue = tuple(record for record in waiting if record.release.updated_at <= latest)
        if not overdue:
            return ()
        for record in overdue:
            move(gateway, tx, record, ReleaseState.REJECTED, reasons=(APPROVALS_MISSING,))
            tx.audit.append(
                principal=GATEWAY, action="Reject", resource=record.release.id, detail={"reason": APPROVALS_MISSING}
            )
        gateway.at(Step.OVERDUE_WRITING)
    gateway.at(Step.OVERDUE)
    for record in overdue:
        destroy_data(gateway, record)
        gateway.news.publish(record.release.id)
    checkpoints.take(gateway)
    return tuple(record.release.id for record in overdue)


def _signed(gateway: Gateway, officer: str, binding: str) -> str:
    now = gateway.now()
    approval = Approval(
        officer=officer, binding=binding, at=now, expires_at=now + timedelta(days=gateway.settings.approval_days),
        names=tuple(sorted(gateway.settings.names(officer))),
    )  # fmt: skip
    return gateway.signer.sign_payload(canonical_json(approval.to_dict()), payload_type=APPROVAL_TYPE).decode()


def _awaiting(record: ReleaseRecord) -> None:
    if record.release.state is not ReleaseState.AWAITING_APPROVAL:
        raise WrongState(f"release {record.release.id!r} is {record.release.state}, not AWAITING_APPROVAL")
