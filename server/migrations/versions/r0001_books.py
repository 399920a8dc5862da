"""The ledger's entries, the audit log, datasets, releases, answers to request ids, principals."""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

from server.migrations import triggers

revision = "0001"
down_revision = None

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HISTORY = ("entries", "audit", "requests")


def _text(name: str, *, unique: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False, unique=unique or None)


def _indexed(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False, index=True)


def _whole(name: str, *, nullable: bool = False, key: bool = False) -> "sa.Column[int]":
    return sa.Column(name, _WHOLE, nullable=nullable, primary_key=key)


def upgrade() -> None:
    """Create them, with what the database refuses."""
    _chains()
    _catalog()
    dialect = op.get_bind().dialect.name
    for table in _HISTORY:
        _run(triggers.append_only(dialect, table, verbs=("UPDATE", "DELETE")))
    for table in ("datasets", "releases"):
        _run(triggers.append_only(dialect, table, verbs=("DELETE",)))
    for table in ("entries", "audit"):
        _run(triggers.chained(dialect, table))


def _run(statements: Iterable[str]) -> None:
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


def _chains() -> None:
    op.create_table(
        "entries", _whole("sequence", key=True), _text("account"), _text("kind"), _text("principal"), _text("reason"),
        _text("at"), _text("previous", unique=True), _text("digest", unique=True), _text("reservation"),
        _whole("charge_epsilon", nullable=True), _whole("charge_delta", nullable=True),
        _whole("charge_rdp", nullable=True), _whole("cap_epsilon", nullable=True), _whole("cap_delta", nullable=True),
        _whole("rdp_order"), _whole("capacity"), _whole("sandbox"), _whole("verdicts_granted"), _text("salt"),
        sqlite_strict=True,
    )  # fmt: skip
    op.create_index("entries_of_account", "entries", ["account", "sequence"])
    op.create_index("entries_of_reservation", "entries", ["reservation", "sequence"])
    for name, column, kinds in (
        ("opened_once", "account", "('open')"),
        ("reserved_once", "reservation", "('reserve')"),
        ("settled_once", "reservation", "('commit', 'void')"),
    ):
        where = sa.text(f"kind IN {kinds}")
        op.create_index(name, "entries", [column], unique=True, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "audit", _whole("sequence", key=True), _text("at"), _text("principal"), _text("action"), _text("resource"),
        _text("detail"), _text("previous", unique=True), _text("digest", unique=True), sqlite_strict=True,
    )  # fmt: skip


def _catalog() -> None:
    op.create_table(
        "datasets", _whole("ordinal", key=True), _text("name", unique=True), _text("state"), _text("document"),
        sqlite_strict=True,
    )  # fmt: skip
    op.create_table(
        "releases", _whole("ordinal", key=True), _text("id", unique=True),
        sa.Column("dataset", sa.Text, sa.ForeignKey("datasets.name"), nullable=False, index=True),
        _indexed("account"), _indexed("state"), _text("document"), sqlite_strict=True,
    )  # fmt: skip
    op.create_table(
        "requests", _text("principal"), _text("method"), _text("request_id"), _text("payload"), _text("resource"),
        sa.PrimaryKeyConstraint("principal", "method", "request_id"), sqlite_strict=True,
    )  # fmt: skip
    op.create_table(
        "principals", _text("name", unique=True), _text("office"), _text("token_sha256", unique=True),
        sqlite_strict=True,
    )  # fmt: skip
