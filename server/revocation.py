"""Revocation: an officer takes back what was released, and everything that was derived from it.

Attestations that have left cannot be called back; what stops is everything that this gateway still gives out.
"""

from server import checkpoints
from server.catalog.base import ReleaseRecord
from server.gateway import Call, Gateway, checked_reason
from server.releases import destroy_data, move, read
from server.store import Transaction
from synthgate.errors import WrongState
from synthgate.release import ReleaseState


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
                move(gateway, tx, each, ReleaseState.REVOKED)
                tx.audit.append(
                    principal=call.principal.name, action="Revoke", resource=each.release.id, detail={"source": release}
                )
        revoked = [tx.releases.get(release), *_derived(tx, record, state=ReleaseState.REVOKED)]
    for each in revoked:
        destroy_data(gateway, each)
        gateway.news.publish(each.release.id)
    checkpoints.take(gateway)
    return read(gateway, call.principal, release)


def _derived(
    tx: Transaction, source: ReleaseRecord, *, state: ReleaseState = ReleaseState.RELEASED
) -> list[ReleaseRecord]:
    """The releases in ``state`` that were derived from ``source``; nothing is derived from a derived one."""
    return [
        each
        for each in tx.releases.list(dataset=source.release.dataset, states=(state,))
        if each.release.derivation is not None and each.release.derivation.source == source.release.id
    ]
