"""`RevocationList`: the releases that a gateway has taken back, as a signed document that is checked offline.

The gateway signs it (DSSE) whenever it is asked for. A release stays on it for ever, so its number, which is how many
are on it, never shrinks: of two lists the one with the smaller number is the older one. It names releases and the
sha256 of their data, which whoever has the data knows, and nothing of why beyond a code. `synthgate.verify` reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from synthgate.attestation import read_json
from synthgate.errors import VerificationFailed

REVOCATIONS_TYPE = "application/vnd.synthgate.revocations.v1+json"
"""The payload type under which the gateway signs the list."""


class RevocationReason(StrEnum):
    """Why a release was taken back; the officer's own words are in the audit log."""

    OFFICER = "OFFICER_REVOKED"
    SOURCE = "SOURCE_REVOKED"
    """It was derived from a release that an officer took back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One release: the sha256 of its canonical Parquet, the tick since when it is revoked (with a zone), and why."""

    release: str
    sha256: str
    revoked_at: datetime
    reason: RevocationReason

    def to_dict(self) -> dict[str, str]:
        """JSON-ready values."""
        return {
            "release": self.release,
            "sha256": self.sha256,
            "revoked_at": self.revoked_at.isoformat(),
            "reason": str(self.reason),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """All that is revoked at ``issued_at`` (with a zone), in the order of revocation."""

    issued_at: datetime
    entries: tuple[Revocation, ...]

    @property
    def number(self) -> int:
        """How many releases are on it."""
        return len(self.entries)

    def entry(self, release: str) -> Revocation | None:
        """The entry of a release, if it is on the list."""
        return next((entry for entry in self.entries if entry.release == release), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        entries = [entry.to_dict() for entry in self.entries]
        return {"number": self.number, "issued_at": self.issued_at.isoformat(), "entries": entries}

    @classmethod
    def from_payload(cls, payload: bytes) -> "RevocationList":
        """Read what was signed. Raises VerificationFailed for anything that the value would not write back as it
        stands."""
        tree = read_json(payload)
        try:
            found = cls(
                issued_at=datetime.fromisoformat(tree["issued_at"]), entries=tuple(map(_entry, tree["entries"]))
            )
            same = found.to_dict() == tree and found.issued_at.tzinfo is not None
        except (KeyError, TypeError, ValueError, AttributeError):
            same = False
        if not same:
            raise VerificationFailed("the list has missing, faulty or unknown fields; upgrade synthgate")
        return found


def _entry(document: Mapping[str, Any]) -> Revocation:
    return Revocation(
        release=document["release"],
        sha256=document["sha256"],
        revoked_at=datetime.fromisoformat(document["revoked_at"]),
        reason=RevocationReason(document["reason"]),
    )
