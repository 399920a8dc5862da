"""The ledger and the recount, which share no code, agree on every history and on every cap."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ledger import meter
from server.store import Store
from server.store_memory import MemoryStore
from synthgate import renyi
from synthgate.budget import PrivacyBudget
from synthgate.cli.book import document
from synthgate.errors import SynthgateError, VerificationFailed
from synthgate.ledger import Balance, Charge
from synthgate.recount import Recount, Tally
from tests.server.ledger.planted import DeductsAfterwards, ForgetsReserved
from tests.server.ledger.verbs import Verb, amend, commit, do, reserve, void
from tests.server.stores import EPS1, EPS3, account, ticking

HISTORIES, HISTORIES_SOAK = 150, 5_000
IDS = st.integers(0, 7).map("r{}".format)
NAMES = st.sampled_from(["people", "plants"])
CHARGES = st.builds(
    Charge,
    epsilon=st.sampled_from([1, 10**9, 3 * 10**9]),
    delta=st.sampled_from([0, 5 * 10**10, 2 * 10**11]),
    rdp=st.sampled_from([0, 194_600_000_000, 10**12]) | st.none(),
)
VERBS = st.one_of(
    st.builds(reserve, IDS, CHARGES, NAMES),
    st.builds(reserve, IDS, st.just(EPS1)),
    st.builds(commit, IDS),
    st.builds(void, IDS),
    st.builds(amend, st.sampled_from([0.02, 1.0, 3.0, 10.0]), name=NAMES),
)


def same(balance: Balance, tally: Tally) -> bool:
    """Whether the gateway's balance is the recount's, figure by figure."""
    held, cap = balance.account, balance.account.cap
    facts = (cap.epsilon_units, cap.delta_units, held.order, held.capacity, held.sandbox, held.verdicts_granted)
    counted = (tally.epsilon, tally.delta, tally.order, tally.capacity, tally.sandbox, tally.verdicts_granted)
    pairs = ((balance.committed, tally.committed), (balance.reserved, tally.reserved))
    sums = all((c.epsilon, c.delta) == (t.epsilon, t.delta) for c, t in pairs)
    rdp = all(c.rdp == (None if t.opaque else t.rdp) for c, t in pairs)
    return facts == counted and sums and rdp and (balance.share_ppm, balance.holds) == (tally.share_ppm, tally.holds)


def recounted(store: Store) -> Recount:
    recount = Recount()
    with store.begin() as tx:
        for entry in tx.ledger.entries():
            recount.take(document(entry))
    return recount


def agree(store: Store) -> None:
    with store.begin() as tx:
        balances = [tx.ledger.balance(a.name) for a in tx.ledger.accounts()]
        head = tx.ledger.head()
    found = recounted(store)
    assert found.head == head
    assert [b.account.name for b in balances] == [t.name for t in found.accounts]
    assert all(same(b, t) for b, t in zip(balances, found.accounts, strict=True))


@pytest.mark.guarantee("cap")
@pytest.mark.parametrize("histories", [HISTORIES, pytest.param(HISTORIES_SOAK, marks=pytest.mark.soak)])
def test_ledger_and_recount_agree_on_every_history(
    histories: int, record_property: Callable[[str, object], None]
) -> None:
    run = {"histories": 0, "entries": 0}

    @settings(max_examples=histories, deadline=None)
    @given(verbs=st.lists(VERBS, min_size=5, max_size=40))
    def law(verbs: list[Verb]) -> None:
        store = MemoryStore(clock=ticking())
        do(store, *(lambda ledger, n=n: ledger.open(account(n), reason="first") for n in ("people", "plants")))
        for verb in verbs:
            with contextlib.suppress(SynthgateError):  # a refusal changes nothing: the comparison would show it
                do(store, verb)
        agree(store)
        with store.begin() as tx:
            run["entries"] += len(tx.ledger.entries())
        run["histories"] += 1

    law()
    assert run["histories"] >= histories
    record_property("reached", f"{run['histories']} histories, {run['entries']} entries recounted")


@settings(max_examples=100, deadline=None)
@given(epsilon=st.integers(10**6, 10**11), delta=st.integers(10**3, 10**16))
def test_order_and_capacity_agree_on_every_cap(epsilon: int, delta: int) -> None:
    order, capacity = meter.order_and_capacity(PrivacyBudget(epsilon, delta))
    assert order in renyi.best_orders(epsilon, delta)
    assert capacity in renyi.capacities(epsilon, delta, order)


@settings(max_examples=200, deadline=None)
@given(epsilon=st.integers(10**6, 10**11), delta=st.integers(10**3, 10**16), order=st.sampled_from(renyi.ORDERS))
def test_capacity_agrees_at_every_order(epsilon: int, delta: int, order: int) -> None:
    assert meter.capacity(PrivacyBudget(epsilon, delta), order) in renyi.capacities(epsilon, delta, order)


def test_every_store_is_recounted(store: Store) -> None:
    do(store, lambda ledger: ledger.open(account(), reason="first"), reserve("a"), commit("a"), reserve("b"), void("b"))
    do(store, amend(4.0), reserve("c"))
    agree(store)


def test_the_recount_convicts_a_ledger_that_overlooks_what_is_reserved() -> None:
    faulty = ForgetsReserved(MemoryStore(clock=ticking()))
    do(faulty, lambda ledger: ledger.open(account(), reason="first"), reserve("a", EPS3), reserve("b", EPS3))
    with pytest.raises(VerificationFailed, match="entry 3 does not hold: account 'people' is above its cap"):
        recounted(faulty)


def test_the_recount_convicts_a_ledger_that_deducts_afterwards() -> None:
    inner = MemoryStore(clock=ticking())
    do(inner, lambda ledger: ledger.open(account(), reason="first"))
    late = DeductsAfterwards(inner, lambda: do(inner, reserve("b", EPS3)))
    do(late, reserve("a", EPS3))
    with pytest.raises(VerificationFailed, match="entry 3 does not hold: account 'people' is above its cap"):
        recounted(inner)
