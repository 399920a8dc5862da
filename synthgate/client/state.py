"""A gateway's state folder, as its clients on the same machine read it: ``endpoint`` and ``tokens/<name>``."""

import re
from pathlib import Path

from synthgate.errors import InvalidArgument, Unauthenticated, Unavailable

_NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")


def read_state(state: Path, role: str) -> tuple[str, str]:
    """The address and the development token of a role, or of a principal that the gateway's settings name. Raises
    Unavailable where no gateway runs on the folder, Unauthenticated where there is no such token."""
    if not _NAME.fullmatch(role):
        raise InvalidArgument("a role is steward, analyst, officer, auditor, or a name of the gateway's principals")
    try:
        address = (state / "endpoint").read_text().strip()
    except (OSError, ValueError):
        raise Unavailable(f"no gateway runs on {state}; start one with `synthgate serve --state {state}`") from None
    return address, read_token(state / "tokens" / role)


def read_token(file: Path) -> str:
    """The token in a file. Raises Unauthenticated."""
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        raise Unauthenticated(f"{file} holds no readable token; see the names in its folder") from None
