"""Which gateway does which job."""

import sqlalchemy as sa
from alembic import op

from server.migrations import triggers

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table, with what the database refuses."""
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True, nullable=False),
        sa.Column("holder", sa.Text, nullable=False, index=True),
        sa.Column("fence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("until", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    dialect = op.get_bind().dialect.name
    for statement in triggers.append_only(dialect, "leases", verbs=("DELETE",)):
        op.get_bind().exec_driver_sql(statement)
    for statement in triggers.fenced(dialect, "leases"):
        op.get_bind().exec_driver_sql(statement)
