"""Who reserved what since when, without reading the whole ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Index it."""
    where = sa.text("kind = 'reserve'")
    op.create_index("reserved_by", "entries", ["principal", "at"], sqlite_where=where, postgresql_where=where)
