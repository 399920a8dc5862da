"""What people do in a life besides asking: officers decide of its release, a steward deletes, uploads and links.

Each is asked under one request id for ever, so that every life does it again.
"""

import hashlib
from collections.abc import Callable

from server import accounts, approvals, datasets, erasure, populations, quorum, releases, revocation
from server.derived import create as create_derived
from server.gateway import Call, Gateway
from server.identity import Principal
from synthgate.dataset import DatasetState, PrivacyUnit, PublicSizes
from synthgate.derivation import Derivation
from synthgate.policy import EXACT_POLICY
from tests.server.composed import ANALYST, DOMAIN, STEWARD, call
from tests.server.uploading import OFFICER, people

PEOPLE = people(0, 1_000)
UPLOADED, FIRST, OLD, NEW = "uploaded", "first", "old", "new"
"""A dataset that a life uploads to the account ``new``; and one that was uploaded to ``old`` before."""


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


DEEDS: dict[str, tuple[Callable[[Gateway], None], ...]] = {
    "derived": (derive,),
    "approved": (approve,),
    "refused": (refuse,),
    "revoked": (revoke,),
    "deleted": (delete,),
    "uploaded": (upload,),
    "linked": (upload, link),
    "distinct": (upload, distinguish),
}
"""What is done once the queue has been gone through, by scenario; it is gone through again after each."""
UPLOADS = ("uploaded", "linked", "distinct")
"""The scenarios of which the dataset is looked at, and no release is asked for."""


def declare(gateway: Gateway, name: str, account: str) -> None:
    """A dataset of people that awaits its rows, on an account of its own."""
    accounts.open_account(gateway, call(STEWARD), name=account, epsilon=3.0, delta=1e-6, sandbox=False)
    datasets.register(
        gateway, call(STEWARD), name=name, domain=DOMAIN, unit=PrivacyUnit(column="who"),
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
