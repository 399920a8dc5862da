"""Quotas: one principal's part of an account, in a window that slides, whoever races and however often one cancels."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server import quotas, releases, requests
from server.config import Quota, Settings
from server.gateway import Call, Gateway
from server.identity import Appointment, Office, Principal
from server.ledger import rules
from server.store import Store
from synthgate.errors import QuotaExhausted
from synthgate.ledger import PPM, Charge, ReservationState
from tests.server.composed import ANALYST, START, STEWARD, TICK_S, Clock, call, registered
from tests.server.stores import EPOCH, account

DAY_S = 86_400.0


@pytest.fixture
def limited(gateway: Gateway, clock: Clock, tmp_path: Path) -> Callable[..., Gateway]:
    """The gateway under a quota, with a dataset that can be asked of and a ledger that keeps the tests' time."""
    clock.seconds = TICK_S

    def made(who: str = "analyst", **quota: float) -> Gateway:
        settings = gateway.settings.model_copy(update={"quotas": {who: Quota.model_validate(quota)}})
        gateway.store._clock = clock  # type: ignore[attr-defined]
        registered(gateway)
        grant(gateway)
        clock.seconds += TICK_S
        return replace(gateway, settings=settings)

    return made


def ask(gateway: Gateway, by: Call | Principal = ANALYST, epsilon: float = 0.01) -> str:
    asked = by if isinstance(by, Call) else call(by)
    return requests.create(
        gateway, asked, dataset="table", engine="independent", epsilon=epsilon, delta=None
    ).release.id


def refused(gateway: Gateway, **changes: Any) -> QuotaExhausted:
    with gateway.store.begin() as tx:
        before = tx.ledger.head()
    with pytest.raises(QuotaExhausted) as raised:
        ask(gateway, **changes)
    with gateway.store.begin() as tx:
        assert tx.ledger.head() == before
    return raised.value


def grant(gateway: Gateway) -> None:
    with gateway.store.begin() as tx:
        cap = tx.ledger.balance("people").account.cap
        tx.ledger.amend("people", cap=cap, verdicts_granted=1_000, by="officer", reason="a test")


def persons(gateway: Gateway) -> None:
    """The analyst and a second name of the same person, and somebody else."""
    ana, alias, other = (Appointment(Office.ANALYST, person) for person in ("ana", "ana", ""))
    named = gateway.settings.model_copy(update={"principals": {"analyst": ana, "alias": alias, "other": other}})
    gateway = replace(gateway, settings=named)
    alias_of, somebody = Principal("alias", Office.ANALYST), Principal("other", Office.ANALYST)
    ask(gateway)
    ask(gateway, alias_of)
    for who in (ANALYST, alias_of):
        refused(gateway, by=who)
    ask(gateway, somebody)


def test_a_person_with_two_names_has_one_quota(limited: Callable[..., Gateway]) -> None:
    persons(limited(releases=2, window_days=10))


def test_counting_names_is_convicted(limited: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "person", lambda self, principal: principal)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        persons(limited(releases=2, window_days=10))


def test_releases_fit_again_when_the_oldest_leaves_the_window(limited: Callable[..., Gateway], clock: Clock) -> None:
    gateway = limited(releases=2, window_days=10)
    first = clock.seconds
    ask(gateway)
    clock.seconds += DAY_S
    ask(gateway)
    found = refused(gateway)
    assert found.facts["quota"] == "releases"
    assert datetime.fromisoformat(found.facts["fits_at"]).timestamp() == START.timestamp() + first + 10 * DAY_S
    clock.seconds = first + 10 * DAY_S - 1
    refused(gateway)
    clock.seconds = first + 10 * DAY_S
    ask(gateway)
    refused(gateway)


def test_what_was_voided_counts_as_a_request_and_not_as_a_release(limited: Callable[..., Gateway]) -> None:
    gateway = limited(releases=1, requests=3)
    for _ in range(3):
        releases.cancel(gateway, call(ANALYST), ask(gateway))
    assert refused(gateway).facts["quota"] == "requests"


