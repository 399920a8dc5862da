"""Every store against a plain reference model: random verbs, roll-backs and re-openings.

Each step looks first at what the step before it added and at the sums that it left; the whole books are read again
where the stores are opened again, and at the end.
"""

import contextlib
import functools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.ledger import chain, meter, rules
from server.store import LedgerAndView, Store
from server.store_memory import MemoryStore
from server.store_sql import SqlStore
from synthgate.budget import PrivacyBudget
from synthgate.errors import DataCorrupted
from synthgate.ledger import Balance, Charge, Entry, EntryKind
from tests import postgres
from tests.server.ledger.planted import DeductsAfterwards, EditsHistory, ForgetsReserved
from tests.server.ledger.reference import Added, Held, Reference
from tests.server.stores import EPOCH, IN_MEMORY, ticking

Maker = Callable[[str], Store]
NAMES = st.sampled_from(["people", "plants"])
IDS = st.integers(-8, 7)
"""Of reservations, counted from the number of those that were made: some old, some new."""
SETTLED = st.integers(-24, 1)
CAPS = st.sampled_from([PrivacyBudget.cap(e, d) for e in (0.02, 1.0, 3.0, 10.0) for d in (1e-7, 1e-6)])
CHARGES = st.builds(
    Charge,
    epsilon=st.sampled_from([1, 10**8, 10**9, 3 * 10**9]),
    delta=st.sampled_from([0, 5 * 10**9, 5 * 10**10, 2 * 10**11]),
    rdp=st.sampled_from([0, 10**10, 194_600_000_000, 10**12]) | st.none(),
)

FEW = 8
"""Entries until which an account may be opened that exists."""
APART = 30
"""Entries between two openings of one store."""
STEPS, SOAK_STEPS = 10_000, 30_000


class Undone(Exception):
    """Raised inside a transaction to roll it back."""


