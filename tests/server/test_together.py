"""Works that share a transaction end as they would have ended alone, and none is answered before the commit."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.store_sql import SqlStore
from server.together import MOST, Together
from synthgate.errors import BudgetExhausted, InternalError, InvalidArgument, Unavailable

REFUSED = -1


class Draft(list[Any]):
    """Numbers that are not kept yet."""

    def send(self) -> None:
        """Refuse one of them, as a database refuses a row that waited."""
        if REFUSED in self:
            raise InvalidArgument("no")


@dataclass
class Kept:
    """A store of numbers with transactions; the first waits for ``open`` so that works pile up behind it."""

    numbers: list[Any] = field(default_factory=list)
    transactions: int = 0
    began: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)
    fault: Exception | None = None

    @contextmanager
    def begin(self) -> Iterator[list[Any]]:
        draft = Draft(self.numbers)
        self.transactions += 1
        first = self.transactions == 1
        yield draft
        if first:
            self.began.set()
            assert self.open.wait(10)
        elif self.fault is not None:
            raise self.fault
        self.numbers = draft


def piled(kept: Kept, works: list[Callable[[Any], Any]]) -> list[Any]:
    """What came of each work, run together behind one that holds the turn."""
    together = Together(kept.begin, timeout_s=10.0)
    found: list[Any] = [None] * len(works)

    def run(number: int) -> None:
        try:
            found[number] = together.run(works[number])
        except Exception as error:
            found[number] = error

    first = threading.Thread(target=together.run, args=(lambda draft: draft.append("first"),))
    first.start()
    assert kept.began.wait(10)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    while len(together._waiting) < len(works):
        assert first.is_alive()
    kept.open.set()
    for thread in [first, *threads]:
        thread.join(10)
    return found


def adds(number: int) -> Callable[[list[Any]], int]:
    def work(draft: list[Any]) -> int:
        draft.append(number)
        return number

    return work


def refused(draft: list[Any]) -> None:
    draft.append("half")
    raise BudgetExhausted("no")


def test_works_that_wait_share_a_commit() -> None:
    kept = Kept()
    assert piled(kept, [adds(n) for n in range(MOST + 5)]) == list(range(MOST + 5))
    assert kept.transactions == 3  # the first, a full one, the rest
    assert set(kept.numbers) == {"first", *range(MOST + 5)} and len(kept.numbers) == MOST + 6


def test_a_refusal_is_its_own_alone() -> None:
    kept = Kept()
    found = piled(kept, [adds(1), refused, adds(2), lambda draft: 1 / 0])
    assert (found[0], found[2]) == (1, 2)
    assert isinstance(found[1], BudgetExhausted) and isinstance(found[3], ZeroDivisionError)
    assert sorted(kept.numbers[1:]) == [1, 2]


def test_a_row_that_is_refused_when_it_is_sent_is_its_works_own() -> None:
    kept = Kept()
    assert piled(kept, [adds(1), adds(REFUSED), adds(2)]) == [1, REFUSED, 2]
    assert kept.transactions == 1 + 1 + 3  # the first, the shared one that was rolled back, each alone


@pytest.mark.parametrize("fault", [Unavailable("the disk is full"), OSError()])
def test_nobody_is_answered_before_the_commit(fault: Exception) -> None:
    kept = Kept(fault=fault)
    assert piled(kept, [adds(1), adds(2), adds(3)]) == [fault] * 3
    assert kept.numbers == ["first"]


def test_what_cannot_begin_is_told_at_once() -> None:
    tried = []

    @contextmanager
    def begin() -> Iterator[Any]:
        tried.append(1)
        raise Unavailable("busy")
        yield

    with pytest.raises(Unavailable, match="busy"):
        Together(begin, timeout_s=1.0).run(lambda tx: None)
    assert len(tried) == 1


def test_whoever_waits_too_long_leaves_nothing_behind() -> None:
    kept = Kept()
    together = Together(kept.begin, timeout_s=0.05)
    first = threading.Thread(target=together.run, args=(adds(0),))
    first.start()
    assert kept.began.wait(10)
    with pytest.raises(Unavailable, match="busy"):
        together.run(adds(1))
    kept.open.set()
    first.join(10)
    together.run(adds(2))
    assert kept.numbers == [0, 2]


def test_works_of_many_threads_on_a_database(tmp_path) -> None:
    store = SqlStore(tmp_path / "state.db")

    def work(number: int) -> Callable[[Any], int]:
        def write(tx: Any) -> int:
            if number % 7 == 3:
                raise InternalError("planned")
            record = tx.audit.append(principal="p", action="a", resource=str(number), detail={})
            return int(record.sequence)

        return write

    found: list[Any] = [None] * 40

    def run(number: int) -> None:
        try:
            found[number] = store.together(work(number))
        except InternalError as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with store.begin() as tx:
        kept = {int(record.resource): record.sequence for record in tx.audit.records()}
    assert kept == {n: found[n] for n in range(40) if n % 7 != 3}
    assert sorted(kept.values()) == list(range(1, len(kept) + 1))
    assert all(isinstance(found[n], InternalError) for n in range(40) if n % 7 == 3)
