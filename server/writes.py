"""`Writes`: the connection of one transaction, whose rows wait and are sent together.

A transaction that admits thirty requests would otherwise send each of its hundred and fifty rows on its own and wait
for every answer, while it holds the writers' lock. Rows wait until something is read that they may change (`now`), or
until the transaction ends, and then go out statement by statement, each with all of its rows in their order.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Insert, Update


class Writes:
    """Belongs to one transaction. What waits when it is rolled back was never sent."""

    def __init__(self, connection: Connection) -> None:
        self.before = connection
        """For reads that no row that waits can change; who reads here accounts for the rows that it has sent later."""
        self._waiting: dict[Insert | Update, dict[object, Mapping[str, Any]]] = {}

    @property
    def now(self) -> Connection:
        """For everything else: the rows that wait are sent first."""
        self.send()
        return self.before

    def later(self, statement: Insert | Update, row: Mapping[str, Any], *, key: str | None = None) -> None:
        """Let a row wait. One with the ``key`` of an earlier row of the statement takes its place. Statements of which
        rows wait must not depend on each other: they are sent in the order in which each was first asked for."""
        rows = self._waiting.setdefault(statement, {})
        rows[len(rows) if key is None else key] = row

    def send(self) -> None:
        """Send what waits. Raises what the database does."""
        waiting, self._waiting = self._waiting, {}
        for statement, rows in waiting.items():
            self.before.execute(statement, list(rows.values()))
