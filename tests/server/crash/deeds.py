"""What people do in a life besides asking, and what is looked at afterwards: officers decide of its release, amend an
account and accept a database, a steward opens, registers, deletes, uploads and links.

Each is asked under one request id for ever, so that every life does it again.
"""

import hashlib
from collections.abc import Callable

from server import (
    accounts,
    approvals,
    checkpoints,
    datasets,
    erasure,
    populations,
    quorum,
    releases,
    restore,
    revocation,
)
from server.derived import create as create_derived
from server.gateway import Call, Gateway
from server.identity import Principal
from synthgate.dataset import DatasetState, PrivacyUnit, PublicSizes
from synthgate.derivation import Derivation
from synthgate.policy import EXACT_POLICY
from tests.server.composed import ANALYST, DOMAIN, STEWARD, Clock, call
from tests.server.uploading import OFFICER, people

PEOPLE = people(0, 1_000)
UPLOADED, FIRST, OLD, NEW = "uploaded", "first", "old", "new"
"""A dataset that a life uploads to the account ``new``; and one that was uploaded to ``old`` before."""
FOUNDED, DECLARED = "founded", "declared"
"""An account that a life opens, and a dataset that it registers there."""


def _asked(who: Principal, method: str) -> Call:
    return Call(who, method, f"the one {method}", "payload")


def _release(gateway: Gateway) -> str:
    with gateway.store.begin() as tx:
        return tx.releases.list()[0].release.id


def cancel(gateway: Gateway) -> None:
    releases.cancel(gateway, _asked(ANALYST, "CancelRelease"), _release(gateway))


def derive(gateway: Gateway) -> None:
    create_derived(gateway, _asked(ANALYST, "DeriveRelease"), Derivation(source=_release(gateway)))


def approve(gateway: Gateway) -> None:
    with gateway.store.begin() as tx:
        record = tx.releases.list()[0]
        binding = quorum.quorum(gateway, tx, record).binding.digest
    approvals.approve(
        gateway, _asked(OFFICER, "ApproveRelease"), record.release.id, binding=binding, reason="looked at it"
    )


def refuse(gateway: Gateway) -> None:
    approvals.reject(gateway, _asked(OFFICER, "RejectRelease"), _release(gateway), reason="looked at it")


def overdue(gateway: Gateway) -> None:
    """Nobody answers, for so long that the gateway does."""
    assert isinstance(gateway.now, Clock)
    gateway.now.seconds += gateway.settings.waiting_days * 86_400
    approvals.close_overdue(gateway)


def revoke(gateway: Gateway) -> None:
    revocation.revoke(gateway, _asked(OFFICER, "RevokeRelease"), _release(gateway), reason="looked at it")


def delete(gateway: Gateway) -> None:
    erasure.delete(gateway, _asked(STEWARD, "DeleteDataset"), "table")


def upload(gateway: Gateway, name: str = UPLOADED) -> None:
    sending = datasets.upload(gateway, STEWARD, name)
    if sending.begin(total_bytes=len(PEOPLE), sha256=hashlib.sha256(PEOPLE).hexdigest()):
        sending.append(sending.received_bytes, PEOPLE[sending.received_bytes :])
        sending.finish(STEWARD)


def link(gateway: Gateway) -> None:
    populations.link(gateway, _asked(STEWARD, "LinkDataset"), UPLOADED)


def distinguish(gateway: Gateway) -> None:
    populations.distinguish(gateway, _asked(OFFICER, "LinkDataset"), UPLOADED, reason="other people")


def found(gateway: Gateway) -> None:
    _open(gateway, _asked(STEWARD, "OpenAccount"), FOUNDED)


def register(gateway: Gateway) -> None:
    _register(gateway, _asked(STEWARD, "CreateDataset"), DECLARED, FOUNDED)


