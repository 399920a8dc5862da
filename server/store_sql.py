"""`SqlStore`: everything in one SQLite file that several threads and processes may share.

Durability before speed: rollback journal, ``synchronous=EXTRA`` (a commit survives a power cut: the folder is synced
too, after the journal is gone), ``BEGIN IMMEDIATE`` (a transaction holds the write lock before its first
read, so what it has checked is still true when it writes). Threads of one process take turns; processes wait for each
other up to ``timeout_s``.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, OperationalError

from server import tables
from server.audit import SqlAudit
from server.catalog.sql import SqlDatasets, SqlPrincipals, SqlReleases, SqlRequests
from server.ledger.sql import SqlLedger
from server.store import Transaction, Turn, utc_now
from synthgate.errors import DataCorrupted, FailedPrecondition, InvalidArgument, Unavailable


class SqlStore:
    """A `server.store.Store` in an SQLite file, which is created (mode 0600) with its tables on the first opening.

    ``place`` is a path or a URL ``sqlite:///path``. Raises InvalidArgument for any other place, FailedPrecondition for
    a database that a newer synthgate wrote or that is not synthgate's, DataCorrupted for a file that is no database,
    Unavailable where it cannot be opened. Open one store a process, after the process has started (never across a
    fork), and share it between threads.
    """

    def __init__(self, place: str | Path, *, clock: Callable[[], datetime] = utc_now, timeout_s: float = 30.0) -> None:
        url = _url(place)
        self._clock = clock
        self._turn = Turn(timeout_s=timeout_s)
        self._closed = False
        self._engine = create_engine(
            url,
            pool_size=1,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": timeout_s, "isolation_level": None},
        )
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin_immediate)
        with _translated():
            _create_file(Path(url.database or ""))
            with self._engine.begin() as connection:
                _prepare(connection)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """One transaction. Besides what the block raises: Unavailable where the database is locked for too long, cannot
        be written or is closed (where the commit itself failed, the outcome is unknown: ask again)."""
        with self._turn.taken(), _translated():
            if self._closed:
                raise Unavailable("the gateway's store is closed")
            with self._engine.begin() as connection:
                yield Transaction(
                    ledger=SqlLedger(connection, clock=self._clock),
                    datasets=SqlDatasets(connection),
                    releases=SqlReleases(connection),
                    requests=SqlRequests(connection),
                    audit=SqlAudit(connection, clock=self._clock),
                    principals=SqlPrincipals(connection),
                )

    def close(self) -> None:
        """Let go of the file. A transaction that runs is finished first."""
        with self._turn.taken():
            self._closed = True
            self._engine.dispose()


def _url(place: str | Path) -> URL:
    url: URL | None = URL.create("sqlite", database=str(place))
    if isinstance(place, str) and "://" in place:
        try:
            url = make_url(place)
        except ArgumentError:
            url = None
    if url is None or url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:") or url.query:
        raise InvalidArgument("the store is a path or sqlite:///path; there is no other database yet")
    return url


def _create_file(path: Path) -> None:
    """SQLite would create it readable for others; its journal takes the mode of the file."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable("the gateway's database file cannot be opened for writing; check its folder") from error


def _configure(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=DELETE", "synchronous=EXTRA", "foreign_keys=ON", "recursive_triggers=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare(connection: Connection) -> None:
    """Create the tables in an empty database; refuse what this version cannot read."""
    found = set(inspect(connection).get_table_names())
    if not found:
        tables.metadata.create_all(connection)
        for statement in tables.sqlite_triggers():
            connection.exec_driver_sql(statement)
        connection.execute(insert(tables.schema_version).values(version=tables.VERSION))
        return
    if tables.schema_version.name not in found:
        raise FailedPrecondition("this database is not a gateway's; choose another file")
    version = connection.scalar(select(tables.schema_version.c.version))
    if version != tables.VERSION:
        raise FailedPrecondition(
            f"the database has version {version} of the gateway's tables, this program reads version {tables.VERSION}; "
            "start the synthgate that wrote it, or a newer one"
        )


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as ours, without its text. Broken constraints stay what they are: faults of this program."""
    try:
        yield
    except OperationalError as error:
        raise Unavailable("the gateway's database is busy or cannot be written; retry later") from error
    except IntegrityError:
        raise
    except DatabaseError as error:
        raise DataCorrupted("the gateway's database cannot be read; restore it from a backup") from error
