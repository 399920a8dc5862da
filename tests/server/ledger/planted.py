"""Ledgers with a planted fault, to show that the race and the state machine would convict one."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from server.ledger import rules
from server.ledger.book import Book
from server.ledger.memory import MemoryLedger
from server.store import LedgerAndView, Store, Transaction
from synthgate.ledger import Balance, Charge, Entry


class Faulty:
    """A book with one verb or view replaced."""

    def __init__(self, book: Book, **faults: Callable[..., Any]) -> None:
        self.__dict__ |= faults
        self._book = book

    def __getattr__(self, name: str) -> Any:
        return getattr(self._book, name)


@dataclass(frozen=True)
class ForgetsReserved:
    """Sums what is committed and overlooks what is reserved."""

    inner: Store

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        with self.inner.begin() as tx:
            book = cast(Book, tx.ledger)

            def balance(account: str) -> Balance:
                return replace(type(book).balance(book, account), reserved=Charge(epsilon=0, delta=0, rdp=0))

            book.balance = balance  # type: ignore[method-assign]
            yield tx

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True)
class DeductsAfterwards:
    """Checks in one transaction and writes in a second one, as systems do that deduct after they ran. ``meanwhile``
    runs between the two."""

    inner: Store
    meanwhile: Callable[[], object] = lambda: None

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        late: list[Entry] = []

        try:
            with self.inner.begin() as tx:
                book = cast(Book, tx.ledger)

                def reserve(account: str, reservation: str, charge: Charge, *, by: str) -> Entry:
                    entry = rules.reserved(
                        book.balance(account), reservation, charge, taken=False, by=by, at=book._clock()
                    )
                    late.append(entry)
                    return entry

                yield replace(tx, ledger=cast(LedgerAndView, Faulty(book, reserve=reserve)))
        finally:
            self.meanwhile()
        for entry in late:
            with self.inner.begin() as tx:
                cast(Book, tx.ledger)._append(entry)

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True)
class EditsHistory:
    """Tells of its first entry another reason once five were written; every sum stays."""

    inner: Store

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        with self.inner.begin() as tx:
            written = cast(MemoryLedger, tx.ledger)._entries
            if len(written) >= 5:
                written[0] = replace(written[0], reason="another")
            yield tx

    def close(self) -> None:
        self.inner.close()


def planted(kind: str, sound: Store, *, threads: int) -> Store:
    """The store, sound or made faulty. The fault that deducts afterwards lets ``threads`` threads check before any of
    them writes, so that its conviction does not hang on the scheduler."""
    if kind == "deducts-afterwards":
        return DeductsAfterwards(sound, threading.Barrier(threads, timeout=30).wait)
    return ForgetsReserved(sound) if kind == "forgets-reserved" else sound