def test_a_share_of_the_account_is_a_quota_too(limited: Callable[..., Gateway], clock: Clock) -> None:
    gateway = limited(share=0.25)
    assert refused(gateway, epsilon=2.0).facts.get("fits_at") is None  # alone above a quarter: waiting will not help
    first = clock.seconds
    for _ in range(2):
        ask(gateway, epsilon=1.0)
    found = refused(gateway, epsilon=1.0)
    assert (found.facts["quota"], found.facts["limit"]) == ("share", str(PPM // 4))
    clock.seconds = first + 30 * DAY_S
    ask(gateway, epsilon=1.0)


def test_a_quote_tells_of_the_quota(limited: Callable[..., Gateway]) -> None:
    gateway = limited(releases=0)
    quote = requests.quote(gateway, ANALYST, dataset="table", engine="independent", epsilon=0.1, delta=None)
    assert ["the quota of analyst is used up" in words for words in quote.refusals] == [True]


def test_the_principals_own_quota_comes_first_and_others_have_none(limited: Callable[..., Gateway]) -> None:
    gateway = limited("someone", releases=0)
    ask(gateway)
    someone = replace(ANALYST, name="someone")
    with pytest.raises(QuotaExhausted):
        ask(gateway, someone)
    by_role = replace(gateway, settings=gateway.settings.model_copy(update={"quotas": {"analyst": Quota(releases=0)}}))
    refused(by_role)
    ask(by_role, STEWARD)


def test_a_retry_gets_its_answer_after_the_quota_is_used_up(limited: Callable[..., Gateway]) -> None:
    gateway = limited(releases=1)
    asked = call(ANALYST)
    assert ask(gateway, asked) == ask(gateway, asked)
    refused(gateway)


def outcomes(work: Callable[[], object]) -> int:
    """How many of 64 threads that start together were admitted."""
    start = threading.Barrier(64)

    def one() -> bool:
        start.wait()
        try:
            work()
        except QuotaExhausted:
            return False
        return True

    with ThreadPoolExecutor(64) as pool:
        return sum(future.result() for future in [pool.submit(one) for _ in range(64)])


@pytest.mark.parametrize("k", [0, 1, 7, 37, 64])
def test_exactly_k_of_64_clients_are_admitted(limited: Callable[..., Gateway], k: int) -> None:
    gateway = limited(releases=k)
    assert outcomes(lambda: ask(gateway)) == k


def test_the_race_convicts_a_quota_that_is_read_before_the_transaction(limited: Callable[..., Gateway]) -> None:
    gateway = limited(releases=7)
    read = threading.Barrier(64)

    def planted() -> None:
        with gateway.store.begin() as tx:
            taken, balance = quotas.taken(gateway, tx, ANALYST), tx.ledger.balance("people")
        assert taken is not None
        read.wait()
        asked = call(ANALYST)
        if beyond := taken.refusal(balance, CHARGE):
            raise beyond
        with gateway.store.begin() as tx:
            tx.ledger.reserve("people", asked.request_id, CHARGE, by="analyst")

    assert outcomes(planted) == 64


CHARGE = Charge(epsilon=1, delta=1, rdp=1)


def test_every_store_tells_what_a_principal_reserved_since_when(store: Store) -> None:
    with store.begin() as tx:
        for name in ("people", "others"):
            tx.ledger.open(account(name), reason="")
        old = tx.ledger.reserve("people", "old", CHARGE, by="ann")
        for name, by, reservation in (("people", "ann", "a"), ("people", "bob", "b"), ("others", "ann", "c")):
            tx.ledger.reserve(name, reservation, CHARGE, by=by)
        tx.ledger.void("a", by="bob", reason="why")
        tx.ledger.commit("b", by="gateway")
        tx.ledger.commit("old", by="gateway")
        made = tx.ledger.made("ann", since=old.at)
        states = {r.id: (r.account, r.state) for r in rules.reservations_of(made).values()}
        assert states == {"a": ("people", ReservationState.VOIDED), "c": ("others", ReservationState.RESERVED)}
        assert len(tx.ledger.made("ann", since=EPOCH - timedelta(seconds=1))) == 5
        assert tx.ledger.made("nobody", since=old.at) == ()
