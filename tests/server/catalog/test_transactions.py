"""One transaction over every part: all or nothing, one at a time, dead when it is over."""

import threading
from pathlib import Path

import pytest

from server.ledger import chain
from server.store import Store
from server.store_memory import MemoryStore
from server.store_sql import SqlStore
from synthgate.dataset import DatasetState
from synthgate.errors import NotFound, SynthgateError, Unavailable
from tests.server.catalog.records import dataset, release
from tests.server.stores import EPS1


def test_what_raises_inside_leaves_nothing_of_any_part(registered: Store) -> None:
    with pytest.raises(RuntimeError, match="midway"), registered.begin() as tx:
        tx.ledger.reserve("people", "r1", EPS1, by="analyst")
        tx.releases.add(release())
        tx.datasets.replace(dataset(state=DatasetState.READY), expected=DatasetState.CREATED)
        tx.requests.remember("a", "m", "1", payload="p", resource="r1")
        tx.audit.append(principal="a", action="m", resource="r1", detail={})
        raise RuntimeError("midway")
    with registered.begin() as tx:
        assert tx.releases.list() == ()
        assert tx.audit.records() == ()
        assert tx.datasets.get("randhie") == dataset()
        assert tx.requests.recall("a", "m", "1", payload="p") is None
        with pytest.raises(NotFound):
            tx.ledger.reservation("r1")


def test_transactions_do_not_nest(store: Store) -> None:
    with store.begin(), pytest.raises(RuntimeError, match="nest"), store.begin():
        pass
    with store.begin() as tx:
        assert tx.ledger.entries() == ()


def test_threads_take_turns(registered: Store) -> None:
    def ask(client: int) -> None:
        with registered.begin() as tx:
            seen = len(tx.audit.records())
            tx.audit.append(principal=str(client), action="ask", resource="", detail={"seen": str(seen)})

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with registered.begin() as tx:
        records = tx.audit.records()
    assert [r.detail["seen"] for r in records] == [str(i) for i in range(32)]
    chain.verify(records)


def test_a_turn_that_does_not_come_is_unavailable(tmp_path: Path) -> None:
    for store in (MemoryStore(timeout_s=0.05), SqlStore(tmp_path / "g.db", timeout_s=0.05)):
        raised: list[BaseException] = []

        def wait(store: Store = store, raised: list[BaseException] = raised) -> None:
            try:
                with store.begin():
                    pass
            except SynthgateError as error:
                raised.append(error)

        with store.begin():
            thread = threading.Thread(target=wait)
            thread.start()
            thread.join()
        assert [type(e) for e in raised] == [Unavailable]
        store.close()


def test_a_closed_store_is_unavailable(store: Store) -> None:
    store.close()
    with pytest.raises(Unavailable), store.begin():
        pass
