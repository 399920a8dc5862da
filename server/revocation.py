"""Revocation: an officer takes back what was released, and everything that was derived from it.

Attestations that have left cannot be called back; what stops is everything that this gateway still gives out, and the
signed list of what is revoked tells everybody else.
"""

from server import checkpoints
from server.catalog.base import ReleaseRecord
from server.failpoints import Step
from server.gateway import Call, Gateway, checked_reason
from server.publication import next_tick
from server.releases import destroy_data, move, read
from server.store import Transaction
from synthgate.attestation import canonical_json
from synthgate.errors import WrongState
from synthgate.release import ReleaseState
from synthgate.revocations import REVOCATIONS_TYPE, Revocation, RevocationList, RevocationReason


def revoke(gateway: Gateway, call: Call, release: str, *, reason: str) -> ReleaseRecord:
    """REVOKED, with every release derived from it, in one transaction; then their data and models are destroyed.

    A download under way ends after the chunk that it is sending. The attestation stays readable, and no charge is given
    back. Raises NotFound, WrongState unless RELEASED, InvalidArgument.
    """
    reason = checked_reason(reason)
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if call.answered(tx) is None:
            if record.release.state is not ReleaseState.RELEASED:
                raise WrongState(f"release {release!r} is {record.release.state}; only a RELEASED one can be revoked")
            call.answer(tx, release, reason=reason)
            for each in (record, *_derived(tx, record)):
                why = RevocationReason.OFFICER if each is record else RevocationReason.SOURCE
                move(gateway, tx, each, ReleaseState.REVOKED, reasons=(str(why),))
                tx.audit.append(
                    principal=call.principal.name, action="Revoke", resource=each.release.id, detail={"source": release}
                )
            gateway.at(Step.REVOKE_WRITING)
        revoked = [tx.releases.get(release), *_derived(tx, record, state=ReleaseState.REVOKED)]
    gateway.at(Step.REVOKED)
    for each in revoked:
        destroy_data(gateway, each)
        gateway.news.publish(each.release.id)
    checkpoints.take(gateway)
    return read(gateway, call.principal, release)


def signed_list(gateway: Gateway) -> bytes:
    """The DSSE envelope of all that is revoked. Everybody may have it, so it says when as the rest of what analysts see
    does, on the tick."""
    now, tick_s = gateway.now(), gateway.settings.verdict_tick_s
    with gateway.store.begin() as tx:
        revoked = tx.releases.list(states=(ReleaseState.REVOKED,))
    entries = (_entry(record, tick_s) for record in revoked)
    known = sorted((e for e in entries if e.revoked_at <= now), key=lambda e: (e.revoked_at, e.release))
    found = RevocationList(issued_at=now, entries=tuple(known))
    return gateway.signer.sign_payload(canonical_json(found.to_dict()), payload_type=REVOCATIONS_TYPE)


def _entry(record: ReleaseRecord, tick_s: float) -> Revocation:
    release = record.release
    return Revocation(
        release=release.id,
        sha256=record.artifacts["data"],
        revoked_at=next_tick(release.updated_at, tick_s),
        reason=RevocationReason(*release.reasons) if release.reasons else RevocationReason.OFFICER,
    )


def _derived(
    tx: Transaction, source: ReleaseRecord, *, state: ReleaseState = ReleaseState.RELEASED
) -> list[ReleaseRecord]:
    """The releases in ``state`` that were derived from ``source``; nothing is derived from a derived one."""
    return [
        each
        for each in tx.releases.list(dataset=source.release.dataset, states=(state,))
        if each.release.derivation is not None and each.release.derivation.source == source.release.id
    ]
