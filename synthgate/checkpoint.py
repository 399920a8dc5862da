"""`Checkpoint`: what the gateway signs about its books, as an in-toto Statement v1 in a DSSE envelope.

A hash chain cannot show that its end was cut off, that all of it was written anew, or that the database was put back
from a backup. A checkpoint that is kept elsewhere can: it names the newest entry of the ledger and the newest record of
the audit log, by number and digest, and what every account had committed and reserved. This module is the format;
`synthgate.verify` checks signatures, `synthgate.trail` compares exported books with a checkpoint.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from synthgate.attestation import STATEMENT_TYPE, canonical_json, read_json
from synthgate.budget import PrivacyBudget
from synthgate.errors import SynthgateError, VerificationFailed

PREDICATE_TYPE = "https://synthgate.dev/attestation/checkpoint/v1"
LEDGER, AUDIT = "ledger", "audit log"
"""The subjects: a chain is named by the digest of its newest line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest line of a chain: its number, 0 before the first, and its digest, then 64 zeros."""

    sequence: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """``charges`` charges added up: epsilon in 1e-9, delta in 1e-18, Rényi divergence in 1e-12. ``opaque`` of them have
    no divergence and count nothing in ``rdp``."""

    charges: int = 0
    epsilon: int = 0
    delta: int = 0
    rdp: int = 0
    opaque: int = 0

    def beyond(self, other: "Amounts") -> "Amounts":
        """What these have more than ``other``, figure by figure, and never less than nothing."""
        return Amounts(**{f.name: max(0, getattr(self, f.name) - getattr(other, f.name)) for f in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account at the checkpoint. ``opened_with`` is the cap that it was opened with, which fixed its order."""

    account: str
    opened_with: PrivacyBudget
    cap: PrivacyBudget
    sandbox: bool
    verdicts_granted: int
    committed: Amounts
    reserved: Amounts

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Standing":
        """The value in a document."""
        budgets = {name: PrivacyBudget(**document[name]) for name in ("opened_with", "cap")}
        amounts = {name: Amounts(**document[name]) for name in ("committed", "reserved")}
        return cls(**{**document, **budgets, **amounts})


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The claim: at ``at`` (with a zone) the books ended with these lines. ``number`` counts a gateway's checkpoints;
    ``revoked`` names the releases that were RELEASED once and are not any more."""

    number: int
    at: datetime
    ledger: Head
    audit: Head
    accounts: tuple[Standing, ...]
    revoked: tuple[str, ...] = ()

    def to_statement(self) -> dict[str, Any]:
        """The in-toto Statement v1 as JSON-ready values."""
        subjects = ((LEDGER, self.ledger), (AUDIT, self.audit))
        return {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": head.digest}} for name, head in subjects],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "number": self.number,
                "at": self.at.isoformat(),
                "ledger_sequence": self.ledger.sequence,
                "audit_sequence": self.audit.sequence,
                "accounts": [standing.to_dict() for standing in self.accounts],
                "revoked": list(self.revoked),
            },
        }

    def to_statement_bytes(self) -> bytes:
        """The statement as canonical JSON: the payload that is signed."""
        return canonical_json(self.to_statement())

    @classmethod
    def from_statement(cls, document: bytes) -> "Checkpoint":
        """Read a statement. Raises VerificationFailed for another type or version, for missing, unknown or faulty
        fields, and for anything that the value would not write back as it stands."""
        tree = read_json(document)
        if not isinstance(tree, Mapping) or tree.get("predicateType") != PREDICATE_TYPE:
            raise VerificationFailed("the statement is not a checkpoint of this version; upgrade synthgate")
        try:
            checkpoint = cls._read(tree)
            same = checkpoint.to_statement() == tree
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, SynthgateError):
            raise VerificationFailed("the checkpoint has missing or faulty fields") from None
        if not same:
            raise VerificationFailed("the checkpoint holds fields that this version does not know; upgrade synthgate")
        return checkpoint

    @classmethod
    def _read(cls, tree: Mapping[str, Any]) -> "Checkpoint":
        p, (ledger, audit) = tree["predicate"], tree["subject"]
        return cls(
            number=p["number"],
            at=datetime.fromisoformat(p["at"]),
            ledger=Head(sequence=p["ledger_sequence"], digest=ledger["digest"]["sha256"]),
            audit=Head(sequence=p["audit_sequence"], digest=audit["digest"]["sha256"]),
            accounts=tuple(map(Standing.from_dict, p["accounts"])),
            revoked=tuple(p["revoked"]),
        )
