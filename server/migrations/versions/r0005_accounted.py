"""Which releases are judged by an accounted verdict: none of those that are there already."""

import sqlalchemy as sa
from alembic import op

from server.migrations import triggers

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table, to which rows are only added."""
    op.create_table(
        "accounted",
        sa.Column("release", sa.Text, primary_key=True, nullable=False),
        sa.Column("account", sa.Text, nullable=False, index=True),
        sqlite_strict=True,
    )
    for statement in triggers.append_only(op.get_bind().dialect.name, "accounted", verbs=("UPDATE", "DELETE")):
        op.get_bind().exec_driver_sql(statement)
