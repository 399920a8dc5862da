"""What every lease catalog does, whichever store keeps it: leases over a plain model, and what planted faults break."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from server import leases
from server.catalog.base import Lease
from server.databases import connect
from server.leases import Fenced
from server.store import Store, Transaction
from server.store_memory import MemoryStore
from server.store_sql import SqlStore
from synthgate.errors import WrongState
from tests import postgres
from tests.server.stores import EPOCH

TTL_S = 10.0


def nobody(holder: str) -> bool:
    return False


def taken(tx: Transaction, holder: str = "a/1", name: str = "job", **options: Any) -> Lease | None:
    return leases.take(tx, name, holder=holder, ttl_s=TTL_S, **{"dead": nobody, **options})


def test_a_lease_is_one_holders_until_it_is_let_go(store: Store) -> None:
    with store.begin() as tx:
        first = taken(tx)
        assert first is not None
        assert (first.holder, first.fence) == ("a/1", 1)
        assert first.until - timedelta(seconds=TTL_S) <= tx.leases.now()
        assert tx.leases.get("job") == first
    with store.begin() as tx:
        assert taken(tx, "b/1") is None
        assert taken(tx) is None
        assert tx.leases.list() == (first,)
        leases.release(tx, first)
        assert tx.leases.list() == ()
    with store.begin() as tx:
        second = taken(tx, "b/1")
        assert second is not None
        assert second.fence == 2
        with pytest.raises(Fenced):
            leases.renew(tx, first, ttl_s=TTL_S)


@pytest.mark.parametrize("why", ["ran out", "dead", "revoked"])
def test_a_lease_that_is_taken_over_fences_its_holder(store: Store, why: str) -> None:
    with store.begin() as tx:
        first = taken(tx)
        assert first is not None
    with store.begin() as tx:
        if why == "ran out":
            tx.leases.put(replace(first, until=tx.leases.now() - timedelta(seconds=1)))
        if why == "revoked":
            leases.revoke(tx, "job")
        second = taken(tx, "b/1", dead=lambda holder: why == "dead")
        assert second is not None
        assert second.fence > first.fence
    for verb in (leases.check, leases.release, lambda tx, lease: leases.renew(tx, lease, ttl_s=TTL_S)):
        with store.begin() as tx, pytest.raises(Fenced):
            verb(tx, first)


def test_a_renewed_lease_keeps_its_fence_and_ends_later(store: Store) -> None:
    with store.begin() as tx:
        first = taken(tx)
        assert first is not None
    with store.begin() as tx:
        renewed = leases.renew(tx, first, ttl_s=2 * TTL_S)
        assert renewed.fence == first.fence
        assert renewed.until > first.until
        leases.check(tx, first)


@pytest.mark.parametrize("change", [{"fence": 1}, {"holder": "b/1"}])
def test_no_fence_is_used_again(store: Store, change: dict[str, Any]) -> None:
    with store.begin() as tx:
        lease = Lease(name="job", holder="a/1", fence=2, until=EPOCH)
        tx.leases.put(lease)
        with pytest.raises(WrongState, match="fence 2"):
            tx.leases.put(replace(lease, **change))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    return tmp_path / "gateway.db" if request.param == "sqlite" else postgres.database()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM leases",
        "UPDATE leases SET fence = 1",
        "UPDATE leases SET holder = 'b/1'",
        "UPDATE leases SET name=''",
    ],
)
def test_the_database_itself_refuses_to_use_a_fence_again(place: str | Path, statement: str) -> None:
    store = SqlStore(place)
    with store.begin() as tx:
        tx.leases.put(Lease(name="job", holder="a/1", fence=2, until=EPOCH))
    store.close()
    engine = connect(place, timeout_s=5.0)
    with pytest.raises(DatabaseError, match="leases: "), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def reusing(tx: Transaction, name: str, **options: Any) -> Lease | None:
    """A planted fault: a lease that was let go is forgotten, and its fence starts anew."""
    stored = tx.leases.get(name)
    if stored is not None and not stored.holder:
        tx.leases._kept.pop(name)  # type: ignore[attr-defined]
    return leases.take(tx, name, **options)


def trusting(tx: Transaction, lease: Lease) -> None:
    """A planted fault: the holder is checked and the fence is not."""
    stored = tx.leases.get(lease.name)
    if stored is None or stored.holder != lease.holder:
        raise Fenced(lease.name)


def greedy(tx: Transaction, name: str, **options: Any) -> Lease | None:
    """A planted fault: whoever asks is served."""
    return leases.take(tx, name, **{**options, "dead": lambda holder: True})


@dataclass
class Clock:
    seconds: float = 0.0

    def __call__(self) -> Any:
        return EPOCH + timedelta(seconds=self.seconds)


@dataclass
class Model:
    """Who has it, until which second, and every lease that was ever given."""

    holder: str = ""
    until: float = 0.0
    given: list[Lease] = field(default_factory=list)


NAMES, HOLDERS = st.sampled_from(["r-1", "ingest x"]), st.sampled_from(["a/1", "a/2", "b/1"])


class LeaseMachine(RuleBasedStateMachine):
    """At most one lease of a name passes `check`, and no fence was given twice."""

    take: Callable[..., Lease | None] = staticmethod(leases.take)
    check: Callable[..., None] = staticmethod(leases.check)
    make: Callable[[Clock], Store]
    steps = 0

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.store = type(self).make(self.clock)
        self.models = {"r-1": Model(), "ingest x": Model()}

    @rule(name=NAMES, holder=HOLDERS)
    def taken(self, name: str, holder: str) -> None:
        model, free = self.models[name], False
        free = not model.holder or model.until <= self.clock.seconds
        with self.store.begin() as tx:
            lease = type(self).take(tx, name, holder=holder, ttl_s=TTL_S, dead=nobody)
        assert (lease is not None) == free
        if lease is not None:
            assert all(lease.fence > other.fence for other in model.given)
            model.holder, model.until = holder, self.clock.seconds + TTL_S
            model.given.append(lease)

    @rule(name=NAMES, back=st.integers(0, 3), verb=st.sampled_from(["renew", "release"]))
    def used(self, name: str, back: int, verb: str) -> None:
        model = self.models[name]
        if back >= len(model.given):
            return
        lease = model.given[-1 - back]
        present = back == 0 and model.holder == lease.holder
        with self.store.begin() as tx, contextlib.nullcontext() if present else pytest.raises(Fenced):
            leases.renew(tx, lease, ttl_s=TTL_S) if verb == "renew" else leases.release(tx, lease)
        if present:
            model.until = self.clock.seconds + TTL_S
            model.holder = model.holder if verb == "renew" else ""

    @rule(name=NAMES)
    def revoked(self, name: str) -> None:
        with self.store.begin() as tx:
            leases.revoke(tx, name)
        self.models[name].holder = ""

    @rule(seconds=st.sampled_from([1.0, 5.0, 10.0]))
    def waited(self, seconds: float) -> None:
        self.clock.seconds += seconds

    @invariant()
    def only_the_present_one_passes(self) -> None:
        if not hasattr(self, "models"):
            return
        LeaseMachine.steps += 1
        for model in self.models.values():
            passing = []
            with self.store.begin() as tx:
                for lease in model.given:
                    with contextlib.suppress(Fenced):
                        type(self).check(tx, lease)
                        passing.append(lease)
            assert passing == (model.given[-1:] if model.holder else [])

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


def explore(machine: type[LeaseMachine], *, examples: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, phases=[Phase.generate], derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.guarantee("terminal-after-restart")
def test_at_most_one_holder_passes_and_fences_grow(record_property: Callable[[str, object], None]) -> None:
    class Memory(LeaseMachine):
        make = staticmethod(lambda clock: MemoryStore(clock=clock))

    before = LeaseMachine.steps
    explore(Memory, examples=60)
    record_property("reached", f"{LeaseMachine.steps - before} random lease steps, one holder at each")


@pytest.mark.guarantee("terminal-after-restart")
@pytest.mark.parametrize(
    "fault",
    [{"take": reusing}, {"check": trusting}, {"take": greedy}],
    ids=["reuses fences", "trusts any fence", "takes what is held"],
)
def test_planted_faults_of_leases_are_convicted(fault: dict[str, Callable[..., Any]]) -> None:
    body = {name: staticmethod(function) for name, function in fault.items()}
    planted = type("Planted", (LeaseMachine,), {"make": staticmethod(lambda clock: MemoryStore(clock=clock)), **body})
    with pytest.raises(AssertionError):
        explore(planted, examples=100)
