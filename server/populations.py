"""Populations: who was uploaded to one account gets no second budget in another account of the same tenant.

Every ingest leaves a fingerprint of its units (`server.jobs.fingerprint`) and is compared with those of the tenant's
other accounts, deleted datasets included. Where they overlap, the dataset is AWAITING_LINK: it has no rows that a
release could be asked of, and its upload is kept. The steward of both ends that by `link`, after which the same upload
is read anew under the account that it overlaps, or an officer by `distinguish`.

Only its own steward sees that a dataset waits, and nobody is told for which account: whoever could ask freely would
learn who is in somebody else's data. Other tenants are not compared with at all.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from server.catalog.base import DatasetRecord
from server.failpoints import Step
from server.gateway import Call, Gateway, checked_reason
from server.identity import Office, Principal
from server.store import Transaction
from synthgate.dataset import DatasetState
from synthgate.errors import FailedPrecondition, NotFound, PermissionDenied, WrongState


@dataclass(frozen=True, slots=True)
class Known:
    """The fingerprint of an earlier upload."""

    dataset: str
    account: str
    sha256: str


def known(tx: Transaction, record: DatasetRecord) -> tuple[Known, ...]:
    """What an upload of ``record`` is compared with: all that its tenant ever ingested to other accounts, without those
    that an officer said are distinct people."""
    own = (record.dataset.account, *record.distinct_from)
    return tuple(
        Known(other.dataset.name, other.dataset.account, other.fingerprint)
        for other in _fingerprints(tx, record.tenant)
        if other.dataset.account not in own
    )


def key(gateway: Gateway, tx: Transaction, tenant: str) -> bytes:
    """The key of the tenant's fingerprints. Raises InternalError where it is lost."""
    return gateway.keys.tenant(tenant, used=bool(_fingerprints(tx, tenant)))


def path(gateway: Gateway, dataset: str) -> Path:
    """Where the fingerprint of a dataset lies."""
    return gateway.settings.fingerprints / f"{dataset}.u64"


def is_steward(record: DatasetRecord, principal: Principal) -> bool:
    """Whether the principal registered it."""
    who = (principal.office, principal.name, principal.tenant)
    return who == (Office.STEWARD, record.dataset.registered_by, record.tenant)


def check_account(tx: Transaction, account: str, principal: Principal) -> None:
    """Raise NotFound unless the account is there and no other tenant's."""
    tx.ledger.balance(account)
    if any(r.tenant != principal.tenant for r in tx.datasets.list(deleted=True) if r.dataset.account == account):
        raise NotFound(f"there is no account {account!r}")


def link(gateway: Gateway, call: Call, name: str) -> None:
    """Move a waiting dataset to the account that it overlaps, and queue its upload again. What it is charged from now
    on adds to what that account has spent, under that account's cap.

    Raises NotFound; PermissionDenied but for the steward of the dataset and of all that the other account holds;
    WrongState unless it waits; FailedPrecondition where it overlaps several accounts, or only one of the two is a
    sandbox.
    """
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
        if call.answered(tx) is not None:
            return
        if not is_steward(record, call.principal):
            raise PermissionDenied("the steward of both links a dataset")
        _check_waits(record)
        theirs = [r for r in _fingerprints(tx, record.tenant) if r.dataset.account in record.overlaps]
        if not all(is_steward(other, call.principal) for other in theirs):
            raise PermissionDenied("the steward of both links a dataset, and the other is not yours; ask an officer")
        if len(record.overlaps) > 1:
            raise FailedPrecondition(
                "it overlaps several accounts, and one dataset cannot belong to all; upload each population by itself"
            )
        (account,) = record.overlaps
        if tx.ledger.balance(account).account.sandbox != tx.ledger.balance(record.dataset.account).account.sandbox:
            raise FailedPrecondition("only one of the two accounts is a sandbox; private data never joins public data")
        _read_again(tx, replace(record, dataset=replace(record.dataset, account=account)))
        call.answer(tx, name, account=account)
        gateway.at(Step.LINK_WRITING)
    gateway.at(Step.LINKED)
    gateway.wake.set()


def distinguish(gateway: Gateway, call: Call, name: str, *, reason: str) -> None:
    """An officer's statement that a waiting dataset holds other people than what it overlaps, whatever they share; its
    upload is queued again, and compared with the rest.

    Raises NotFound, InvalidArgument without a reason, PermissionDenied for anybody else and for who registered it,
    WrongState unless it waits.
    """
    reason = checked_reason(reason)
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
        if call.answered(tx) is not None:
            return
        if call.principal.tenant != record.tenant:
            raise NotFound(f"there is no dataset {name!r}")
        registrar = gateway.settings.names(record.dataset.registered_by, *record.registrar_names)
        own = registrar & gateway.settings.names(call.principal.name)
        if call.principal.office is not Office.OFFICER or own:
            raise PermissionDenied("an officer who did not register a dataset states that it holds distinct people")
        _check_waits(record)
        distinct = tuple(sorted({*record.distinct_from, *record.overlaps}))
        _read_again(tx, replace(record, distinct_from=distinct))
        call.answer(tx, name, distinct="true", reason=reason)
        gateway.at(Step.DISTINGUISH_WRITING)
    gateway.at(Step.DISTINGUISHED)
    gateway.wake.set()


def _fingerprints(tx: Transaction, tenant: str) -> tuple[DatasetRecord, ...]:
    return tuple(r for r in tx.datasets.list(deleted=True) if r.fingerprint and r.tenant == tenant)


def _check_waits(record: DatasetRecord) -> None:
    if record.dataset.state is not DatasetState.AWAITING_LINK:
        raise WrongState(f"dataset {record.dataset.name!r} does not wait for a link; look at it again")


def _read_again(tx: Transaction, record: DatasetRecord) -> None:
    waiting = replace(record.dataset, state=DatasetState.INGESTING)
    tx.datasets.replace(replace(record, dataset=waiting, overlaps=()), expected=DatasetState.AWAITING_LINK)
