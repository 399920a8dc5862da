"""The tables of the SQL store, and what the database itself refuses.

Money and evidence are append-only: triggers abort every UPDATE and DELETE on ``entries``, ``audit`` and ``requests``,
and every line that does not follow its predecessor. Partial unique indexes hold the book's shape even against a faulty
caller: an account opens once, a reservation is made once and settled once. Times are texts (UTC, ISO 8601); amounts are
64-bit integers in the units of the meters.
"""

from collections.abc import Iterator

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

VERSION = 1
"""The version of these tables; a database with a newer one is refused."""

metadata = MetaData()
_Whole = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, *, unique: bool = False, index: bool = False) -> "Column[str]":
    return Column(name, Text, nullable=False, unique=unique or None, index=index or None)


def _whole(name: str, *, nullable: bool = False, key: bool = False) -> "Column[int]":
    return Column(name, _Whole, nullable=nullable, primary_key=key)


schema_version = Table("schema_version", metadata, _whole("version", key=True), sqlite_strict=True)

entries = Table(
    "entries",
    metadata,
    _whole("sequence", key=True),
    _text("account"),
    _text("kind"),
    _text("principal"),
    _text("reason"),
    _text("at"),
    _text("previous", unique=True),
    _text("digest", unique=True),
    _text("reservation"),
    _whole("charge_epsilon", nullable=True),
    _whole("charge_delta", nullable=True),
    _whole("charge_rdp", nullable=True),
    _whole("cap_epsilon", nullable=True),
    _whole("cap_delta", nullable=True),
    _whole("rdp_order"),
    _whole("capacity"),
    _whole("sandbox"),
    _whole("verdicts_granted"),
    _text("salt"),
    sqlite_strict=True,
)
Index("entries_of_account", entries.c.account, entries.c.sequence)
Index("entries_of_reservation", entries.c.reservation, entries.c.sequence)
for _name, _column, _kinds in (
    ("opened_once", entries.c.account, "('open')"),
    ("reserved_once", entries.c.reservation, "('reserve')"),
    ("settled_once", entries.c.reservation, "('commit', 'void')"),
):
    _where = text(f"kind IN {_kinds}")
    Index(_name, _column, unique=True, sqlite_where=_where, postgresql_where=_where)

audit = Table(
    "audit",
    metadata,
    _whole("sequence", key=True),
    _text("at"),
    _text("principal"),
    _text("action"),
    _text("resource"),
    _text("detail"),
    _text("previous", unique=True),
    _text("digest", unique=True),
    sqlite_strict=True,
)

datasets = Table(
    "datasets",
    metadata,
    _whole("ordinal", key=True),
    _text("name", unique=True),
    _text("state"),
    _text("document"),
    sqlite_strict=True,
)

releases = Table(
    "releases",
    metadata,
    _whole("ordinal", key=True),
    _text("id", unique=True),
    Column("dataset", Text, ForeignKey("datasets.name"), nullable=False, index=True),
    _text("account", index=True),
    _text("state", index=True),
    _text("document"),
    sqlite_strict=True,
)

requests = Table(
    "requests",
    metadata,
    _text("principal"),
    _text("method"),
    _text("request_id"),
    _text("payload"),
    _text("resource"),
    PrimaryKeyConstraint("principal", "method", "request_id"),
    sqlite_strict=True,
)

principals = Table(
    "principals",
    metadata,
    _text("name", unique=True),
    _text("office"),
    _text("token_sha256", unique=True),
    sqlite_strict=True,
)

_NO_UPDATE = (entries, audit, requests)
_NO_DELETE = (entries, audit, requests, datasets, releases)
_CHAINED = (entries, audit)


def sqlite_triggers() -> Iterator[str]:
    """The statements that make SQLite refuse to rewrite history."""
    for verb, tables in (("UPDATE", _NO_UPDATE), ("DELETE", _NO_DELETE)):
        for table in tables:
            yield (
                f"CREATE TRIGGER {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name} "
                f"BEGIN SELECT RAISE(ABORT, '{table.name}: no {verb} is allowed'); END"
            )
    for table in _CHAINED:
        yield (
            f"CREATE TRIGGER {table.name}_in_order BEFORE INSERT ON {table.name} "  # noqa: S608 (our own names)
            f"WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM {table.name}) OR NEW.previous "
            f"IS NOT coalesce((SELECT digest FROM {table.name} ORDER BY sequence DESC LIMIT 1), '{'0' * 64}') "
            f"BEGIN SELECT RAISE(ABORT, '{table.name}: a line follows the newest one'); END"
        )
