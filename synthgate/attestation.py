"""`Attestation`: what the gateway signs about one release, as an in-toto Statement v1 in a DSSE envelope.

A certificate names rules and thresholds and never a score, and no digest of a report or of the source: both would say
something about private rows. Reading is strict: a statement that holds anything this version does not show is refused,
so that what a reader sees is all that was signed. This module is the format; `synthgate.verify` checks signatures.

A derived sample is attested as what it is: post-processing of a model that has passed. It names its source and the
source's attestation, what was asked of the model and how it was sampled; it has no verdict and no charge of its own.

References: https://github.com/in-toto/attestation (Statement v1), https://github.com/secure-systems-lab/dsse (v1).
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from synthgate.approval import Approval
from synthgate.derivation import Derivation
from synthgate.errors import SynthgateError, VerificationFailed
from synthgate.policy import Rule
from synthgate.statement import PrivacyStatement, Scope

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://synthgate.dev/attestation/release/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
SUBJECT = "release.parquet"
NO_VERDICT = "none of its own"
NO_CHARGE = "none: post-processing of the source's model"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedPolicy:
    """The policy that decided: its name, the sha256 of its canonical JSON, its rules with their thresholds, and its
    author's ``version``, which attestations of before do not tell (None)."""

    name: str
    digest: str
    rules: tuple[Rule, ...]
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which verdict of the account this is, of how many allowed for its life. An unaccounted verdict compared with
    private rows exactly, outside the epsilon of the statement; one that is inside it is not counted (0 of 0)."""

    number: int
    allowed: int
    unaccounted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPosition:
    """The entry that charged the release, by number and digest, and the newest entry's digest at signing."""

    account: str
    sequence: int
    digest: str
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How a canonical sample came to be released: who decided by which rules, and what it cost."""

    policy: PinnedPolicy
    decision: Decision
    ledger: LedgerPosition


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """How a derived sample came from a release that was judged: what was asked of that release's model, the sha256 of
    its attestation (the DSSE envelope's bytes), and how the rows were drawn."""

    derivation: Derivation
    attestation: str
    sampling: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """The claim that travels with the data.

    ``sha256`` is that of the canonical Parquet; ``versions`` names the software that fitted and judged;
    ``released_at`` carries a zone; ``statement`` is about the model, so a derived sample carries its source's;
    ``origin`` is a verdict of its own, or the release whose model made this sample; ``approvals`` are those that
    counted (in attestations before they were bound, the officers' names).
    """

    release: str
    sha256: str
    dataset: str
    domain_digest: str
    engine: str
    statement: PrivacyStatement
    origin: Judged | Derived
    released_at: datetime
    versions: Mapping[str, str] = field(default_factory=dict)
    approvals: tuple[Approval | str, ...] = ()

    @property
    def guarantee(self) -> str:
        """``differential privacy``, or ``none`` for a sandbox's release."""
        return "none" if self.statement.scope is Scope.NONE else "differential privacy"

    def to_statement(self) -> dict[str, Any]:
        """The in-toto Statement v1 as JSON-ready values."""
        predicate = {
            "release": self.release,
            "dataset": self.dataset,
            "domain_digest": self.domain_digest,
            "engine": self.engine,
            "versions": dict(self.versions),
            "guarantee": self.guarantee,
            "privacy": self.statement.to_dict(),
            **(_judged_to_dict(self.origin) if isinstance(self.origin, Judged) else _derived_to_dict(self.origin)),
            "approvals": [a if isinstance(a, str) else a.to_dict() for a in self.approvals],
            "released_at": self.released_at.isoformat(),
        }
        return {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": SUBJECT, "digest": {"sha256": self.sha256}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }

    def to_statement_bytes(self) -> bytes:
        """The statement as canonical JSON (sorted keys, no blanks, UTF-8): the payload that is signed."""
        return canonical_json(self.to_statement())

    @classmethod
    def from_statement(cls, document: Mapping[str, Any] | bytes) -> "Attestation":
        """Read a statement. Raises VerificationFailed for another type or version, for missing, unknown or faulty
        fields, and for anything that the value would not write back as it stands."""
        tree = read_json(document) if isinstance(document, bytes) else document
        if not isinstance(tree, Mapping) or tree.get("_type") != STATEMENT_TYPE:
            raise VerificationFailed("the payload is not an in-toto Statement v1")
        if tree.get("predicateType") != PREDICATE_TYPE:
            raise VerificationFailed("the statement is not a release attestation of this version; upgrade synthgate")
        try:
            attestation = cls._read(tree)
            same = attestation.to_statement() == tree
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, SynthgateError):
            raise VerificationFailed("the statement has missing or faulty fields") from None
        if not same:
            raise VerificationFailed("the statement holds fields that this version does not know; upgrade synthgate")
        return attestation

    @classmethod
    def _read(cls, tree: Mapping[str, Any]) -> "Attestation":
        p = tree["predicate"]
        return cls(
            release=p["release"],
            sha256=tree["subject"][0]["digest"]["sha256"],
            dataset=p["dataset"],
            domain_digest=p["domain_digest"],
            engine=p["engine"],
            statement=PrivacyStatement.from_dict(p["privacy"]),
            origin=_judged(p) if p["derived_from"] is None else _derived(p["derived_from"]),
            released_at=datetime.fromisoformat(p["released_at"]),
            versions=dict(p["versions"]),
            approvals=tuple(a if isinstance(a, str) else Approval.from_dict(a) for a in p["approvals"]),
        )


def _judged_to_dict(origin: Judged) -> dict[str, Any]:
    policy, decision, ledger = origin.policy, origin.decision, origin.ledger
    pinned = {"name": policy.name, "digest": policy.digest, "rules": [r.to_dict() for r in policy.rules]}
    return {
        "policy": pinned if policy.version is None else {**pinned, "version": policy.version},
        "verdict": {
            "decision_number": decision.number,
            "allowed": decision.allowed,
            "unaccounted": decision.unaccounted,
        },
        "ledger": {
            "account": ledger.account,
            "sequence": ledger.sequence,
            "digest": ledger.digest,
            "head": ledger.head,
        },
        "derived_from": None,
    }


def _judged(p: Mapping[str, Any]) -> Judged:
    policy, verdict = p["policy"], p["verdict"]
    version = policy.get("version")
    if version is not None and (type(version) is not int or version < 1):
        raise ValueError("a policy's version is a whole number from 1 on")
    rules = tuple(Rule(**r) for r in policy["rules"])
    return Judged(
        policy=PinnedPolicy(name=policy["name"], digest=policy["digest"], rules=rules, version=version),
        decision=Decision(
            number=verdict["decision_number"], allowed=verdict["allowed"], unaccounted=verdict["unaccounted"]
        ),
        ledger=LedgerPosition(**p["ledger"]),
    )


def _derived_to_dict(origin: Derived) -> dict[str, Any]:
    asked = origin.derivation.to_dict()
    return {
        "verdict": NO_VERDICT,
        "charge": NO_CHARGE,
        "derived_from": {**asked, "attestation": origin.attestation, "sampling": origin.sampling},
    }


def _derived(document: Mapping[str, Any]) -> Derived:
    return Derived(
        derivation=Derivation.from_dict(document),
        attestation=document["attestation"],
        sampling=document["sampling"],
    )


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def envelope(payload: bytes, *, key_id: str, signature: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """The DSSE envelope with one signature, as canonical JSON."""
    return canonical_json(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
        }
    )


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """Sorted keys, no blanks, UTF-8, finite numbers alone."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def read_json(data: bytes) -> Any:
    """JSON in UTF-8 without duplicate keys or non-finite numbers. Raises VerificationFailed."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise VerificationFailed("not JSON in UTF-8 with unique keys and finite numbers") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("duplicate key")
    return dict(pairs)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
