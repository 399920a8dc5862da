"""Pages of the book with what each plan costs alone: priced only when asked, and never for many at once."""

from types import SimpleNamespace

import pytest

from dp_models.base import Plan
from dp_models.mechanisms.accounting import epsilon
from server.gateway import Gateway
from server.rpc.guard import PAGE_DEFAULT, PAGE_MAX
from server.rpc.ledger import LedgerRpc
from synthgate.ledger import Charge
from synthgate.v1 import ledger_service_pb2 as pb
from tests.server.composed import STEWARD, Clock, asked, call, registered


def listed(gateway: Gateway, **request: object) -> pb.ListEntriesResponse:
    method = LedgerRpc.ListEntries.__wrapped__
    answer = method(SimpleNamespace(gateway=gateway), pb.ListEntriesRequest(**request), call(STEWARD))  # type: ignore[arg-type]
    assert isinstance(answer, pb.ListEntriesResponse)
    return answer


@pytest.fixture
def release(gateway: Gateway, clock: Clock) -> str:
    registered(gateway)
    clock.seconds = 15.0
    return asked(gateway)


def test_a_reserve_is_priced_by_the_plan_of_its_release(gateway: Gateway, release: str) -> None:
    with gateway.store.begin() as tx:
        plan = Plan.from_json(tx.releases.get(release).plan)
    (price,) = listed(gateway, account="people", price_plans=True).plan_prices
    assert (price.release, price.delta) == (release, plan.budget.delta)
    assert price.epsilon == epsilon(plan.event, plan.budget.delta) <= 0.1
    assert price.accountant


def test_nothing_is_priced_unless_asked(gateway: Gateway, release: str) -> None:
    answer = listed(gateway, account="people")
    assert [e.reservation for e in answer.entries] == ["", release]
    assert not answer.plan_prices


def test_a_priced_page_is_short_and_leaves_unknown_releases_out(gateway: Gateway, release: str) -> None:
    with gateway.store.begin() as tx:
        for number in range(PAGE_DEFAULT):
            tx.ledger.reserve("people", f"x{number}", Charge(epsilon=1, delta=0, rdp=1), by="analyst")
    found, token = [], ""
    for size in (PAGE_DEFAULT, 2):
        answer = listed(gateway, page_size=PAGE_MAX, page_token=token, price_plans=True)
        assert len(answer.entries) == size
        found += [p.release for p in answer.plan_prices]
        token = answer.next_page_token
    assert (found, token) == ([release], "")
    assert len(listed(gateway, page_size=PAGE_MAX).entries) == PAGE_DEFAULT + 2
