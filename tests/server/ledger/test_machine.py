"""Every store against a plain reference model: random verbs, roll-backs and re-openings."""

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from server.ledger import chain, meter, rules
from server.store import LedgerAndView, Store
from server.store_memory import MemoryStore
from server.store_sql import SqlStore
from synthgate.budget import PrivacyBudget
from synthgate.ledger import Balance, Charge, Entry, EntryKind
from tests import postgres
from tests.server.ledger.planted import DeductsAfterwards, ForgetsReserved
from tests.server.stores import EPOCH, ticking

Maker = Callable[[str], Store]
NAMES = st.sampled_from(["people", "plants"])
IDS = st.integers(0, 15).map("r{}".format)
CAPS = st.sampled_from([PrivacyBudget.cap(e, d) for e in (0.02, 1.0, 3.0, 10.0) for d in (1e-7, 1e-6)])
CHARGES = st.builds(
    Charge,
    epsilon=st.sampled_from([1, 10**8, 10**9, 3 * 10**9]),
    delta=st.sampled_from([0, 5 * 10**9, 5 * 10**10, 2 * 10**11]),
    rdp=st.sampled_from([0, 10**10, 194_600_000_000, 10**12]) | st.none(),
)


class Undone(Exception):
    """Raised inside a transaction to roll it back."""


@dataclass
class Held:
    account: str
    charge: Charge
    state: str = "RESERVED"


@dataclass
class Reference:
    """What must hold, in a dozen lines that share nothing with the ledger but K."""

    caps: dict[str, PrivacyBudget] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)

    def live(self, name: str) -> list[Charge]:
        return [h.charge for h in self.held.values() if h.account == name and h.state != "VOIDED"]

    def fits(self, name: str, charges: list[Charge], cap: PrivacyBudget) -> bool:
        epsilon_fits = sum(c.epsilon for c in charges) <= cap.epsilon_units
        delta_fits = 2 * sum(c.delta for c in charges) <= cap.delta_units
        k = meter.capacity(cap, self.orders[name])
        rdp = [c.rdp for c in charges if c.rdp is not None]
        return (epsilon_fits and delta_fits) or (k > 0 and len(rdp) == len(charges) and sum(rdp) <= k)


