"""Releases as callers see and stop them. How they are asked for is in ``server.requests``, what happens to them in
``server.pipeline``."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from server import quorum
from server.catalog.base import ReleaseRecord
from server.failpoints import Step
from server.gateway import Call, Gateway
from server.identity import Office, Principal
from server.leases import revoke
from server.publication import next_tick
from server.store import Transaction
from synthgate.dataset import DatasetState
from synthgate.errors import NotFound, WrongState
from synthgate.ledger import ReservationState
from synthgate.release import ACTIVE, WORKING, ReleaseState

GENERATED = ("data", "model")
"""The kinds of artifacts that a fit made and that go where their release closes."""
PRIVATE = ("model", "report_json", "report_html", "report_decision")
"""Those that go with the dataset, whatever became of the release."""
PIECE = 250
"""Releases that are read in one transaction."""
NEEDING = (ReleaseState.RELEASED, ReleaseState.AWAITING_APPROVAL, *WORKING)
"""Where a release needs what was generated for it: it serves that, may yet, or is storing it now."""


def read(gateway: Gateway, principal: Principal, release: str) -> ReleaseRecord:
    """One release as the caller may see it. Raises NotFound for absent and forbidden ones alike."""
    with gateway.store.begin() as tx:
        return find(gateway, tx, principal, release)


def watch(gateway: Gateway, principal: Principal, release: str) -> tuple[ReleaseRecord, bool]:
    """`read`, and whether there is more in the store that the caller will be shown on a later tick."""
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        shown = _shown(gateway, tx, principal, record)
    return shown, not principal.sees_stages and shown.release.state is not record.release.state.seen_by_analyst


def find(gateway: Gateway, tx: Transaction, principal: Principal, release: str) -> ReleaseRecord:
    """`read`, in the caller's transaction."""
    return _shown(gateway, tx, principal, tx.releases.get(release))


def _shown(gateway: Gateway, tx: Transaction, principal: Principal, record: ReleaseRecord) -> ReleaseRecord:
    if not may_see(record, principal):
        raise NotFound(f"there is no release {record.release.id!r}")
    return seen(gateway, _approvals(gateway, tx, record, principal), principal)


def read_some(
    gateway: Gateway, principal: Principal, dataset: str, *, after: str = "", most: int
) -> tuple[ReleaseRecord, ...]:
    """The first ``most`` releases created after ``after`` that the caller may see, in the order of creation. Raises
    NotFound for an ``after`` that is absent or forbidden."""
    if after:
        read(gateway, principal, after)
    records: list[ReleaseRecord] = []
    while True:  # a piece at a time, so that others get their turn between
        with gateway.store.begin() as tx:
            piece = tx.releases.list(dataset=dataset, after=after, limit=PIECE)
            found = (record for record in piece if may_see(record, principal))
            records += (_approvals(gateway, tx, record, principal) for record in found)
        if len(records) >= most or len(piece) < PIECE:
            return tuple(seen(gateway, record, principal) for record in records[:most])
        after = piece[-1].release.id


def _approvals(gateway: Gateway, tx: Transaction, record: ReleaseRecord, principal: Principal) -> ReleaseRecord:
    """With what is approved, and by whom, for those who may read the report: its digest is part of it."""
    return quorum.shown(gateway, tx, record) if principal.office in (Office.STEWARD, Office.OFFICER) else record


def may_see(record: ReleaseRecord, principal: Principal) -> bool:
    """Analysts see what they asked for; everyone else all of it."""
    return principal.sees_stages or record.release.requested_by == principal.name


