"""The catalog: datasets, releases, and the answers given to request ids. Protocols with two implementations each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from synthgate.dataset import Dataset, DatasetState
from synthgate.policy import Policy, VerdictKind
from synthgate.record import AuditRecord
from synthgate.release import Release, ReleaseState

TENANT = "main"
"""The tenant where there is one alone, as in the development identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord:
    """A dataset with what only the gateway and its steward need: the pinned policy and what ingest found."""

    dataset: Dataset
    policy: Policy
    found: Mapping[str, Any] = field(default_factory=dict)
    """What ingest tells the steward (counts of clamped, null and undeclared cells). Private."""
    tenant: str = TENANT
    """Whose stewards and officers it belongs to: that of who registered it."""
    fingerprint: str = ""
    """The sha256 of its units' keyed hashes (`server.populations`), from READY on, for ever."""
    taken: str = ""
    """The keyed digest of the upload that was taken in last: the same one again is answered as it was, for ever."""
    overlaps: tuple[str, ...] = ()
    """The accounts that it overlaps, while it is AWAITING_LINK. Private."""
    distinct_from: tuple[str, ...] = ()
    """Accounts that an officer said hold other people, whatever they share. Private."""
    registrar_names: tuple[str, ...] = ()
    """Every name of the person who registered it, at that time: the person and its principals; empty where it was
    registered before this was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRecord:
    """A release with its whole truth. ``release`` holds the internal state, never the analyst's view.

    ``plan`` is the frozen plan's JSON, ``policy`` the policy that the release pinned, ``verdict_number`` which
    unaccounted decision of the account this is (from the commit on; 0 for an accounted one), ``artifacts`` the sha256
    of what is stored for it by kind (``data``, ``model``, ``report_json``, ``report_html``, ``report_decision``,
    ``attestation``). A derived release carries the plan, policy and statement of its source, no verdict number, and how
    it was sampled.
    """

    release: Release
    plan: Mapping[str, Any]
    policy: Policy
    verdict_number: int = 0
    verdicts_allowed: int = 0
    """How many the account was allowed when this one was committed."""
    verdicts_grant: str = ""
    """What of it officers granted, who and when, in the words of the attestation."""
    sandbox: bool = False
    """Whether the account is a sandbox: then there is no guarantee."""
    statement: Mapping[str, Any] = field(default_factory=dict)
    """The privacy statement's JSON, from EVALUATING on."""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""
    """Why it FAILED, in public words, for stewards and officers, and for whoever asked for a derived one."""
    replays: int = 0
    """How often its attempt was queued again after an infrastructure failure."""
    sampling: str = ""
    """How the rows of a derived release were drawn."""
    approvals: tuple[str, ...] = ()
    """The approvals that officers gave, each a signed DSSE envelope; `server.quorum` says which of them count."""
    requester_names: tuple[str, ...] = ()
    """Every name of the person who asked, at that time, as in `DatasetRecord.registrar_names`."""

    @property
    def accounted(self) -> bool:
        """Whether it is judged by a verdict of its own inside its epsilon."""
        return self.release.derivation is None and self.policy.verdict is VerdictKind.ACCOUNTED


class DatasetCatalog(Protocol):
    """Registered datasets by name."""

    def add(self, record: DatasetRecord) -> None:
        """Raises AlreadyExists, also for the name of a deleted dataset."""

    def get(self, name: str) -> DatasetRecord:
        """Raises NotFound; a DELETED dataset is returned as such."""

    def list(self, *, deleted: bool = False) -> tuple[DatasetRecord, ...]:
        """In the order of registration, the DELETED ones only where asked for."""

    def replace(self, record: DatasetRecord, *, expected: DatasetState) -> None:
        """Write a changed record. Raises WrongState unless the stored one is in ``expected``."""


class ReleaseCatalog(Protocol):
    """Releases by id."""

    def add(self, record: ReleaseRecord) -> None:
        """Raises AlreadyExists, and NotFound where its dataset is not registered."""

    def get(self, release: str) -> ReleaseRecord:
        """Raises NotFound."""

    def list(
        self, *, dataset: str = "", states: tuple[ReleaseState, ...] = (), after: str = "", limit: int | None = None
    ) -> tuple[ReleaseRecord, ...]:
        """In the order of creation, of one dataset and in some states where given; the first ``limit`` of those that
        were created after the release ``after``. Raises NotFound where that is none."""

    def replace(self, record: ReleaseRecord, *, expected: ReleaseState) -> None:
        """Write a changed record. Raises WrongState unless the stored one is in ``expected`` and
        ``synthgate.release.allows`` allows the new state (or the state stays)."""

    def verdicts(self, account: str) -> int:
        """How many unaccounted verdicts the account has used or set aside: releases of it that reserved a charge which
        was not voided (the ledger has entries for the release's id), and whose policy asks for an exact verdict. A
        derived release reserves none."""

    def accounted(self, account: str) -> frozenset[str]:
        """The ids of the account's releases whose verdict is inside their epsilon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a mutating call answered: the digest of its payload and the name of the resource it made or changed."""

    payload: str
    resource: str


class PrincipalCatalog(Protocol):
    """Who may call, by the sha256 of their token; the tokens themselves are never stored."""

    def replace(self, name: str, office: str, token_sha256: str) -> None:
        """Make this the principal's only token."""

    def remove(self, name: str) -> None:
        """Forget the principal, if it is known."""

    def list(self) -> tuple[tuple[str, str, str], ...]:
        """(name, office, sha256 of the token) of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may do the job ``name``, until when. ``holder`` is one life of a gateway (``instance/life``), empty where
    the lease was released. ``fence`` grows at every change of holder, for ever, and is never used again."""

    name: str
    holder: str
    fence: int
    until: datetime


class LeaseCatalog(Protocol):
    """Leases by the name of the job. The verbs over them are in ``server.leases``."""

    def now(self) -> datetime:
        """The one clock that leases are measured by: the database's where several gateways share it."""

    def get(self, name: str) -> Lease | None:
        """The lease, its row locked until the transaction ends; None where nobody ever took it."""

    def put(self, lease: Lease) -> None:
        """Write it. Raises WrongState where the fence does not grow although the holder changes to somebody, or
        shrinks."""

    def list(self) -> tuple[Lease, ...]:
        """Those that somebody holds, by name."""


class RequestLog(Protocol):
    """The answers to request ids, for ever, by (principal, method, request id)."""

    def recall(self, principal: str, method: str, request_id: str, *, payload: str) -> str | None:
        """The resource that the same request gave before; None for a new one. Raises RequestIdReused where the digest
        of the payload differs."""

    def remember(self, principal: str, method: str, request_id: str, *, payload: str, resource: str) -> None:
        """Keep the answer. Raises AlreadyExists where one is kept."""


class AuditLog(Protocol):
    """Append-only, hash-chained."""

    def append(self, *, principal: str, action: str, resource: str, detail: Mapping[str, str]) -> AuditRecord:
        """Record a change in the transaction that makes it."""

    def records(self, *, after: int = 0, limit: int = 1_000) -> tuple[AuditRecord, ...]:
        """In order."""

    def newest(self) -> AuditRecord | None:
        """The last one; None where there is none."""
