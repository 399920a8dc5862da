"""`upgrade`: bring a database to the tables of this version, forward only.

A revision is one file of ``versions``, numbered by hand, that runs on SQLite and PostgreSQL alike and leaves the
entries, the audit log and the answers as they are. There is no way back: an older program refuses a newer database.
All of it happens in the caller's transaction, so a database is migrated whole or not at all, and by one gateway.
"""

from sqlalchemy import Connection, inspect, text

from synthgate.errors import FailedPrecondition

REVISION = "0005"
"""The newest revision: what this program reads and writes."""

_FIRST = "0001"
_VERSIONS = "alembic_version"


def upgrade(connection: Connection) -> str:
    """Migrate, and return the revision that was found (empty for a new database).

    Raises FailedPrecondition for a database that a newer synthgate wrote or that is not a gateway's.
    """
    found = _revision(connection)
    if found != REVISION:
        _migrate(connection, found)
    return found


def _migrate(connection: Connection, found: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "server:migrations")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found and found not in known:
        raise FailedPrecondition(
            f"the database has revision {found} of the gateway's tables, this program knows them up to {REVISION}; "
            "start the synthgate that wrote it, or a newer one"
        )
    command.upgrade(config, REVISION)


def _revision(connection: Connection) -> str:
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return ""
    if _VERSIONS in tables:
        return connection.scalar(text(f"SELECT version_num FROM {_VERSIONS}")) or ""  # noqa: S608 (our own name)
    if "schema_version" not in tables:
        raise FailedPrecondition("this database is not a gateway's; choose another one")
    version = connection.scalar(text("SELECT version FROM schema_version"))
    if version != 1:
        raise FailedPrecondition(
            f"the database has version {version} of the gateway's tables, which this program does not read; start the "
            "synthgate that wrote it, or a newer one"
        )
    _adopt(connection)
    return _FIRST


def _adopt(connection: Connection) -> None:
    """Before migrations there was one version of the tables, which revision 0001 writes down."""
    connection.execute(text(f"CREATE TABLE {_VERSIONS} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text(f"INSERT INTO {_VERSIONS} VALUES (:first)"), {"first": _FIRST})  # noqa: S608 (our own name)
    connection.execute(text("DROP TABLE schema_version"))
