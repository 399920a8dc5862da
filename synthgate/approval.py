"""`Binding` and `Approval`: what an officer puts their name under, and what the gateway signs about it.

An approval is of one binding, by its digest. A binding names everything that was looked at or that the decision rests
on, so whatever of it changes later, the approval counts no more.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

APPROVAL_TYPE = "application/vnd.synthgate.approval.v1+json"
"""The payload type under which the gateway signs an approval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What an approval is bound to. Digests are sha256 in hex, of the stored bytes or of canonical JSON.

    ``model`` is empty where the engine's cannot be stored; ``report``, ``report_page`` and ``decision_page`` are the
    report's forms; ``verdict`` is which decision of the account this is, of ``verdicts_allowed``. ``salt`` is 64 hex
    digits that only the gateway can make, so that the digest, which attestations carry, tells nothing of the report to
    whoever guesses.
    ``registrar_names`` and ``requester_names`` are all names of those two persons at the time, empty where that was not
    kept.
    """

    release: str
    dataset: str
    registrar: str
    domain: str
    account: str
    engine: str
    requester: str
    data: str
    model: str
    report: str
    report_page: str
    decision_page: str
    policy: str
    policy_digest: str
    plan: str
    statement: str
    verdict: int
    verdicts_allowed: int
    salt: str
    registrar_names: tuple[str, ...] = ()
    requester_names: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON (sorted keys, no blanks, UTF-8), in hex: what officers approve. Names that were
        not kept are left out of it, so that it stays what it was before there were any."""
        kept = {name: value for name, value in asdict(self).items() if value != ()}
        return json_digest(kept)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, with the digest of the others."""
        return asdict(self) | {"digest": self.digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One officer's name under one binding (its digest). It counts from ``at`` and before ``expires_at``; both carry a
    zone. ``names`` are all names of the officer's person when it was given: what the gateway keeps has them, and
    attestations do not."""

    officer: str
    binding: str
    at: datetime
    expires_at: datetime
    names: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        document: dict[str, Any] = {
            "officer": self.officer,
            "binding": self.binding,
            "at": self.at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
        }
        return document | ({"names": list(self.names)} if self.names else {})

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Approval":
        """Read an approval. Raises TypeError or ValueError for what is none."""
        if not isinstance(document, Mapping) or set(document) - {"names"} != {"officer", "binding", "at", "expires_at"}:
            raise ValueError("an approval has the fields officer, binding, at, expires_at and names, and no others")
        names = document.get("names", [])
        texts = [value for name, value in document.items() if name != "names"]
        if not isinstance(names, list) or not all(isinstance(value, str) for value in (*texts, *names)):
            raise TypeError("an approval's fields are texts, and its names a list of them")
        at, expires_at = (datetime.fromisoformat(document[name]) for name in ("at", "expires_at"))
        if at.tzinfo is None or expires_at.tzinfo is None:
            raise ValueError("an approval's times carry a zone")
        return cls(
            officer=document["officer"], binding=document["binding"], at=at, expires_at=expires_at, names=tuple(names)
        )


def json_digest(document: Mapping[str, Any]) -> str:
    """sha256 of the document's canonical JSON (sorted keys, no blanks, UTF-8, finite numbers alone), in hex."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