def amend(gateway: Gateway) -> None:
    accounts.amend_account(
        gateway, _asked(OFFICER, "AmendAccount"), name=FOUNDED, epsilon=2.0, delta=None, verdicts_granted=5,
        reason="looked at it",
    )  # fmt: skip


def accept(gateway: Gateway) -> None:
    restore.accept(gateway, by="officer", reason="the disk died")


DEEDS: dict[str, tuple[Callable[[Gateway], None], ...]] = {
    "derived": (derive,),
    "approved": (approve,),
    "refused": (refuse,),
    "overdue": (overdue,),
    "revoked": (revoke,),
    "deleted": (delete,),
    "uploaded": (upload,),
    "linked": (upload, link),
    "distinct": (upload, distinguish),
    "spoiled": (upload,),
    "founded": (found, register, amend),
    "restored": (accept,),
}
"""What is done once the queue has been gone through, by scenario; it is gone through again after each."""


def declare(gateway: Gateway, name: str, account: str) -> None:
    """A dataset of people that awaits its rows, on an account of its own."""
    _open(gateway, call(STEWARD), account)
    _register(gateway, call(STEWARD), name, account)


def _open(gateway: Gateway, asked: Call, account: str) -> None:
    accounts.open_account(gateway, asked, name=account, epsilon=3.0, delta=1e-6, sandbox=False)


def _register(gateway: Gateway, asked: Call, name: str, account: str) -> None:
    datasets.register(
        gateway, asked, name=name, domain=DOMAIN, unit=PrivacyUnit(column="who"),
        sizes=PublicSizes(rows=1_000, units=1_000), account=account, policy=EXACT_POLICY,
    )  # fmt: skip


def standing(gateway: Gateway) -> list[str]:
    """Where the uploaded dataset is, and what of it lies on the disk; the same at rest whatever struck."""
    settings = gateway.settings
    with gateway.store.begin() as tx:
        record = tx.datasets.get(UPLOADED)
    ready = record.dataset.state is DatasetState.READY
    assert (settings.rows / UPLOADED).exists() == ready, "rows of a dataset that is not READY, or none of one that is"
    assert populations.path(gateway, UPLOADED).exists() == bool(record.fingerprint) == ready, "a fingerprint is lost"
    if ready:
        fingerprint = hashlib.sha256(populations.path(gateway, UPLOADED).read_bytes()).hexdigest()
        assert fingerprint == record.fingerprint, "the fingerprint is another"
        sending = datasets.Upload(gateway, UPLOADED)
        assert not sending.path.exists(), "the upload outlived its ingest"
    return [str(record.dataset.state), record.dataset.account]


def books(gateway: Gateway) -> list[str]:
    """What the ledger and the newest checkpoint have of the account that was opened and amended."""
    gateway.keys.account(FOUNDED)
    with gateway.store.begin() as tx:
        kinds = [str(entry.kind) for entry in tx.ledger.entries(FOUNDED)]
        account, dataset = tx.ledger.balance(FOUNDED).account, tx.datasets.get(DECLARED).dataset
    known = checkpoints.newest(gateway)
    assert known is not None
    (signed,) = (each for each in known.accounts if each.account == FOUNDED)
    told = (signed.cap, signed.verdicts_granted)
    assert told == (account.cap, account.verdicts_granted), "no checkpoint was signed of the account as it is"
    return [*kinds, f"{account.cap.epsilon:g}", str(account.verdicts_granted), str(dataset.state)]


def spent(gateway: Gateway) -> list[str]:
    """The charges of the account whose database was restored, and whether that is in doubt."""
    with gateway.store.begin() as tx:
        checkpoints.compare(gateway, tx, starting=True)
        standing = tx.ledger.standing("people")
    return [str(standing.committed.epsilon), gateway.doubt.reason]


UPLOADS = ("uploaded", "linked", "distinct", "spoiled")
LOOKS = {**dict.fromkeys(UPLOADS, standing), "founded": books, "restored": spent}
"""Where no release is asked for: what is looked at instead."""
