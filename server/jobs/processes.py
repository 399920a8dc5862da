"""What the system says of a worker's processes: who they are, what they hold, and whether it killed any."""

from contextlib import suppress
from pathlib import Path

import psutil

_VMSTAT = Path("/proc/vmstat")


def tree(pid: int) -> list[psutil.Process]:
    """A process and its descendants; empty where it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def resident(pid: int) -> int:
    """Resident bytes of a process and its descendants; pages that they share count for each."""
    total = 0
    for process in tree(pid):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory; 0 where it does not say. One that it killed
    meanwhile is taken for the worker: a job that needs too much memory is not repeated."""
    with suppress(OSError):
        for line in _VMSTAT.read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
