"""A request id means one act: the same request gets the same answer for ever, another one is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from synthgate.errors import AlreadyExists, InvalidArgument, RequestIdReused, WrongState
from synthgate.ledger import EntryKind
from synthgate.release import ReleaseState
from tests.e2e.people import declaration
from tests.e2e.process import Served


@pytest.fixture(scope="session")
def dataset(served: Served) -> str:
    return served.dataset("repeated", rows=300, cap=10.0)


def reservations(served: Served, account: str) -> int:
    return sum(e.kind is EntryKind.RESERVE for e in served.steward.entries(account))


def test_the_same_request_is_one_release_and_one_charge(served: Served, dataset: str) -> None:
    first = served.analyst.create_release(dataset, epsilon=1.0, engine="stalling", request_id="same")
    again = served.analyst.create_release(dataset, epsilon=1.0, engine="stalling", request_id="same")
    assert again == first
    assert reservations(served, dataset) == 1
    for change in ({"epsilon": 0.5}, {"epsilon": 1.0, "delta": 5e-8}, {"epsilon": 1.0, "engine": "tree"}):
        with pytest.raises(RequestIdReused) as caught:
            served.analyst.create_release(dataset, **{"engine": "stalling", **change}, request_id="same")
        assert caught.value.reason == "REQUEST_ID_REUSED"
    assert reservations(served, dataset) == 1
    served.steward.cancel(first.id)
    assert served.ended(first).state is ReleaseState.CANCELLED
    assert served.analyst.create_release(dataset, epsilon=1.0, engine="stalling", request_id="same").id == first.id
    assert served.balance(dataset).balance.committed.epsilon <= 10**9


def test_ids_belong_to_whoever_sent_them_and_to_one_method(served: Served, dataset: str) -> None:
    mine = served.analyst.create_release(dataset, epsilon=0.5, engine="stalling", request_id="mine")
    theirs = served.steward.create_release(dataset, epsilon=0.5, engine="stalling", request_id="mine")
    assert mine.id != theirs.id
    for release in (theirs, mine):
        served.steward.cancel(release.id, request_id=f"mine {release.id}")
        served.ended(release)
    with pytest.raises(RequestIdReused):
        served.steward.cancel(theirs.id, request_id=f"mine {mine.id}")
    with pytest.raises(WrongState):
        served.steward.cancel(theirs.id)


def test_sixteen_at_once_are_one(served: Served, dataset: str) -> None:
    before = reservations(served, dataset)

    def ask(_: int) -> str:
        return served.analyst.create_release(dataset, epsilon=0.5, engine="stalling", request_id="at once").id

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(ask, range(16)))
    assert len(found) == 1
    assert reservations(served, dataset) == before + 1
    (release,) = found
    served.steward.cancel(release)
    served.ended(served.steward.release(release))


def test_accounts_and_datasets_are_made_once(served: Served) -> None:
    opened = [served.steward.open_account("once", epsilon=2.0, delta=1e-6, request_id="open once") for _ in range(2)]
    assert opened[0] == opened[1]
    with pytest.raises(RequestIdReused):
        served.steward.open_account("once", epsilon=3.0, delta=1e-6, request_id="open once")
    with pytest.raises(AlreadyExists) as caught:
        served.steward.open_account("once", epsilon=2.0, delta=1e-6)
    assert caught.value.reason == "ALREADY_EXISTS"
    assert [e.kind for e in served.steward.entries("once")] == [EntryKind.OPEN]

    made = [
        served.steward.create_dataset("once", declaration(300), account="once", request_id="make once")
        for _ in range(2)
    ]  # fmt: skip
    assert made[0] == made[1]
    with pytest.raises(AlreadyExists):
        served.steward.create_dataset("once", declaration(300), account="once")


def test_an_account_is_amended_once_with_a_reason(served: Served) -> None:
    served.steward.open_account("amended", epsilon=2.0, delta=1e-6)
    for _ in range(2):
        view = served.officer.amend_account("amended", epsilon=4.0, reason="a second wave", request_id="amend once")
        assert view.balance.account.cap.epsilon == 4.0
    with pytest.raises(InvalidArgument):
        served.officer.amend_account("amended", epsilon=5.0, reason=" ")
    with pytest.raises(InvalidArgument):
        served.officer.amend_account("amended", epsilon=5.0, reason="x" * 1_001)
    entries = served.auditor.entries("amended")
    assert [(e.kind, e.reason) for e in entries] == [(EntryKind.OPEN, "opened"), (EntryKind.AMEND, "a second wave")]
