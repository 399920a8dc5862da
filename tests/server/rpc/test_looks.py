"""Watchers who ask for the same share one read, which began after each of them asked; few reads run at a time."""

import asyncio
import threading
import time

import pytest

from server.rpc.looks import MOST, Looks


class Store:
    """Counts reads, and how many run at a time."""

    def __init__(self) -> None:
        self.value, self.reads, self.running, self.most = 0, 0, 0, 0
        self._lock = threading.Lock()

    def read(self) -> int:
        with self._lock:
            self.reads += 1
            self.running += 1
            self.most = max(self.most, self.running)
        found = self.value
        time.sleep(0.01)
        with self._lock:
            self.running -= 1
        return found


def test_a_thousand_who_ask_for_fifty_things_read_fifty_times_and_few_at_once() -> None:
    store = Store()

    async def run() -> list[int]:
        looks = Looks()
        return await asyncio.gather(*(looks.of(number % 50, store.read) for number in range(1_000)))

    assert asyncio.run(run()) == [0] * 1_000
    assert store.reads == 50 and store.most <= MOST


def test_whoever_asks_after_a_change_reads_it() -> None:
    store = Store()

    async def run() -> tuple[int, int]:
        looks = Looks()
        first = asyncio.create_task(looks.of("r1", store.read))
        while not store.reads:
            await asyncio.sleep(0.001)
        store.value = 1  # while the first read runs
        return await looks.of("r1", store.read), await first

    assert asyncio.run(run()) == (1, 0)


def test_who_goes_away_takes_nothing_from_the_others() -> None:
    store = Store()

    async def run() -> int:
        looks = Looks()
        gone = asyncio.create_task(looks.of("r1", store.read))
        stays = asyncio.create_task(looks.of("r1", store.read))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(run()) == 0 and store.reads == 1


def test_a_failure_is_told_to_everybody() -> None:
    def fails() -> int:
        raise LookupError

    async def run() -> list[object]:
        looks = Looks()
        return await asyncio.gather(*(looks.of("r1", fails) for _ in range(3)), return_exceptions=True)

    assert [type(found) for found in asyncio.run(run())] == [LookupError] * 3
    with pytest.raises(LookupError):
        asyncio.run(Looks().of("r1", fails))
