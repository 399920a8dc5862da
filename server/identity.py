"""Who calls: the development identity. The principals of the settings, one token each, loopback only.

Tokens lie in ``<state>/tokens/<name>`` (0600); the database keeps their sha256, so that a copy of it opens nothing. A
token whose file is gone is made anew at the next start and the old one stops working; so does the token of a principal
that the settings do not name any more.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from server.catalog.base import TENANT
from server.failpoints import Step, passed
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
class Appointment:
    """What the settings say of a principal: its office, and the person behind it where that person has several."""

    office: Office
    person: str = ""


DEVELOPMENT: Mapping[str, Appointment] = {office.value: Appointment(office) for office in Office}
"""The default: one principal an office, of the same name."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone who calls."""

    name: str
    office: Office
    tenant: str = TENANT

    @property
    def sees_stages(self) -> bool:
        """Analysts see one bit of a release; everyone else its stages and numbers."""
        return self.office is not Office.ANALYST


Principals = Mapping[str, Principal]
"""The known principals by the sha256 of their token."""


def provision(
    store: Store,
    folder: Path,
    appointed: Mapping[str, Appointment] = DEVELOPMENT,
    *,
    at: Callable[[Step], None] = passed,
) -> Principals:
    """Make sure that everybody who is appointed has a token on disk and its digest in the store, and nobody else has,
    and return what is known."""
    with store.begin() as tx:
        known = {name: (office, token) for name, office, token in tx.principals.list()}
        for name in known.keys() - appointed.keys():
            tx.principals.remove(name)
        for name, appointment in appointed.items():
            path = folder / name
            if not path.exists():
                write_once(path, secrets.token_urlsafe(32).encode())
            token = digest(path.read_text().strip())
            if known.get(name) != (appointment.office, token):
                tx.principals.replace(name, appointment.office, token)
                tx.audit.append(principal=GATEWAY, action="ProvisionToken", resource=name, detail={})
        at(Step.PROVISION_WRITING)
        found = {token: Principal(name, Office(office)) for name, office, token in tx.principals.list()}
    at(Step.PROVISIONED)
    return found


def on_disk(folder: Path, appointed: Mapping[str, Appointment]) -> Principals:
    """Whoever is appointed and has a token on disk: what is known without the store, whose list may be an old one."""
    found = {Principal(name, Office(appointment.office)): folder / name for name, appointment in appointed.items()}
    return {digest(path.read_text().strip()): who for who, path in found.items() if path.exists()}


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
