"""The ledger's verbs as values, for tables of tests."""

from collections.abc import Callable
from dataclasses import replace

from server.store import LedgerAndView, Store
from synthgate.budget import PrivacyBudget
from synthgate.ledger import Charge, Entry
from tests.server.stores import EPS1

NOTHING = Charge(epsilon=0, delta=0, rdp=0)
OPAQUE = replace(EPS1, rdp=None)
Verb = Callable[[LedgerAndView], object]


def do(store: Store, *verbs: Verb) -> None:
    for verb in verbs:
        with store.begin() as tx:
            verb(tx.ledger)


def reserve(name: str, charge: Charge = EPS1, account: str = "people") -> Callable[[LedgerAndView], Entry]:
    return lambda ledger: ledger.reserve(account, name, charge, by="analyst")


def commit(name: str) -> Callable[[LedgerAndView], Entry]:
    return lambda ledger: ledger.commit(name, by="gateway")


def void(name: str) -> Callable[[LedgerAndView], Entry]:
    return lambda ledger: ledger.void(name, by="analyst", reason="cancelled")


def amend(
    epsilon: float, *, granted: int = 0, reason: str = "more people", name: str = "people"
) -> Callable[[LedgerAndView], Entry]:
    cap = PrivacyBudget.cap(epsilon, 1e-6)
    return lambda ledger: ledger.amend(name, cap=cap, verdicts_granted=granted, by="officer", reason=reason)
