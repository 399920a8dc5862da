"""Approval: officers put their names under the very bytes that were judged, or refuse them."""

from dataclasses import replace

from server.catalog.base import ReleaseRecord
from server.gateway import Call, Gateway, checked_reason
from server.publication import publish
from server.releases import destroy_data, move, read
from synthgate.errors import PermissionDenied, WrongState
from synthgate.release import ReleaseState


def approve(gateway: Gateway, call: Call, release: str, *, sha256: str, reason: str) -> ReleaseRecord:
    """Put an officer's name under the very bytes that were looked at; the last one needed releases them.

    Raises NotFound, WrongState, PermissionDenied (requester, registrar, or a second time).
    """
    reason, who = checked_reason(reason), call.principal.name
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if call.answered(tx) is None:
            _awaiting(record)
            if sha256 != record.artifacts["data"]:
                raise WrongState("the digest is not that of the artifact awaiting approval; look at it again")
            registrar = tx.datasets.get(record.release.dataset).dataset.registered_by
            if who in (record.release.requested_by, registrar, *record.release.approvals):
                raise PermissionDenied("nobody approves twice, nor what they requested or registered")
            approved = replace(record.release, approvals=(*record.release.approvals, who))
            record = replace(record, release=approved)
            tx.releases.replace(record, expected=ReleaseState.AWAITING_APPROVAL)
            call.answer(tx, release, reason=reason, sha256=sha256)
            if len(approved.approvals) >= approved.approvals_needed:
                publish(gateway, tx, record)
    gateway.news.publish(release)
    return read(gateway, call.principal, release)


def reject(gateway: Gateway, call: Call, release: str, *, reason: str) -> ReleaseRecord:
    """An officer's refusal: REJECTED, and the rows are destroyed. Raises NotFound, WrongState."""
    reason = checked_reason(reason)
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if call.answered(tx) is None:
            _awaiting(record)
            move(gateway, tx, record, ReleaseState.REJECTED, reasons=("OFFICER_REJECTED",))
            call.answer(tx, release, reason=reason)
    destroy_data(gateway, record)
    gateway.news.publish(release)
    return read(gateway, call.principal, release)


def _awaiting(record: ReleaseRecord) -> None:
    if record.release.state is not ReleaseState.AWAITING_APPROVAL:
        raise WrongState(f"release {record.release.id!r} is {record.release.state}, not AWAITING_APPROVAL")
