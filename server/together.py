"""`Together`: works that wait for the store at the same time share one transaction, and with it one durable commit.

Who gets the turn runs every work that waits, its own among them, and commits once; the others find theirs done. Where
one of them raises, the shared transaction is rolled back whole and each runs again in a transaction of its own, so the
outcome of each is what it would have been alone, and a refusal costs its neighbours one repetition at most.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from server.store import Transaction
from synthgate.errors import Unavailable

Found = TypeVar("Found")
MOST = 32
"""Works in one transaction; more wait for the next, so that a batch keeps the store for tens of milliseconds."""


@dataclass(slots=True, eq=False)
class _Asked:
    """One work with what came of it."""

    work: Callable[[Transaction], Any]
    done: bool = False
    value: Any = None
    error: BaseException | None = None

    def settle(self, *, value: Any = None, error: BaseException | None = None) -> None:
        self.value, self.error, self.done = value, error, True


class Together:
    """Runs works over ``begin`` of one store. Thread-safe."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Transaction]], *, timeout_s: float) -> None:
        self._begin = begin
        self._timeout_s = timeout_s
        self._waiting: list[_Asked] = []
        self._list = threading.Lock()
        self._turn = threading.Lock()

    def run(self, work: Callable[[Transaction], Found]) -> Found:
        """What ``work`` returns, after its commit. It may be run twice, and only what the second run did is kept.

        Raises what ``work`` raises (nothing of it is kept then), and Unavailable as ``begin`` does; where the commit
        itself failed the outcome is unknown, so a work asks first whether it was done.
        """
        asked = _Asked(work)
        with self._list:
            self._waiting.append(asked)
        if not self._turn.acquire(timeout=self._timeout_s):
            with self._list:
                if asked in self._waiting:
                    self._waiting.remove(asked)
            raise Unavailable("the gateway's store is busy; retry later")
        try:
            while not asked.done:
                self._next()
        finally:
            self._turn.release()
        if asked.error is not None:
            raise asked.error
        found: Found = asked.value
        return found

    def _next(self) -> None:
        with self._list:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            if len(batch) == 1 or not self._shared(batch):
                for asked in batch:
                    self._alone(asked)
        finally:
            for asked in batch:
                if not asked.done:  # this thread is being stopped: nobody may wait for it
                    asked.settle(error=Unavailable("the gateway stopped before it could answer; ask again"))

    def _shared(self, batch: list[_Asked]) -> bool:
        """All in one transaction; False where one of them raised and nothing was kept."""
        values: list[Any] = []
        working = False
        try:
            with self._begin() as tx:
                working = True
                for asked in batch:
                    values.append(asked.work(tx))  # noqa: PERF401 (it must be known where a work raised)
                tx.send()
                working = False
        except Exception as error:
            if working:
                return False
            for asked in batch:
                asked.settle(error=error)
            return True
        for asked, value in zip(batch, values, strict=True):
            asked.settle(value=value)
        return True

    def _alone(self, asked: _Asked) -> None:
        try:
            with self._begin() as tx:
                value = asked.work(tx)
        except Exception as error:
            asked.settle(error=error)
        else:
            asked.settle(value=value)
