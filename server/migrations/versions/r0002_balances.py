"""What the entries sum to, an account a row, filled from the entries that are there."""

import sqlalchemy as sa
from alembic import op

from server.ledger.sql import SqlLedger
from server.store import utc_now
from server.writes import Writes

revision = "0002"
down_revision = "0001"

_WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create and fill."""
    wholes = ("sequence", "opened", "cap_epsilon", "cap_delta", "rdp_order", "capacity", "sandbox", "verdicts_granted")
    sums = [(f"{state}_{name}", kind) for state in ("committed", "reserved") for name, kind in (
        ("charges", _WHOLE), ("epsilon", sa.Text()), ("delta", sa.Text()), ("rdp", sa.Text()), ("opaque", _WHOLE),
    )]  # fmt: skip
    op.create_table(
        "balances",
        sa.Column("account", sa.Text, primary_key=True),
        *(sa.Column(name, _WHOLE, nullable=False) for name in wholes),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("opened_by", "opened_at")),
        *(sa.Column(name, kind, nullable=False) for name, kind in sums),
        sqlite_strict=True,
    )
    writes = Writes(op.get_bind())
    ledger = SqlLedger(writes, clock=utc_now)
    for entry in ledger.entries():
        ledger.weigh(entry)
    writes.send()
