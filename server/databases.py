"""How each database is opened so that a transaction means the same on both: it holds the one write lock before its
first read (what it has checked is still true when it writes), and a commit survives a power cut.

SQLite: rollback journal with ``synchronous=EXTRA`` (the folder is synced too, after the journal is gone), ``BEGIN
IMMEDIATE``. PostgreSQL: ``synchronous_commit`` on, an advisory lock taken first, ``READ COMMITTED``, so that every
statement after the lock sees what the last writer committed.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from synthgate.errors import FailedPrecondition, InvalidArgument, Unavailable

POSTGRESQL = "postgresql+psycopg"
WRITERS_LOCK = 0x73796E7468676174
"""The advisory lock of whoever writes in a gateway's database: "synthgat" in ASCII."""


def connect(place: str | Path, *, timeout_s: float) -> Engine:
    """An engine of one connection for a path, ``sqlite:///path`` or ``postgresql://user@host/name``.

    Waiting for another writer ends after ``timeout_s``.

    Raises InvalidArgument for any other place, Unavailable where an SQLite file cannot be made, FailedPrecondition
    where the PostgreSQL driver is missing. No error repeats the URL: it may hold a password.
    """
    url = _url(place)
    return _sqlite(url, timeout_s) if url.get_backend_name() == "sqlite" else _postgresql(url, timeout_s)


def _url(place: str | Path) -> URL:
    url: URL | None = URL.create("sqlite", database=str(place))
    if isinstance(place, str) and "://" in place:
        try:
            url = make_url(place)
        except ArgumentError:
            url = None
    if url is not None and url.drivername in ("postgresql", POSTGRESQL) and url.database:
        return url.set(drivername=POSTGRESQL)
    if url is None or url.drivername != "sqlite" or url.database in (None, "", ":memory:") or url.query:
        raise InvalidArgument("the store is a path, sqlite:///path, or postgresql://user@host/database")
    return url


def _sqlite(url: URL, timeout_s: float) -> Engine:
    try:  # SQLite would create it readable for others; its journal takes the mode of the file
        os.close(os.open(url.database or "", os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable("the gateway's database file cannot be opened for writing; check its folder") from error
    arguments = {"check_same_thread": False, "timeout": timeout_s, "isolation_level": None}
    engine = create_engine(url, pool_size=1, max_overflow=0, connect_args=arguments)

    def configure(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=DELETE", "synchronous=EXTRA", "foreign_keys=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", configure)
    return _begins(engine, "BEGIN IMMEDIATE")


def _postgresql(url: URL, timeout_s: float) -> Engine:
    timeout_ms = int(timeout_s * 1000)
    options = f"-c lock_timeout={timeout_ms} -c synchronous_commit=on -c timezone=UTC"
    options += f" -c idle_in_transaction_session_timeout={timeout_ms}"  # a frozen gateway lets go of the writers' lock
    try:
        engine = create_engine(
            url, pool_size=1, max_overflow=0, pool_pre_ping=True, isolation_level="READ COMMITTED",
            connect_args={"options": options, "connect_timeout": max(2, int(timeout_s))},
        )  # fmt: skip
    except ModuleNotFoundError:
        raise FailedPrecondition("PostgreSQL needs its driver: pip install 'synthgate[postgres]'") from None
    return _begins(engine, f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")


def _begins(engine: Engine, statement: str) -> Engine:
    """Every transaction of ``engine`` begins with ``statement``."""
    begin: Callable[[Connection], Any] = lambda connection: connection.exec_driver_sql(statement)  # noqa: E731
    event.listen(engine, "begin", begin)
    return engine
