"""What every ledger refuses, why, and that a refusal changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from server.store import Store
from synthgate.errors import (
    AlreadyExists,
    BudgetExhausted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    SynthgateError,
    WrongState,
)
from synthgate.ledger import Account
from tests.server.ledger.verbs import NOTHING, Verb, amend, commit, do, reserve, void
from tests.server.stores import EPS1, EPS3, MAKERS, account

REFUSALS: dict[str, tuple[Verb, type[SynthgateError]]] = {
    "open twice": (lambda ledger: ledger.open(account(), reason=""), AlreadyExists),
    "open with more capacity": (
        lambda ledger: ledger.open(replace(account("b"), capacity=account().capacity + 1), reason=""),
        InvalidArgument,
    ),
    "open at another order": (lambda ledger: ledger.open(replace(account("b"), order=8), reason=""), InvalidArgument),
    "open with a negative grant": (
        lambda ledger: ledger.open(replace(account("b"), verdicts_granted=-1), reason=""),
        InvalidArgument,
    ),
    "amend an unknown account": (amend(5.0, name="nobody"), NotFound),
    "amend without a reason": (amend(5.0, reason=" "), InvalidArgument),
    "amend below what is taken": (amend(0.9), FailedPrecondition),
    "amend to a negative grant": (amend(5.0, granted=-1), InvalidArgument),
    "reserve of an unknown account": (reserve("x", account="nobody"), NotFound),
    "reserve of no account": (reserve("x", account=""), NotFound),
    "reserve a taken id": (reserve("held"), AlreadyExists),
    "reserve a committed id": (reserve("done"), AlreadyExists),
    "reserve a voided id": (reserve("gone"), AlreadyExists),
    "reserve without an id": (reserve(""), InvalidArgument),
    "reserve too much": (reserve("x", EPS3), BudgetExhausted),
    "reserve too much opaquely": (reserve("x", replace(EPS3, epsilon=1_000_000_001, rdp=None)), BudgetExhausted),
    "reserve a negative epsilon": (reserve("x", replace(EPS1, epsilon=-1)), InvalidArgument),
    "reserve a negative delta": (reserve("x", replace(EPS1, delta=-1)), InvalidArgument),
    "reserve a negative divergence": (reserve("x", replace(EPS1, rdp=-1)), InvalidArgument),
    "reserve nothing": (reserve("x", NOTHING), InvalidArgument),
    "reserve a fraction": (reserve("x", replace(EPS1, epsilon=0.5)), InvalidArgument),  # type: ignore[arg-type]
    "reserve beyond 64 bits": (reserve("x", replace(EPS1, rdp=2**63)), InvalidArgument),
    "commit an unknown reservation": (commit("nothing"), NotFound),
    "commit no reservation": (commit(""), NotFound),
    "commit twice": (commit("done"), WrongState),
    "commit a voided one": (commit("gone"), WrongState),
    "void an unknown reservation": (void("nothing"), NotFound),
    "void a committed one": (void("done"), WrongState),
    "void twice": (void("gone"), WrongState),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_changes_nothing(store: Store, people: Account, refusal: str) -> None:
    verb, error = REFUSALS[refusal]
    do(store, reserve("gone"), void("gone"), reserve("held"), reserve("done"), commit("done"))
    with store.begin() as tx:
        before = tx.ledger.entries(), tx.ledger.head()
    with store.begin() as tx, pytest.raises(SynthgateError) as raised:
        verb(tx.ledger)
    assert type(raised.value) is error
    with store.begin() as tx:
        assert (tx.ledger.entries(), tx.ledger.head()) == before


@pytest.mark.parametrize("refusal", REFUSALS)
def test_both_stores_refuse_in_the_same_words(tmp_path: Path, refusal: str) -> None:
    said = []
    for make in MAKERS.values():
        store = make(tmp_path)
        do(store, lambda ledger: ledger.open(account(), reason=""))
        do(store, reserve("gone"), void("gone"), reserve("held"), reserve("done"), commit("done"))
        with pytest.raises(SynthgateError) as raised:
            do(store, REFUSALS[refusal][0])
        said.append((raised.value.message, raised.value.facts))
        store.close()
    assert said[0] == said[1]
