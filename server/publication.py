"""`publish`: the only place where a release becomes RELEASED.

State, ledger position and signature belong to one transaction, so nothing is attested that is not released, and nothing
released that is not attested. In the same transaction the approvals are counted again: whoever calls, and whatever was
changed since they were given, nothing is released without as many as the policy asks for.
"""

import math
from dataclasses import replace
from datetime import UTC, datetime

from server import environments
from server.attestation import versions
from server.catalog.base import ReleaseRecord
from server.failpoints import Step
from server.gateway import GATEWAY, Gateway
from server.quorum import checked
from server.store import Transaction
from synthgate.attestation import Attestation, Decision, Derived, Judged, LedgerPosition, PinnedPolicy
from synthgate.dataset import DatasetState
from synthgate.derivation import Derivation
from synthgate.domain import Domain
from synthgate.errors import WrongState
from synthgate.ledger import EntryKind
from synthgate.policy import VerdictKind
from synthgate.release import ReleaseState
from synthgate.statement import PrivacyStatement


def publish(gateway: Gateway, tx: Transaction, record: ReleaseRecord) -> ReleaseRecord:
    """Sign the attestation and set RELEASED, in the caller's transaction. Raises WrongState for a deleted dataset, for
    too few approvals that count, and for a derived release whose source is RELEASED no more.

    ``record`` holds the statement under ``statement`` and the data's sha256 under ``artifacts["data"]``.
    """
    release = record.release
    dataset = tx.datasets.get(release.dataset)
    if dataset.dataset.state is DatasetState.DELETED:
        raise WrongState(f"dataset {release.dataset!r} was deleted; nothing of it is released any more")
    now, approvals = gateway.now(), checked(gateway, tx, record)
    attestation = Attestation(
        release=release.id,
        sha256=record.artifacts["data"],
        dataset=release.dataset,
        domain_digest=dataset.dataset.domain.digest,
        engine=release.engine,
        statement=PrivacyStatement.from_dict(record.statement),
        origin=_judged(tx, record, dataset.dataset.domain)
        if release.derivation is None
        else _derived(tx, record, release.derivation),
        released_at=next_tick(now, gateway.settings.verdict_tick_s),
        versions={**versions(), **environments.versions(gateway.settings, release.engine)},
        approvals=tuple(replace(approval, names=()) for approval in approvals),
    )
    stored = gateway.artifacts.put(gateway.signer.sign(attestation))
    gateway.at(Step.ATTESTATION_STORED)
    names = tuple(approval.officer for approval in approvals)
    released = replace(
        record,
        release=replace(release, state=ReleaseState.RELEASED, updated_at=now, approvals=names),
        artifacts={**record.artifacts, "attestation": stored},
    )
    tx.releases.replace(released, expected=release.state)
    tx.audit.append(principal=GATEWAY, action="Release", resource=release.id, detail={"sha256": attestation.sha256})
    gateway.at(Step.RELEASED_WRITING)
    return released


def check_source(tx: Transaction, source: str) -> ReleaseRecord:
    """The release that another is derived from, while it may be. Raises WrongState."""
    record = tx.releases.get(source)
    if record.release.state is not ReleaseState.RELEASED:
        raise WrongState(f"release {source!r} is {record.release.state}; nothing is derived from it any more")
    return record


def _judged(tx: Transaction, record: ReleaseRecord, domain: Domain) -> Judged:
    account, policy = record.release.account, record.policy
    entries = tx.ledger.entries(account)
    charged = next(e for e in entries if e.kind is EntryKind.COMMIT and e.reservation == record.release.id)
    return Judged(
        policy=PinnedPolicy(
            name=policy.name, digest=policy.digest, rules=policy.concrete(domain), version=policy.version
        ),
        decision=Decision(
            number=record.verdict_number,
            allowed=record.verdicts_allowed,
            unaccounted=policy.verdict is VerdictKind.EXACT,
        ),
        ledger=LedgerPosition(account=account, sequence=charged.sequence, digest=charged.digest, head=tx.ledger.head()),
    )


def _derived(tx: Transaction, record: ReleaseRecord, derivation: Derivation) -> Derived:
    """The source's attestation is named by the digest under which it is stored: that of its bytes."""
    source = check_source(tx, derivation.source)
    return Derived(derivation=derivation, attestation=source.artifacts["attestation"], sampling=record.sampling)


def next_tick(moment: datetime, tick_s: float) -> datetime:
    """When an analyst may learn of it: the next multiple of ``tick_s`` seconds, so that no duration is told."""
    return datetime.fromtimestamp(math.ceil(moment.timestamp() / tick_s) * tick_s, UTC)