def seen(gateway: Gateway, record: ReleaseRecord, principal: Principal) -> ReleaseRecord:
    """The record as the caller may see it now: to analysts one bit, from the tick after the state came to rest."""
    policy = record.policy
    release = replace(record.release, policy=policy.name, policy_version=policy.version, policy_digest=policy.digest)
    if principal.sees_stages:
        stage = gateway.news.stages.get(release.id, "") if release.state in ACTIVE else ""
        return replace(record, release=replace(release, stage=stage or record.failure))
    published = next_tick(release.updated_at, gateway.settings.verdict_tick_s)
    state = release.state.seen_by_analyst
    if state is ReleaseState.PENDING or gateway.now() < published:
        state, updated = ReleaseState.PENDING, release.created_at
    else:
        updated = published
    # Why a derived release failed follows from the request and a model that has passed: no row had a part in it.
    stage = record.failure if release.derivation is not None and state is ReleaseState.CLOSED else ""
    hidden: dict[str, Any] = {"stage": stage, "reasons": (), "approvals": (), "approvals_needed": 0, "binding": None}
    hidden["margin"] = None
    if state is not ReleaseState.RELEASED:
        hidden |= {"sha256": "", "bytes": 0, "rows": 0}
    shown = replace(release, state=state, updated_at=updated, **hidden)
    return replace(record, release=shown, failure="", artifacts={} if hidden.get("rows") == 0 else record.artifacts)


def cancel(gateway: Gateway, call: Call, release: str) -> ReleaseRecord:
    """Stop the work. The charge is voided while nothing was committed, and stays otherwise. Raises NotFound,
    WrongState for a release at rest (to an analyst only once that is published)."""
    record = read(gateway, call.principal, release)
    with gateway.store.begin() as tx:
        if call.answered(tx) is None:
            if record.release.state.terminal:
                raise WrongState(f"release {release!r} is {record.release.state} and cannot be cancelled")
            call.answer(tx, release)
            gateway.at(Step.CANCEL_WRITING)
    gateway.at(Step.CANCEL_ASKED)
    # Also where the answer was kept before: a crash may have come between the answer and the deed.
    stop(gateway, release, by=call.principal.name, reason="cancelled on request")
    return read(gateway, call.principal, release)


def stop(gateway: Gateway, release: str, *, by: str, reason: str) -> None:
    """Bring a release to CANCELLED: as soon as its job has ended where it runs here, else at once; a job of another
    gateway is fenced, and that gateway kills its worker at the next heartbeat. Idempotent."""
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        state = record.release.state
        here = gateway.leases.has(tx, release)
        elsewhere = state in WORKING and not here
        if elsewhere:
            revoke(tx, release)
        if state is ReleaseState.PENDING and record.release.derivation is None and _untouched(tx, release):
            tx.ledger.void(release, by=by, reason=reason)
        if elsewhere or state in (ReleaseState.PENDING, ReleaseState.AWAITING_APPROVAL):
            move(gateway, tx, record, ReleaseState.CANCELLED)
            tx.audit.append(principal=by, action="Cancel", resource=release, detail={"reason": reason})
        gateway.at(Step.VOID_WRITING)
    gateway.at(Step.VOIDED)
    if state in ACTIVE and (running := gateway.running.get(release)):
        running.set()
    gateway.sealed.destroy(release)  # before the caller is told: nothing of it is repeated, whatever happens now
    if state is ReleaseState.AWAITING_APPROVAL:
        destroy_data(gateway, record)
    gateway.news.publish(release)


def _untouched(tx: Transaction, release: str) -> bool:
    """Whether its charge is only reserved: no row was opened for it. One that waits to be repeated is charged."""
    return tx.ledger.reservation(release).state is ReservationState.RESERVED


def move(
    gateway: Gateway, tx: Transaction, record: ReleaseRecord, state: ReleaseState, *, failure: str = "", **changes: Any
) -> ReleaseRecord:
    """Write the record in another state, if the transition table allows it."""
    release = replace(record.release, state=state, updated_at=gateway.now(), **changes)
    moved = replace(record, release=release, failure=failure)
    tx.releases.replace(moved, expected=record.release.state)
    return moved


