"""What every ledger does, whichever store keeps it."""

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from server.ledger import chain, meter, rules
from server.store import LedgerAndView, Store
from synthgate.budget import PrivacyBudget
from synthgate.errors import (
    BudgetExhausted,
    NotFound,
)
from synthgate.ledger import Account, Charge, EntryKind, ReservationState
from tests.server.ledger.verbs import NOTHING, OPAQUE, amend, commit, do, reserve, void
from tests.server.stores import EPOCH, EPS1, EPS3, account, gaussian


def test_an_account_comes_back_as_it_was_opened(store: Store, people: Account) -> None:
    with store.begin() as tx:
        assert tx.ledger.accounts() == (people,)
        balance = tx.ledger.balance("people")
    assert (balance.account, balance.committed, balance.reserved) == (people, NOTHING, NOTHING)
    assert balance.share_ppm == 0


def test_accounts_come_in_the_order_of_opening_as_last_amended(store: Store) -> None:
    made = [replace(account(name), verdicts_granted=2) for name in ("zebra", "ant", "öl")]
    do(store, *(lambda ledger, a=a: ledger.open(a, reason="") for a in made))
    do(store, amend(5.0, granted=7, name="ant"))
    with store.begin() as tx:
        zebra, ant, oil = tx.ledger.accounts()
    assert (zebra, oil) == (made[0], made[2])
    assert ant == replace(
        made[1], cap=PrivacyBudget.cap(5.0, 1e-6), verdicts_granted=7, capacity=meter.capacity(ant.cap, 9)
    )


def test_reserve_commit_and_void_move_the_charge(store: Store, people: Account) -> None:
    steps: list[tuple[Callable[[LedgerAndView], object], Charge, Charge]] = [
        (reserve("a"), NOTHING, EPS1),
        (reserve("b"), NOTHING, rules.total([EPS1, EPS1])),
        (commit("a"), EPS1, EPS1),
        (void("b"), EPS1, NOTHING),
        (reserve("c", OPAQUE), EPS1, OPAQUE),
        (void("c"), EPS1, NOTHING),
    ]
    for verb, committed, reserved in steps:
        do(store, verb)
        with store.begin() as tx:
            balance = tx.ledger.balance("people")
        assert (balance.committed, balance.reserved) == (committed, reserved)


def test_a_reservation_knows_its_state(store: Store, people: Account) -> None:
    do(store, reserve("a"), reserve("b"), reserve("c"), commit("a"), void("b"))
    with store.begin() as tx:
        states = [tx.ledger.reservation(name).state for name in "abc"]
        assert tx.ledger.reservation("a").charge == EPS1
        assert tx.ledger.reservation("a").account == "people"
    assert states == [ReservationState.COMMITTED, ReservationState.VOIDED, ReservationState.RESERVED]


def test_epsilon_3_is_admitted_on_an_empty_account(store: Store, people: Account) -> None:
    do(store, reserve("a", EPS3))
    with store.begin() as tx:
        assert tx.ledger.balance("people").share_ppm == pytest.approx(955_600, abs=100)


def test_epsilon_3_is_refused_after_one_of_epsilon_1(store: Store, people: Account) -> None:
    do(store, reserve("a"), commit("a"))
    with pytest.raises(BudgetExhausted) as raised:
        do(store, reserve("b", EPS3))
    assert {k: round(int(v) / 10_000, 1) for k, v in raised.value.facts.items() if k.endswith("ppm")} == {
        "committed_ppm": 12.3, "reserved_ppm": 0.0, "taken_ppm": 12.3, "asked_ppm": 95.6,
    }  # fmt: skip


def test_exactly_eight_gaussians_of_epsilon_1_fit(store: Store, people: Account) -> None:
    do(store, *(reserve(f"r{i}") for i in range(8)))
    with pytest.raises(BudgetExhausted):
        do(store, reserve("r8"))
    do(store, void("r3"), reserve("r9"))


def test_meter_a_holds_where_b_does_not(store: Store, people: Account) -> None:
    do(store, reserve("dear", gaussian(0.5, epsilon=1.0)), reserve("also", gaussian(0.5, epsilon=2.0)))
    with pytest.raises(BudgetExhausted):
        do(store, reserve("more", gaussian(50.0, epsilon=0.001)))


