"""Who calls: the development identity. One principal a role, one token each, loopback only.

Tokens lie in ``<state>/tokens/<role>`` (0600); the database keeps their sha256, so that a copy of it opens nothing. A
token whose file is gone is made anew at the next start and the old one stops working.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from server.catalog.base import TENANT
from server.keys import write_once
from server.store import Store
from synthgate.errors import Unauthenticated

GATEWAY = "gateway"
"""The principal of what the gateway does by itself."""


class Office(StrEnum):
    """What a principal may be (DESIGN section 1); each method names the ones that may call it."""

    STEWARD = "steward"
    ANALYST = "analyst"
    OFFICER = "officer"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone who calls. In the development identity name and office are the same word."""

    name: str
    office: Office
    tenant: str = TENANT

    @property
    def sees_stages(self) -> bool:
        """Analysts see one bit of a release; everyone else its stages and numbers."""
        return self.office is not Office.ANALYST


Principals = Mapping[str, Principal]
"""The known principals by the sha256 of their token."""


def provision(store: Store, folder: Path) -> Principals:
    """Make sure that every office has a token on disk and its digest in the store, and return what is known."""
    with store.begin() as tx:
        known = {name: token for name, _, token in tx.principals.list()}
        for office in Office:
            path = folder / office
            if not path.exists():
                write_once(path, secrets.token_urlsafe(32).encode())
            token = digest(path.read_text().strip())
            if known.get(office) != token:
                tx.principals.replace(office, office, token)
                tx.audit.append(principal=GATEWAY, action="ProvisionToken", resource=office, detail={})
        return {token: Principal(name, Office(office)) for name, office, token in tx.principals.list()}


def on_disk(folder: Path) -> Principals:
    """Whoever has a token on disk: what is known without the store, whose own list may be an old one."""
    found = {office: folder / office for office in Office}
    return {digest(p.read_text().strip()): Principal(o, o) for o, p in found.items() if p.exists()}


def authenticate(principals: Principals, authorization: str | None) -> Principal:
    """The principal of a ``Bearer`` token. Raises Unauthenticated."""
    scheme, _, token = (authorization or "").partition(" ")
    principal = principals.get(digest(token.strip())) if scheme.lower() == "bearer" else None
    if principal is None:
        raise Unauthenticated("send `authorization: Bearer TOKEN` with a token from the gateway's tokens folder")
    return principal


def digest(token: str) -> str:
    """What the store keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
