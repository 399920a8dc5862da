import pytest

from server.store import Store
from synthgate.ledger import Account
from tests.server.stores import account


@pytest.fixture
def people(store: Store) -> Account:
    made = account()
    with store.begin() as tx:
        tx.ledger.open(made, reason="first")
    return made