def test_meter_a_fills_by_delta_too(store: Store, people: Account) -> None:
    half = Charge(epsilon=1, delta=people.cap.delta_units // 2, rdp=None)
    do(store, reserve("a", half))
    with pytest.raises(BudgetExhausted):
        do(store, reserve("b", Charge(epsilon=1, delta=1, rdp=None)))


def test_a_live_opaque_entry_closes_meter_b(store: Store, people: Account) -> None:
    do(store, *(reserve(f"r{i}") for i in range(2)), reserve("opaque", OPAQUE))
    with pytest.raises(BudgetExhausted):
        do(store, reserve("r2"))
    do(store, void("opaque"), *(reserve(f"r{i}") for i in range(2, 8)))
    with pytest.raises(BudgetExhausted):
        do(store, reserve("again", OPAQUE))


def test_without_capacity_meter_b_is_closed(store: Store) -> None:
    do(store, lambda ledger: ledger.open(account("small", epsilon=0.01), reason=""))
    tiny = gaussian(1e4, epsilon=0.006)
    do(store, reserve("a", tiny, "small"))
    with pytest.raises(BudgetExhausted):
        do(store, reserve("b", tiny, "small"))


def test_accounts_do_not_share_a_budget(store: Store, people: Account) -> None:
    do(store, lambda ledger: ledger.open(account("others"), reason=""))
    do(store, *(reserve(f"r{i}") for i in range(8)), reserve("elsewhere", account="others"))
    with store.begin() as tx:
        assert (tx.ledger.balance("others").epsilon, tx.ledger.balance("people").epsilon) == (10**9, 8 * 10**9)


def test_an_amendment_lets_more_in_at_the_frozen_order(store: Store, people: Account) -> None:
    do(store, *(reserve(f"r{i}") for i in range(8)), amend(5.0, granted=2))
    with store.begin() as tx:
        amended = tx.ledger.balance("people").account
    assert (amended.order, amended.verdicts_granted) == (people.order, 2)
    assert amended.capacity == meter.capacity(PrivacyBudget.cap(5.0, 1e-6), people.order) > people.capacity
    do(store, reserve("r8"))


def test_an_amendment_may_lower_the_cap_down_to_what_is_taken(store: Store, people: Account) -> None:
    do(store, reserve("a"), amend(1.0))
    with pytest.raises(BudgetExhausted):
        do(store, reserve("b", gaussian(4_809.0, epsilon=0.001)))


def test_an_opening_reads_back_field_by_field(store: Store) -> None:
    made = replace(account("s", sandbox=True), verdicts_granted=4)
    with store.begin() as tx:
        entry = tx.ledger.open(made, reason="why — öffentlich")
        assert tx.ledger.entries() == (entry,)
    assert (entry.kind, entry.principal, entry.at, entry.reason) == (
        EntryKind.OPEN, "officer", EPOCH, "why — öffentlich",
    )  # fmt: skip
    assert (entry.sequence, entry.previous, entry.cap, entry.sandbox) == (1, chain.GENESIS, made.cap, True)


def test_entries_are_paged_and_chained(store: Store, people: Account) -> None:
    do(store, lambda ledger: ledger.open(account("others"), reason=""))
    do(store, reserve("a"), reserve("b", account="others"), commit("a"), void("b"), amend(5.0))
    with store.begin() as tx:
        everything = tx.ledger.entries()
        assert chain.verify(everything) == everything[-1]
        assert tx.ledger.head() == everything[-1].digest
        assert [e.sequence for e in everything] == list(range(1, 8))
        assert tx.ledger.entries("people", after=1, limit=2) == (everything[2], everything[4])
        assert tx.ledger.entries(after=7) == tx.ledger.entries("nobody") == tx.ledger.entries(limit=0) == ()
    assert [e.kind for e in everything if e.account == "people"] == ["open", "reserve", "commit", "amend"]
    assert (everything[4].charge, everything[4].reservation) == (EPS1, "a")


def test_an_empty_ledger_has_a_head(store: Store) -> None:
    with store.begin() as tx:
        assert (tx.ledger.head(), tx.ledger.accounts(), tx.ledger.entries()) == (chain.GENESIS, (), ())
        with pytest.raises(NotFound):
            tx.ledger.balance("people")
        with pytest.raises(NotFound):
            tx.ledger.reservation("r")


def test_a_transaction_sees_its_own_entries(store: Store, people: Account) -> None:
    with store.begin() as tx:
        for i in range(8):
            tx.ledger.reserve("people", f"r{i}", EPS1, by="analyst")
        with pytest.raises(BudgetExhausted):
            tx.ledger.reserve("people", "r8", EPS1, by="analyst")
        tx.ledger.void("r0", by="analyst", reason="")
        tx.ledger.reserve("people", "r8", EPS1, by="analyst")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_what_raises_inside_leaves_nothing(store: Store, people: Account, error: type[BaseException]) -> None:
    with store.begin() as tx:
        before = tx.ledger.entries()
    with pytest.raises(error), store.begin() as tx:
        tx.ledger.reserve("people", "a", EPS1, by="analyst")
        tx.ledger.commit("a", by="gateway")
        raise error
    with store.begin() as tx:
        assert tx.ledger.entries() == before
        tx.ledger.reserve("people", "a", EPS1, by="analyst")


def test_a_transaction_is_dead_after_its_block(store: Store, people: Account) -> None:
    with store.begin() as tx:
        pass
    with contextlib.suppress(Exception):
        tx.ledger.reserve("people", "late", EPS1, by="analyst")
    with store.begin() as tx, pytest.raises(NotFound):
        tx.ledger.reservation("late")
