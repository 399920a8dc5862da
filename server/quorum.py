"""Which approvals of a release count, and whether they are enough.

An approval counts if

    1. the gateway's signature under it holds
    2. it is of the very binding that the release has now
    3. it has not expired
    4. whoever gave it is an officer now
    5. that person neither requested the release nor registered its dataset
    6. nor has given an approval that counts already

Persons are compared by all of their names: those that the settings give them now, and those that they had when they
registered, asked or approved, which are kept and bound, so that a change of the settings makes nobody another person.

This is asked when an approval comes in and again in the transaction that releases. How many must count is what the
policy says, and nothing that is stored beside it can lower that.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from server.catalog.base import DatasetRecord, ReleaseRecord
from server.config import Settings
from server.gateway import Gateway
from server.identity import Office
from server.store import Transaction
from synthgate.approval import APPROVAL_TYPE, Approval, Binding, json_digest
from synthgate.attestation import read_json
from synthgate.errors import VerificationFailed, WrongState
from synthgate.release import ReleaseState
from synthgate.verify import signed_payload

SHOWN_IN = (ReleaseState.AWAITING_APPROVAL, ReleaseState.RELEASED, ReleaseState.REVOKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """The approvals of one release at one moment: those that count, and why each other does not, by officer."""

    binding: Binding
    needed: int
    counted: tuple[Approval, ...]
    void: tuple[tuple[str, str], ...]

    @property
    def reached(self) -> bool:
        """Whether enough of them count."""
        return len(self.counted) >= self.needed

    @property
    def officers(self) -> tuple[str, ...]:
        """The names under those that count."""
        return tuple(approval.officer for approval in self.counted)

    @property
    def explanation(self) -> str:
        """Why some do not count, in words for officers; empty where nothing is to be said."""
        told = [f"{officer} ({why})" for officer, why in self.void if officer not in self.officers]
        return f"approvals that do not count: {'; '.join(told)}" if told else ""


def quorum(gateway: Gateway, tx: Transaction, record: ReleaseRecord) -> Quorum:
    """What the approvals of ``record`` come to now. A derived release needs none: its source had them."""
    dataset = tx.datasets.get(record.release.dataset)
    binding = bound(gateway, record, dataset)
    counted, void = standing(
        record.approvals, binding, gateway.now(), key=gateway.signer.public_pem, settings=gateway.settings
    )
    return Quorum(binding=binding, needed=_needed(record, dataset), counted=counted, void=void)


def checked(gateway: Gateway, tx: Transaction, record: ReleaseRecord) -> tuple[Approval, ...]:
    """The approvals that count, where they are enough. Raises WrongState."""
    found = quorum(gateway, tx, record)
    if not found.reached:
        why = found.explanation or "approve it first"
        raise WrongState(
            f"release {record.release.id!r} has {len(found.counted)} of {found.needed} approvals that count; {why}"
        )
    return found.counted


def bound(gateway: Gateway, record: ReleaseRecord, dataset: DatasetRecord) -> Binding:
    """What officers of this release approve, as it is now."""
    release, stored = record.release, record.artifacts
    return Binding(
        release=release.id,
        dataset=release.dataset,
        registrar=dataset.dataset.registered_by,
        domain=dataset.dataset.domain.digest,
        account=release.account,
        engine=release.engine,
        requester=release.requested_by,
        data=stored.get("data", ""),
        model=stored.get("model", ""),
        report=stored.get("report_json", ""),
        report_page=stored.get("report_html", ""),
        decision_page=stored.get("report_decision", ""),
        policy=record.policy.name,
        policy_digest=record.policy.digest,
        plan=json_digest(record.plan),
        statement=json_digest(record.statement),
        verdict=record.verdict_number,
        verdicts_allowed=record.verdicts_allowed,
        salt=gateway.signer.salt(release.id),
        registrar_names=dataset.registrar_names,
        requester_names=record.requester_names,
    )


def standing(
    given: Iterable[str], binding: Binding, now: datetime, *, key: bytes, settings: Settings
) -> tuple[tuple[Approval, ...], tuple[tuple[str, str], ...]]:
    """Of the signed approvals that were ``given``, those that count, and by officer why each other does not."""
    counted: list[Approval] = []
    void: list[tuple[str, str]] = []
    involved = settings.names(binding.requester, *binding.requester_names)
    involved |= settings.names(binding.registrar, *binding.registrar_names)
    for envelope in given:
        try:
            approval = read(envelope, key)
        except VerificationFailed:
            void.append(("somebody", "the signature does not hold"))
            continue
        appointment, names = settings.principals.get(approval.officer), _names(settings, approval)
        if approval.binding != binding.digest:
            void.append((approval.officer, "given for something else than what is there now"))
        elif not approval.at <= now < approval.expires_at:
            void.append((approval.officer, "expired"))
        elif appointment is None or appointment.office is not Office.OFFICER:
            void.append((approval.officer, "no officer any more"))
        elif names & involved:
            void.append((approval.officer, "requested or registered it"))
        elif any(names & _names(settings, other) for other in counted):
            void.append((approval.officer, "the same person approved it before"))
        else:
            counted.append(approval)
    return tuple(counted), tuple(void)


def _names(settings: Settings, approval: Approval) -> frozenset[str]:
    return settings.names(approval.officer, *approval.names)


def read(envelope: str, key: bytes) -> Approval:
    """The approval in a signed envelope. Raises VerificationFailed."""
    payload = signed_payload(envelope.encode(), key, payload_type=APPROVAL_TYPE, what="approval")
    try:
        return Approval.from_dict(read_json(payload))
    except (ValueError, TypeError):
        raise VerificationFailed("what is signed is no approval of this version") from None


def shown(gateway: Gateway, tx: Transaction, record: ReleaseRecord) -> ReleaseRecord:
    """The record as stewards and officers see it, with what is approved and, while it waits, who did and why some of it
    does not count."""
    state = record.release.state
    if state not in SHOWN_IN:
        return record
    dataset = tx.datasets.get(record.release.dataset)
    if not _needed(record, dataset):
        return record
    if state is not ReleaseState.AWAITING_APPROVAL:
        return replace(record, release=replace(record.release, binding=bound(gateway, record, dataset)))
    found = quorum(gateway, tx, record)
    release = replace(record.release, binding=found.binding, approvals=found.officers, approvals_needed=found.needed)
    return replace(record, release=release, failure=found.explanation)


def _needed(record: ReleaseRecord, dataset: DatasetRecord) -> int:
    if record.release.derivation is not None:
        return 0
    return max(record.policy.approvals, dataset.policy.approvals, record.release.approvals_needed)