class LedgerMachine(RuleBasedStateMachine):
    makers: ClassVar[tuple[Maker, ...]] = (
        lambda place: MemoryStore(clock=ticking()),
        lambda place: SqlStore(place, clock=ticking()),
        lambda place: SqlStore(place, clock=ticking()),
    )
    steps: ClassVar[int] = 0

    @initialize()
    def start(self) -> None:
        self.folder = contextlib.ExitStack()
        path = Path(self.folder.enter_context(tempfile.TemporaryDirectory())) / "gateway.db"
        self.places = [str(path), str(path), *([postgres.database()] if len(self.makers) > 2 else [])]
        self.stores = [make(place) for make, place in zip(self.makers, self.places, strict=False)]
        self.books: list[list[Entry]] = [[] for _ in self.stores]
        self.model = Reference()

    def teardown(self) -> None:
        if hasattr(self, "stores"):
            for store in self.stores:
                store.close()
            self.folder.close()

    def do(self, verb: Callable[[LedgerAndView], Any], *, expected: str, undo: bool) -> bool:
        """Run ``verb`` on every store; ``expected`` is the error's name or empty. True where it took effect."""
        outcomes = []
        for store in self.stores:
            outcome = ("", "")
            try:
                with store.begin() as tx:
                    verb(tx.ledger)
                    if undo:
                        raise Undone
            except Exception as error:
                outcome = (type(error).__name__, str(error))
            outcomes.append(outcome)
        assert len(set(outcomes)) == 1, outcomes
        assert outcomes[0][0] == (expected or ("Undone" if undo else ""))
        return not expected and not undo

    @rule(name=NAMES, cap=CAPS, undo=st.booleans())
    def open(self, name: str, cap: PrivacyBudget, undo: bool) -> None:
        made = meter.new_account(name, cap, sandbox=False, by="officer", at=EPOCH)
        expected = "AlreadyExists" if name in self.model.caps else ""
        if self.do(lambda ledger: ledger.open(made, reason=""), expected=expected, undo=undo):
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
            expected=expected, undo=undo,
        ):  # fmt: skip
            self.model.caps[name] = cap

    @rule(name=NAMES, id=IDS, charge=CHARGES, undo=st.sampled_from([False, False, True]))
    def reserve(self, name: str, id: str, charge: Charge, undo: bool) -> None:  # noqa: A002
        expected = ""
        if name not in self.model.caps:
            expected = "NotFound"
        elif id in self.model.held:
            expected = "AlreadyExists"
        elif not self.model.fits(name, [*self.model.live(name), charge], self.model.caps[name]):
            expected = "BudgetExhausted"
        if self.do(lambda ledger: ledger.reserve(name, id, charge, by="analyst"), expected=expected, undo=undo):
            self.model.held[id] = Held(name, charge)

    @rule(name=NAMES, ids=st.lists(IDS, min_size=2, max_size=4, unique=True), charge=CHARGES)
    def reserve_together(self, name: str, ids: list[str], charge: Charge) -> None:
        """Several in one transaction: each check sees the charges before it, and one refusal undoes them all."""
        if name not in self.model.caps or self.model.held.keys() & set(ids):
            return
        expected = ""
        if not self.model.fits(name, [*self.model.live(name), *[charge] * len(ids)], self.model.caps[name]):
            expected = "BudgetExhausted"

        def verb(ledger: LedgerAndView) -> None:
            for each in ids:
                ledger.reserve(name, each, charge, by="analyst")

        if self.do(verb, expected=expected, undo=False):
            self.model.held |= {each: Held(name, charge) for each in ids}

    @rule(id=IDS, undo=st.booleans(), kind=st.sampled_from(["COMMITTED", "VOIDED"]))
    def settle(self, id: str, undo: bool, kind: str) -> None:  # noqa: A002
        held = self.model.held.get(id)
        expected = "NotFound" if held is None else "" if held.state == "RESERVED" else "WrongState"

        def verb(ledger: LedgerAndView) -> None:
            if kind == "COMMITTED":
                ledger.commit(id, by="gateway")
            else:
                ledger.void(id, by="analyst", reason="")

        if self.do(verb, expected=expected, undo=undo) and held is not None:
            held.state = kind

    @rule()
    def reopen(self) -> None:
        for i, store in enumerate(self.stores):
            if isinstance(store, SqlStore):
                store.close()
                self.stores[i] = SqlStore(self.places[i], clock=store._clock)

    @invariant()
    def books_are_in_order(self) -> None:
        type(self).steps += 1
        for store, book in zip(getattr(self, "stores", ()), getattr(self, "books", ()), strict=True):
            with store.begin() as tx:
                new = tx.ledger.entries(after=len(book))
                balances = {name: tx.ledger.balance(name) for name in self.model.caps}
            chain.verify(new, after=book[-1] if book else None)
            book += new
            assert [told(e) for e in book] == [told(e) for e in self.books[0]]
            for name, balance in balances.items():
                self.agrees(name, balance, [e for e in book if e.account == name])

    def agrees(self, name: str, balance: Balance, entries: list[Entry]) -> None:
        """The kept sums, the entries and the model say the same."""
        assert balance == rules.balance_of(name, entries)
        assert (balance.account.cap, balance.account.order) == (self.model.caps[name], self.model.orders[name])
        voided = {e.reservation for e in entries if e.kind is EntryKind.VOID}
        live = [e.charge for e in entries if e.kind is EntryKind.RESERVE and e.reservation not in voided and e.charge]
        assert sorted(map(str, live)) == sorted(map(str, self.model.live(name)))
        assert self.model.fits(name, live, self.model.caps[name]), "both meters are overspent"
        assert (balance.epsilon, balance.delta) == (sum(c.epsilon for c in live), sum(c.delta for c in live))
        closed = balance.account.capacity == 0 or any(c.rdp is None for c in live)
        assert balance.rdp == (None if closed else sum(c.rdp or 0 for c in live))


def told(entry: Entry) -> tuple[object, ...]:
    """What two stores that did the same say alike: all but the salt, and the digests that follow from it."""
    return entry.sequence, entry.kind, entry.account, entry.reservation, entry.charge, entry.cap, entry.at, entry.reason


@pytest.mark.guarantee("cap")
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("steps", [2_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_no_store_ever_leaves_the_caps(steps: int, record_property: Callable[[str, object], None]) -> None:
    LedgerMachine.steps = 0
    once = settings(
        max_examples=10, stateful_step_count=100, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    while LedgerMachine.steps < steps:
        run_state_machine_as_test(LedgerMachine, settings=once)
    record_property("reached", f"state machine: {LedgerMachine.steps:,} steps each on memory, SQLite and PostgreSQL")


class ForgetfulMachine(LedgerMachine):
    makers = (lambda _place: ForgetsReserved(MemoryStore(clock=ticking())),)


class LateMachine(LedgerMachine):
    makers = (lambda _place: DeductsAfterwards(MemoryStore(clock=ticking())),)


@pytest.mark.guarantee("cap")
@pytest.mark.parametrize("machine", [ForgetfulMachine, LateMachine])
def test_the_machine_convicts_a_planted_fault(machine: type[LedgerMachine]) -> None:
    once = settings(max_examples=200, stateful_step_count=40, deadline=None, phases=[Phase.generate], database=None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=once)