def destroy_data(gateway: Gateway, record: ReleaseRecord) -> None:
    """Destroy the stored sample and model of a release that will never be served, unless another needs the same
    bytes."""
    generated = {record.artifacts[kind] for kind in GENERATED if kind in record.artifacts}
    destroy_unneeded(gateway, generated, of=record.release.id, states=NEEDING)


def destroy_unneeded(
    gateway: Gateway, digests: Collection[str], *, of: str = "", states: tuple[ReleaseState, ...] = ()
) -> None:
    """Destroy artifacts, but for those that a release needs, among those in ``states`` (empty: all): the one that they
    are ``of`` where it is at rest, and any other.

    In one transaction: whoever stores the same bytes has said so in an earlier one (`server.attempts.kept`), and these
    stay, or says so in a later one and stores them after that."""
    with gateway.store.begin() as tx:
        existing = {record.dataset.name for record in tx.datasets.list()}
        needed = {
            digest
            for other in tx.releases.list(states=states)
            if other.release.id != of or other.release.state not in WORKING  # what is done may have been told as failed
            for digest in _needed(other, existing)
        }
        gateway.at(Step.DATA_GOING)
        for digest in set(digests) - needed:
            gateway.artifacts.destroy(digest)
    gateway.at(Step.DATA_GONE)


def _needed(record: ReleaseRecord, existing: Collection[str]) -> Iterator[str]:
    for kind, digest in record.artifacts.items():
        needed = kind not in GENERATED or record.release.state in NEEDING
        if needed and (kind not in PRIVATE or record.release.dataset in existing):
            yield digest


def report(gateway: Gateway, principal: Principal, release: str, *, kind: str) -> bytes:
    """One form of the report, exact and private. Raises NotFound, DataCorrupted, and WrongState where there is none, no
    more, or none yet because it is sealed."""
    record = read(gateway, principal, release)
    name = record.release.dataset
    with gateway.store.begin() as tx:
        deleted = tx.datasets.get(name).dataset.state is DatasetState.DELETED
    if deleted:
        raise WrongState(
            f"the report of release {release!r} was destroyed with its dataset {name!r}, which was deleted"
        )
    _check_unsealed(record)
    if kind not in record.artifacts:
        what = "decision page" if kind == "report_decision" else "report"
        raise WrongState(f"release {release!r} is {record.release.state} and has no {what}")
    with gateway.artifacts.open(record.artifacts[kind]) as file:
        return file.read()


def attestation(gateway: Gateway, principal: Principal, release: str) -> bytes:
    """The signed attestation of what was released. Raises NotFound, DataCorrupted, WrongState."""
    record = read(gateway, principal, release)
    if record.release.state not in (ReleaseState.RELEASED, ReleaseState.REVOKED):
        raise WrongState(f"release {release!r} is {record.release.state}; only released data are attested")
    with gateway.artifacts.open(record.artifacts["attestation"]) as file:
        return file.read()


def _check_unsealed(record: ReleaseRecord) -> None:
    """Raise WrongState where exact scores are sealed: while something may still be decided about a release whose
    verdict is accounted, nobody is to decide by them."""
    if record.accounted and not record.release.state.terminal:
        raise WrongState(
            f"release {record.release.id!r} is {record.release.state}: its exact scores are sealed until it is at rest;"
            " `release show` has the noisy margin that decided"
        )


def downloadable(gateway: Gateway, principal: Principal, release: str) -> ReleaseRecord:
    """The record of a RELEASED release whose bytes the caller may have. Raises NotFound, WrongState, ReadOnly."""
    gateway.doubt.check()  # a restored database does not know what was revoked since
    record = read(gateway, principal, release)
    if principal.office is Office.AUDITOR:
        raise NotFound(f"there is no release {release!r} to download")
    if record.release.state is not ReleaseState.RELEASED:
        raise WrongState(f"release {release!r} is {record.release.state}; only RELEASED data can be downloaded")
    return record
