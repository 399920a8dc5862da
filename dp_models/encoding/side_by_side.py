"""`each`: one work over all batches of a table, a few at a time.

Counting releases Python's lock, so two threads count twice as fast as one. The order does not matter to sums of whole
numbers, and the result is the same.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
MOST = 4
"""Threads at most; each holds a batch."""


def each(work: Callable[[Item], Made], items: Iterable[Item], *, into: Callable[[Made], None]) -> None:
    """Give what ``work`` makes of each item to ``into``, in order and in the caller's thread; ``work`` runs in others,
    and items are drawn in the caller's thread, not far ahead. Raises what any of them raises."""
    threads = min(MOST, len(os.sched_getaffinity(0)))
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                into(waiting.popleft().result())
        while waiting:
            into(waiting.popleft().result())