@functools.cache
def sqlite_template() -> bytes:
    """A new SQLite database, to copy: making its tables takes longer than twenty steps."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.db"
        SqlStore(path).close()
        return path.read_bytes()


@functools.cache
def postgresql_template() -> str:
    """The same on PostgreSQL."""
    url = postgres.database()
    SqlStore(url).close()
    return url


class LedgerMachine(RuleBasedStateMachine):
    makers: ClassVar[tuple[Maker, ...]] = (
        lambda place: MemoryStore(clock=ticking()),
        lambda place: SqlStore(place, clock=ticking()),
        lambda place: SqlStore(place, clock=ticking()),
    )
    steps: ClassVar[int] = 0

    @initialize(caps=st.lists(CAPS, min_size=1, max_size=2))
    def start(self, caps: list[PrivacyBudget]) -> None:
        self.folder = contextlib.ExitStack()
        path = Path(self.folder.enter_context(tempfile.TemporaryDirectory(dir=IN_MEMORY))) / "gateway.db"
        self.places = [str(path)]
        if len(self.makers) > 1:
            path.write_bytes(sqlite_template())
            self.places += [str(path), postgres.database(like=postgresql_template())]
        self.stores = [make(place) for make, place in zip(self.makers, self.places, strict=True)]
        self.books: list[list[Entry]] = [[] for _ in self.stores]
        self.model = Reference()
        self.opened_again = 0
        for name, cap in zip(("people", "plants"), caps, strict=False):
            self.open(name, cap, undo=False)

    def teardown(self) -> None:
        if not hasattr(self, "stores"):
            return
        try:
            if sys.exc_info()[0] is None:
                self.books_are_whole()
        finally:
            for store in self.stores:
                store.close()
            self.folder.close()

    def do(self, verb: Callable[[LedgerAndView], Any], *adds: Added, expected: str, undo: bool = False) -> bool:
        """Run ``verb`` on every store; ``expected`` is the error's name or empty. True where it took effect, and then
        ``adds`` are the entries that it left."""
        LedgerMachine.steps += 1
        outcomes, news = [], []
        for store, book in zip(self.stores, self.books, strict=True):
            outcome = ("", "")
            try:
                with store.begin() as tx:
                    news.append(self.grown(tx.ledger, book))
                    verb(tx.ledger)
                    if undo:
                        raise Undone
            except AssertionError:
                raise
            except Exception as error:
                outcome = (type(error).__name__, str(error))
            outcomes.append(outcome)
        assert news.count(news[0]) == len(news)
        assert len(set(outcomes)) == 1, outcomes
        assert outcomes[0][0] == (expected or ("Undone" if undo else ""))
        done = not expected and not undo
        self.model.entries += adds if done else ()
        return done

    @precondition(lambda self: len(self.model.caps) < 2 or len(self.model.entries) < FEW)
    @rule(name=NAMES, cap=CAPS, undo=st.booleans())
    def open(self, name: str, cap: PrivacyBudget, undo: bool) -> None:
        made = meter.new_account(name, cap, sandbox=False, by="officer", at=EPOCH)
        expected = "AlreadyExists" if name in self.model.caps else ""
        added = (EntryKind.OPEN, name, "", None, cap)
        if self.do(lambda ledger: ledger.open(made, reason=""), added, expected=expected, undo=undo):
            self.model.caps[name], self.model.orders[name] = cap, made.order

    @rule(name=NAMES, cap=CAPS, undo=st.booleans())
    def amend(self, name: str, cap: PrivacyBudget, undo: bool) -> None:
        expected = ""
        if name not in self.model.caps:
            expected = "NotFound"
        elif not self.model.fits(name, self.model.live(name), cap):
            expected = "FailedPrecondition"
        if self.do(
            lambda ledger: ledger.amend(name, cap=cap, verdicts_granted=1, by="officer", reason="why"),
            (EntryKind.AMEND, name, "", None, cap), expected=expected, undo=undo,
        ):  # fmt: skip
            self.model.caps[name] = cap

    @rule(name=NAMES, offset=IDS, charge=CHARGES, undo=st.sampled_from([False, False, True]))
    def reserve(self, name: str, offset: int, charge: Charge, undo: bool) -> None:
        expected, each = "", self.model.id(offset)
        if name not in self.model.caps:
            expected = "NotFound"
        elif each in self.model.held:
            expected = "AlreadyExists"
        elif not self.model.fits(name, [*self.model.live(name), charge], self.model.caps[name]):
            expected = "BudgetExhausted"
        added = (EntryKind.RESERVE, name, each, charge, None)
        if self.do(
            lambda ledger: ledger.reserve(name, each, charge, by="analyst"), added, expected=expected, undo=undo
        ):
            self.model.held[each] = Held(name, charge)

    @rule(name=NAMES, many=st.integers(2, 4), charge=CHARGES)
    def reserve_together(self, name: str, many: int, charge: Charge) -> None:
        """Several in one transaction: each check sees the charges before it, and one refusal undoes them all."""
        free = [each for each in map(self.model.id, range(-8, 8)) if each not in self.model.held][:many]
        expected = ""
        if name not in self.model.caps:
            expected = "NotFound"
        elif not self.model.fits(name, [*self.model.live(name), *[charge] * len(free)], self.model.caps[name]):
            expected = "BudgetExhausted"

        def verb(ledger: LedgerAndView) -> None:
            for each in free:
                ledger.reserve(name, each, charge, by="analyst")

        if self.do(verb, *[(EntryKind.RESERVE, name, each, charge, None) for each in free], expected=expected):
            self.model.held |= {each: Held(name, charge) for each in free}

    @rule(offset=SETTLED, undo=st.booleans(), kind=st.sampled_from([EntryKind.COMMIT, EntryKind.VOID, EntryKind.VOID]))
    def settle(self, offset: int, undo: bool, kind: EntryKind) -> None:
        each = self.model.id(offset)
        held = self.model.held.get(each)
        expected = "NotFound" if held is None else "" if held.state is EntryKind.RESERVE else "WrongState"
        added = (kind, held.account, each, held.charge, None) if held else ()

        def verb(ledger: LedgerAndView) -> None:
            if kind is EntryKind.COMMIT:
                ledger.commit(each, by="gateway")
            else:
                ledger.void(each, by="analyst", reason="")

        if self.do(verb, added, expected=expected, undo=undo) and held is not None:
            held.state = kind

    @precondition(lambda self: len(self.model.entries) >= self.opened_again + APART)
    @rule()
    def reopen(self) -> None:
        LedgerMachine.steps += 1
        self.opened_again = len(self.model.entries)
        for i, store in enumerate(self.stores):
            if isinstance(store, SqlStore):
                store.close()
                self.stores[i] = SqlStore(self.places[i], clock=store._clock)
        self.books_are_whole()

    def grown(self, ledger: LedgerAndView, book: list[Entry]) -> list[Added]:
        """Read what the step before added to a book, and the sums that it left; both are as the model has them."""
        new = ledger.entries(after=len(book))
        chain.verify(new, after=book[-1] if book else None)
        assert [(e.kind, e.account, e.reservation, e.charge, e.cap) for e in new] == self.model.entries[len(book) :]
        book += new
        for name in self.model.caps:
            self.agrees(name, ledger.balance(name))
        return [told(e) for e in new]

    def agrees(self, name: str, balance: Balance) -> None:
        """The kept sums and the model say the same."""
        live = self.model.live(name)
        assert (balance.account.cap, balance.account.order) == (self.model.caps[name], self.model.orders[name])
        assert self.model.fits(name, live, self.model.caps[name]), "both meters are overspent"
        assert (balance.epsilon, balance.delta) == (sum(c.epsilon for c in live), sum(c.delta for c in live))
        closed = balance.account.capacity == 0 or any(c.rdp is None for c in live)
        assert balance.rdp == (None if closed else sum(c.rdp or 0 for c in live))

    def books_are_whole(self) -> None:
        """Read from the first entry on, the books are those that were seen to grow, and give the kept sums."""
        for store, book in zip(self.stores, self.books, strict=True):
            with store.begin() as tx:
                self.grown(tx.ledger, book)
                entries = tx.ledger.entries()
                balances = {name: tx.ledger.balance(name) for name in self.model.caps}
            chain.verify(entries)
            assert list(entries) == book, "what was written is another"
            for name, balance in balances.items():
                assert balance == rules.balance_of(name, [e for e in entries if e.account == name])
        assert all([told(e) for e in book] == [told(e) for e in self.books[0]] for book in self.books)


def told(entry: Entry) -> tuple[object, ...]:
    """What two stores that did the same say alike: all but the salt, and the digests that follow from it."""
    return entry.sequence, entry.kind, entry.account, entry.reservation, entry.charge, entry.cap, entry.at, entry.reason


@pytest.mark.guarantee("cap")
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("steps", [STEPS, pytest.param(SOAK_STEPS, marks=pytest.mark.soak)])
def test_no_store_ever_leaves_the_caps(steps: int, record_property: Callable[[str, object], None]) -> None:
    LedgerMachine.steps = 0
    once = settings(
        max_examples=10, stateful_step_count=250, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    while LedgerMachine.steps < steps:
        run_state_machine_as_test(LedgerMachine, settings=once)
    record_property("reached", f"state machine: {LedgerMachine.steps:,} steps each on memory, SQLite and PostgreSQL")


class ForgetfulMachine(LedgerMachine):
    makers = (lambda _place: ForgetsReserved(MemoryStore(clock=ticking())),)


class LateMachine(LedgerMachine):
    makers = (lambda _place: DeductsAfterwards(MemoryStore(clock=ticking())),)


class EditingMachine(LedgerMachine):
    makers = (lambda _place: EditsHistory(MemoryStore(clock=ticking())),)


@pytest.mark.guarantee("cap")
@pytest.mark.parametrize("machine", [ForgetfulMachine, LateMachine, EditingMachine])
def test_the_machine_convicts_a_planted_fault(machine: type[LedgerMachine]) -> None:
    once = settings(max_examples=200, stateful_step_count=40, deadline=None, phases=[Phase.generate], database=None)
    with pytest.raises((AssertionError, DataCorrupted)):
        run_state_machine_as_test(machine, settings=once)
