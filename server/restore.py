"""`accept`: an officer takes a restored database as what it is, and no budget comes back with it.

What was charged after the backup is gone from the database, but the newest checkpoint knows of it, because one is
written after every charge that became final and before a row is opened for it. So, account by account, what the newest
checkpoint has committed beyond the newest checkpoint that the database still contains is reserved and committed again.
Where that is not known exactly it is more: charges between those two checkpoints that the backup still holds count
twice, and with no checkpoint in the chain all of them do. Where the cap does not admit it, both meters are filled. So
are those of every account where the newest checkpoint is lost, altered or another key's, since then nobody knows.

What the backup left unfinished is closed, since nobody knows what became of it; what was revoked is revoked again.
"""

from dataclasses import dataclass

from server import checkpoints
from server.catalog.base import ReleaseRecord
from server.failpoints import Step
from server.gateway import Gateway, checked_reason
from server.leases import revoke
from server.ledger import meter
from server.releases import destroy_data, move
from server.store import Transaction
from synthgate.checkpoint import Amounts, Checkpoint, Standing
from synthgate.errors import AlreadyExists, FailedPrecondition, VerificationFailed
from synthgate.ledger import Balance, Charge, ReservationState
from synthgate.release import ACTIVE, ReleaseState

UNFINISHED = (*ACTIVE, ReleaseState.AWAITING_APPROVAL)
NOTHING = Amounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was done: charges counted again by account, accounts that were filled, releases closed or revoked."""

    why: str
    charged: tuple[str, ...]
    filled: tuple[str, ...]
    closed: tuple[str, ...]
    revoked: tuple[str, ...]


def accept(gateway: Gateway, *, by: str, reason: str) -> Accepted:
    """Take the database as it is, in one transaction, and write the checkpoint that the next start compares it with.

    Raises InvalidArgument without a reason, FailedPrecondition where the database is not in doubt.
    """
    reason = checked_reason(reason)
    with gateway.store.begin() as tx:
        checkpoints.compare(gateway, tx, starting=True)
        why = gateway.doubt.reason
        if not why:
            raise FailedPrecondition("the database contains its newest checkpoint: there is nothing to accept")
        newest = next(checkpoints.valid(gateway), None)
        held = next((c for c in checkpoints.valid(gateway) if not checkpoints.lacking(tx, c)), None)
        unfinished = tx.releases.list(states=UNFINISHED)
        for record in unfinished:
            _close(gateway, tx, record, by=by)
        again = _revoke(gateway, tx, newest.revoked if newest else (), by=by)
        label = f"restored-{newest.number if newest else 0}-{tx.ledger.head()[:12]}"
        charged, filled = _charge(gateway, tx, newest, held, label=label, by=by, reason=reason)
        if not _trusted(gateway):
            filled = tuple(_fill(tx, a.name, label=label, by=by) for a in tx.ledger.accounts())
        accepted = Accepted(
            why=why, charged=charged, filled=filled, closed=tuple(r.release.id for r in unfinished),
            revoked=tuple(r.release.id for r in again),
        )  # fmt: skip
        detail = {"reason": reason, "why": why, "charged": ", ".join(charged), "filled": ", ".join(filled)}
        tx.audit.append(principal=by, action="AcceptRestore", resource="database", detail=detail)
        checkpoints.write(gateway, tx)  # what a crash leaves in between is in doubt still, and is accepted once more
        gateway.at(Step.ACCEPT_WRITING)
    gateway.at(Step.ACCEPTED)
    gateway.doubt.reason = ""
    for record in (*unfinished, *again):
        destroy_data(gateway, record)
    return accepted


def _close(gateway: Gateway, tx: Transaction, record: ReleaseRecord, *, by: str) -> None:
    release = record.release
    revoke(tx, release.id)
    if release.derivation is None and tx.ledger.reservation(release.id).state is ReservationState.RESERVED:
        tx.ledger.void(release.id, by=by, reason="the database was restored")
    move(gateway, tx, record, ReleaseState.CANCELLED)
    tx.audit.append(principal=by, action="Cancel", resource=release.id, detail={"reason": "the database was restored"})


def _revoke(gateway: Gateway, tx: Transaction, names: tuple[str, ...], *, by: str) -> list[ReleaseRecord]:
    released = tx.releases.list(states=(ReleaseState.RELEASED,))
    again = [record for record in released if record.release.id in names]
    for record in again:
        move(gateway, tx, record, ReleaseState.REVOKED)
        detail = {"reason": "it was revoked after the backup"}
        tx.audit.append(principal=by, action="Revoke", resource=record.release.id, detail=detail)
    return again


def _charge(
    gateway: Gateway, tx: Transaction, newest: Checkpoint | None, held: Checkpoint | None, *, label: str, by: str,
    reason: str,
) -> tuple[tuple[str, ...], tuple[str, ...]]:  # fmt: skip
    """Bring every account of the newest checkpoint up to it. Returns those charged and those that were filled."""
    before = {s.account: s.committed for s in held.accounts} if held else {}
    charged, filled = [], []
    for known in newest.accounts if newest else ():
        charges = split(known.committed.beyond(before.get(known.account, NOTHING)))
        try:
            _reinstate(gateway, tx, known, by=by, reason=reason)
            for number, charge in enumerate(charges, 1):
                _commit(tx, known.account, f"{label}-{known.account}-{number}", charge, by=by)
        except FailedPrecondition:  # the cap that it had, or what is left of it, is too small
            filled.append(_fill(tx, known.account, label=label, by=by))
        if charges:
            charged.append(known.account)
    return tuple(charged), tuple(filled)


def _trusted(gateway: Gateway) -> bool:
    """Whether the newest checkpoint that was ever made is there, as far as its folder tells."""
    try:
        return checkpoints.newest(gateway) is not None
    except VerificationFailed:
        return False


def _fill(tx: Transaction, account: str, *, label: str, by: str) -> str:
    """Leave nothing on either meter of the account. Returns its name."""
    if left := rest(tx.ledger.balance(account)):
        _commit(tx, account, f"{label}-{account}-rest", left, by=by)
    return account


def _reinstate(gateway: Gateway, tx: Transaction, known: Standing, *, by: str, reason: str) -> None:
    """Open the account again where the database does not know it, and give it the cap and grant that it had."""
    gateway.keys.create_account(known.account)
    account = meter.new_account(known.account, known.opened_with, sandbox=known.sandbox, by=by, at=gateway.now())
    try:
        tx.ledger.open(account, reason=reason)
    except AlreadyExists:
        account = tx.ledger.balance(known.account).account
    if (account.cap, account.verdicts_granted) == (known.cap, known.verdicts_granted):
        return
    tx.ledger.amend(known.account, cap=known.cap, verdicts_granted=known.verdicts_granted, by=by, reason=reason)


def _commit(tx: Transaction, account: str, reservation: str, charge: Charge, *, by: str) -> None:
    tx.ledger.reserve(account, reservation, charge, by=by)
    tx.ledger.commit(reservation, by=by)


def split(missing: Amounts) -> list[Charge]:
    """As many charges as are missing, since each stands for a verdict, that sum up to what is missing, or to a few
    units more where there are more charges than units."""
    if missing == NOTHING:
        return []
    count = max(1, missing.charges, missing.opaque + (missing.rdp > 0))
    measured = count - missing.opaque
    epsilons, deltas = _parts(missing.epsilon, count), _parts(missing.delta, count)
    rdps = [*_parts(missing.rdp, measured), *[None] * missing.opaque]
    return [Charge(epsilon=max(1, e), delta=d, rdp=r) for e, d, r in zip(epsilons, deltas, rdps, strict=True)]


def _parts(amount: int, count: int) -> list[int]:
    return [amount // count + (i < amount % count) for i in range(count)]


def rest(balance: Balance) -> Charge | None:
    """The charge that leaves nothing on either meter; None where nothing fits any more."""
    account, spent = balance.account, balance.rdp
    charge = Charge(
        epsilon=max(1, account.cap.epsilon_units - balance.epsilon),
        delta=max(0, balance.delta_cap - balance.delta),
        rdp=None if spent is None else max(0, account.capacity - spent),
    )
    return charge if balance.admits(charge) else None
