"""Watching as an analyst: on the tick, without asking the store when there is no news, and without missing any."""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from server import accounts
from server.app import compose
from server.config import Settings
from server.gateway import Gateway
from server.releases import move
from server.rpc.releases import ReleaseRpc
from synthgate.release import ReleaseState
from synthgate.v1 import release_service_pb2 as pb
from tests.server.composed import ANALYST, STEWARD, Clock, asked, call, registered

TICK_S, LATE_S = 0.1, 20.0
TOKEN = "analyst-token"


class Context:
    """What a servicer needs of gRPC's context: who calls."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {TOKEN}"),)


@pytest.fixture
def gateway(tmp_path: Path, clock: Clock) -> Gateway:
    made = replace(compose(Settings(state=tmp_path, verdict_tick_s=TICK_S, lease_s=300.0)), now=clock)
    accounts.open_account(made, call(STEWARD), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
    return made


def closed(gateway: Gateway, release: str) -> None:
    with gateway.store.begin() as tx:
        move(gateway, tx, tx.releases.get(release), ReleaseState.CANCELLED)


def watched(gateway: Gateway, clock: Clock, release: str, *, meanwhile: bool) -> list[int]:
    """The states that an analyst is sent. After the first, the release comes to rest if that is still to come
    (``meanwhile``), and its tick passes."""
    rpc = ReleaseRpc(gateway, {hashlib.sha256(TOKEN.encode()).hexdigest(): ANALYST})

    async def run() -> list[int]:
        states = []
        async for answer in rpc.WatchRelease(pb.WatchReleaseRequest(id=release), Context()):
            states.append(answer.release.state)
            if len(states) == 1:
                if meanwhile:
                    closed(gateway, release)
                    gateway.news.publish(release)
                clock.seconds += TICK_S
        return states

    async def soon() -> list[int]:
        return await asyncio.wait_for(run(), LATE_S)

    return asyncio.run(soon())


@pytest.mark.parametrize("meanwhile", [True, False], ids=["while it is watched", "just before it is watched"])
def test_a_release_that_comes_to_rest_is_told_on_its_tick(gateway: Gateway, clock: Clock, meanwhile: bool) -> None:
    registered(gateway)
    clock.seconds = 10 * TICK_S + TICK_S / 10
    release = asked(gateway)
    if not meanwhile:
        closed(gateway, release)
    told = watched(gateway, clock, release, meanwhile=meanwhile)
    assert told == [pb.RELEASE_STATE_PENDING, pb.RELEASE_STATE_CLOSED]
    assert gateway.news.listeners == {}


def test_an_unchanged_release_is_read_no_more_than_once_after_the_first_tick(gateway: Gateway, clock: Clock) -> None:
    registered(gateway)
    clock.seconds = 10 * TICK_S
    release, reads = asked(gateway), 0
    rpc = ReleaseRpc(gateway, {hashlib.sha256(TOKEN.encode()).hexdigest(): ANALYST})

    class Counting:
        """The store, counting transactions."""

        def begin(self):  # type: ignore[no-untyped-def]
            nonlocal reads
            reads += 1
            return gateway.store.begin()

    rpc.gateway = replace(gateway, store=Counting())  # type: ignore[arg-type]

    async def run() -> None:
        stream = rpc.WatchRelease(pb.WatchReleaseRequest(id=release), Context())
        await anext(stream)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 10 * TICK_S)

    asyncio.run(run())
    assert reads <= 2
