"""Where alembic runs a migration: inside the transaction that `server.migrations.upgrade` has begun."""

from alembic import context

from server.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
