"""The tables of the SQL store as they are now; ``server.migrations`` leads there.

Times are texts (UTC, ISO 8601); amounts are 64-bit integers in the units of the meters, their sums texts. ``balances``
is what the entries sum to, written in the transaction that appends: it saves reading them all, and says nothing that
they do not (``server.preflight`` compares). Partial unique indexes keep the book's shape even against a faulty caller:
an account opens once, a reservation is made once and settled once.
"""

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

metadata = MetaData()
_Whole = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, *, unique: bool = False, index: bool = False) -> "Column[str]":
    return Column(name, Text, nullable=False, unique=unique or None, index=index or None)


def _whole(name: str, *, nullable: bool = False, key: bool = False) -> "Column[int]":
    return Column(name, _Whole, nullable=nullable, primary_key=key)


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
Index(
    "reserved_by", entries.c.principal, entries.c.at, sqlite_where=text("kind = 'reserve'"),
    postgresql_where=text("kind = 'reserve'"),
)  # fmt: skip
for _name, _column, _kinds in (
    ("opened_once", entries.c.account, "('open')"),
    ("reserved_once", entries.c.reservation, "('reserve')"),
    ("settled_once", entries.c.reservation, "('commit', 'void')"),
):
    _where = text(f"kind IN {_kinds}")
    Index(_name, _column, unique=True, sqlite_where=_where, postgresql_where=_where)

balances = Table(
    "balances",
    metadata,
    Column("account", Text, primary_key=True),
    _whole("sequence"),
    _whole("opened"),
    _text("opened_by"),
    _text("opened_at"),
    _whole("cap_epsilon"),
    _whole("cap_delta"),
    _whole("rdp_order"),
    _whole("capacity"),
    _whole("sandbox"),
    _whole("verdicts_granted"),
    *(
        column
        for state in ("committed", "reserved")
        for column in (
            _whole(f"{state}_charges"),
            _text(f"{state}_epsilon"),
            _text(f"{state}_delta"),
            _text(f"{state}_rdp"),
            _whole(f"{state}_opaque"),
        )
    ),
    sqlite_strict=True,
)

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

accounted = Table(
    "accounted",
    metadata,
    Column("release", Text, primary_key=True, nullable=False),
    _text("account", index=True),
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

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True, nullable=False),
    _text("holder", index=True),
    _whole("fence"),
    _text("until"),
    sqlite_strict=True,
)
