"""What an attacker with the database's password does to the audit log: lines edited, deleted, moved, cut, with or
without all later digests written anew."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, text

from server import checkpoints, preflight
from server.gateway import Gateway
from server.ledger import chain
from server.store import Transaction
from server.tables import audit
from synthgate.errors import DataCorrupted
from synthgate.record import AuditRecord

Lines = list[AuditRecord]


def edited(lines: Lines, at: int, rng: random.Random) -> Lines:
    field: dict[str, Any] = rng.choice(({"principal": "nobody"}, {"resource": "else"}, {"detail": {"share": "0"}}))
    return [*lines[:at], replace(lines[at], **field), *lines[at + 1 :]]


def deleted(lines: Lines, at: int, rng: random.Random) -> Lines:
    return [*lines[:at], *lines[at + 1 :]]


def moved(lines: Lines, at: int, rng: random.Random) -> Lines:
    other = rng.choice([i for i in range(len(lines)) if i != at])
    found = list(lines)
    found[at], found[other] = (
        replace(lines[other], sequence=lines[at].sequence),
        replace(lines[at], sequence=lines[other].sequence),
    )
    return found


def cut(lines: Lines, at: int, rng: random.Random) -> Lines:
    return lines[:at]


KINDS = (edited, deleted, moved, cut)


def anew(lines: Lines) -> Lines:
    """Every digest and number written again: a chain that holds by itself."""
    found: Lines = []
    for line in lines:
        found.append(chain.seal(line, after=found[-1] if found else None))
    return found


class Inside:
    """A store whose every transaction is the one that runs already."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        yield self._tx

    def close(self) -> None:
        pass


def unguard(connection: Connection) -> None:
    """Take the triggers away that refuse to rewrite the log."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
        return
    names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"))
    for (name,) in names.all():
        connection.execute(text(f'DROP TRIGGER "{name}"'))


def write(connection: Connection, lines: Lines) -> None:
    """Let the log be these lines."""
    connection.execute(audit.delete())
    names = ("sequence", "principal", "action", "resource", "previous", "digest")
    rows = [
        {n: getattr(r, n) for n in names} | {"at": chain.moment(r.at), "detail": chain.canonical(r.detail)}
        for r in lines
    ]
    if rows:
        connection.execute(audit.insert(), rows)


def convicted(gateway: Gateway, tx: Transaction) -> bool:
    """Whether a start on these books would refuse, or only read."""
    try:
        preflight.check(Inside(tx))
        checkpoints.compare(gateway, tx)
        return bool(gateway.doubt.reason)
    except DataCorrupted:
        return True
    finally:
        gateway.doubt.reason = ""
