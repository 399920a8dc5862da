"""`AuditRecord`: one line of the audit log, who did what to which resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One line of the audit log, hash-chained like the ledger. Public facts only: names, states, shares.

    ``digest`` is sha256 over the canonical JSON of every other field, ``previous`` the digest of the line before it (64
    zeros for the first).
    """

    sequence: int
    at: datetime
    principal: str
    action: str
    resource: str
    detail: Mapping[str, str]
    previous: str
    digest: str
