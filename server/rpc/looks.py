"""`Looks`: reads for watchers, of whom a thousand may want to know the same at the same moment.

Watchers of analysts look on a tick, all at once. Those who ask for the same share one read, and few reads run at a
time, so that the requests of others do not wait behind them.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Found = TypeVar("Found")
MOST = 4
"""Reads at a time."""


class Looks:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MOST)
        self._waiting: dict[Hashable, asyncio.Task[Any]] = {}

    async def of(self, key: Hashable, look: Callable[[], Found]) -> Found:
        """What ``look`` returns in a thread, begun after this call; whoever gives the same ``key`` gets the same."""
        if key not in self._waiting:
            self._waiting[key] = asyncio.create_task(self._begin(key, look))
        found: Found = await asyncio.shield(self._waiting[key])  # who goes away takes nothing from the others
        return found

    async def _begin(self, key: Hashable, look: Callable[[], Found]) -> Found:
        async with self._free:
            del self._waiting[key]  # who asks from now on may know of a change that this read misses
            return await asyncio.to_thread(look)
