"""A gateway's state folder, as its clients on the same machine read it: ``endpoint`` and ``tokens/<role>``."""

from pathlib import Path

from synthgate.errors import InvalidArgument, Unauthenticated, Unavailable

ROLES = ("steward", "analyst", "officer", "auditor")


def read_state(state: Path, role: str) -> tuple[str, str]:
    """The address and the role's development token. Raises Unavailable where no gateway runs on the folder,
    Unauthenticated where the role has no token."""
    if role not in ROLES:
        raise InvalidArgument(f"a role is one of {', '.join(ROLES)}")
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
        raise Unauthenticated(f"{file} holds no readable token") from None
