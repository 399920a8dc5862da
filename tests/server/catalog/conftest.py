import pytest

from server.store import Store
from tests.server.catalog.records import dataset
from tests.server.stores import account


@pytest.fixture
def registered(store: Store) -> Store:
    with store.begin() as tx:
        tx.ledger.open(account(), reason="")
        tx.datasets.add(dataset())
    return store
