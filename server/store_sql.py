"""`SqlStore`: everything in one database, SQLite or PostgreSQL, that several threads and processes may share.

Threads of one process take turns; processes wait for each other up to ``timeout_s`` (``server.databases``).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, OperationalError

from server import migrations
from server.audit import SqlAudit
from server.catalog.sql import SqlDatasets, SqlLeases, SqlPrincipals, SqlReleases, SqlRequests
from server.databases import connect
from server.ledger.sql import SqlLedger
from server.store import Transaction, Turn, utc_now
from server.together import Together
from server.writes import Writes
from synthgate.errors import DataCorrupted, InvalidArgument, Unavailable

Found = TypeVar("Found")


class SqlStore:
    """A `server.store.Store` in a database, whose tables are made, or migrated, at the opening.

    ``place`` is a path, a URL ``sqlite:///path`` (the file is created with mode 0600), or a URL
    ``postgresql://user@host/name``. Raises InvalidArgument for any other place, FailedPrecondition for a database that
    a newer synthgate wrote or that is not synthgate's, DataCorrupted for a file that is no database, Unavailable where
    it cannot be opened. Open one store a process, after the process has started (never across a fork), and share it
    between threads.
    """

    def __init__(self, place: str | Path, *, clock: Callable[[], datetime] = utc_now, timeout_s: float = 30.0) -> None:
        self._clock = clock
        self._turn = Turn(timeout_s=timeout_s)
        self._closed = False
        self._together = Together(self.begin, timeout_s=timeout_s)
        self._engine = connect(place, timeout_s=timeout_s)
        with _translated(), self._engine.begin() as connection:
            migrations.upgrade(connection)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """One transaction. Besides what the block raises: Unavailable where the database is locked for too long, cannot
        be written or is closed (where the commit itself failed, the outcome is unknown: ask again)."""
        with self._turn.taken(), _translated():
            if self._closed:
                raise Unavailable("the gateway's store is closed")
            with self._engine.begin() as connection:
                writes = Writes(connection)
                ledger = SqlLedger(writes, clock=self._clock)
                yield Transaction(
                    ledger=ledger,
                    datasets=SqlDatasets(writes),
                    releases=SqlReleases(writes, ledger=ledger),
                    requests=SqlRequests(writes),
                    audit=SqlAudit(writes, clock=self._clock),
                    principals=SqlPrincipals(writes),
                    leases=SqlLeases(writes, clock=self._clock),
                    send=writes.send,
                )
                writes.send()

    def together(self, work: Callable[[Transaction], Found]) -> Found:
        """One commit for all that wait."""
        return self._together.run(work)

    def close(self) -> None:
        """Let go of the database. A transaction that runs is finished first."""
        with self._turn.taken():
            self._closed = True
            self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as ours, without its text. Broken constraints stay what they are: faults of this program."""
    try:
        yield
    except OperationalError as error:
        raise Unavailable("the gateway's database is busy or cannot be written; retry later") from error
    except IntegrityError:
        raise
    except DataError as error:  # what was asked for, not what is stored
        raise InvalidArgument("a text or a number of the request is none that can be stored; send another") from error
    except DatabaseError as error:
        if error.connection_invalidated:
            raise Unavailable("the gateway's database ended the connection; retry later") from error
        raise DataCorrupted("the gateway's database cannot be read; restore it from a backup") from error
