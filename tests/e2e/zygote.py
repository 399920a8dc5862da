"""Gateways that start at once: a process that has imported them, and priced what they are asked, forks one for each
start.

``python -m tests.e2e.zygote`` reads lines of JSON from standard input: a start (the arguments of ``python -m server``,
and the files that become its standard output and error), answered by the process's number, or the number of one that
it started, answered by its exit status, or null while it runs.
"""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO

from server.ledger import meter
from synthgate.budget import PrivacyBudget
from tests.e2e.people import declaration
from tests.e2e.process import ROOT, arguments, environment

ROWS, EPSILON, CAP, DELTA = 1_000, 0.05, 100.0, 1e-6
"""Of the releases whose price it knows."""


class Started:
    """A gateway that the zygote started, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, zygote: "Zygote", pid: int, stdout: TextIO) -> None:
        self.pid, self.stdout = pid, stdout
        self._zygote = zygote
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None:
            self._status = self._zygote.ask(self.pid)
        return self._status

    def wait(self, timeout: float = 30.0) -> int:
        until = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("gateway", timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, number: int) -> None:
        """Nobody else reaps it, so that the number is its own until `poll` has seen its end."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The process, from the outside."""

    def __init__(self, plugin: Path, *, log: Path) -> None:
        self._number = 0
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, env=environment(plugin) | {"OPENBLAS_NUM_THREADS": "1"}, cwd=ROOT, text=True,
            )  # fmt: skip

    def start(self, state: Path, _plugin: Path, *, log: Path) -> Started:
        """What `tests.e2e.process.start` does."""
        self._number += 1
        pipe = state.with_name(f"{state.name}.out-{self._number}")
        os.mkfifo(pipe)
        pid = self.ask({"arguments": arguments(state), "stdout": str(pipe), "stderr": str(log)})
        assert pid is not None
        return Started(self, pid, pipe.open())

    def ask(self, what: object) -> int | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        answer: int | None = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate()


def begin(asked: dict[str, list[str] | str]) -> int:
    """Serve as the gateway that is asked for, to its end."""
    for file, number in ((asked["stdout"], 1), (asked["stderr"], 2)):
        opened = os.open(str(file), os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from server.__main__ import main as serve

    return serve(list(asked["arguments"]))


def main() -> None:
    """Import what a gateway does, which starts no thread that a child would miss, and fork."""
    import server.__main__  # noqa: F401
    from tests.server.crash.nursery import become, warm

    cap = PrivacyBudget.cap(CAP, DELTA)
    account = meter.new_account("kills", cap, sandbox=False, by="nobody", at=datetime(2026, 1, 1, tzinfo=UTC))
    asked = declaration(ROWS)
    assert asked.sizes is not None
    warm(account, asked.domain, asked.sizes, epsilon=EPSILON)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            pid, status = os.waitpid(asked, os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif (answer := os.fork()) == 0:
            become(partial(begin, asked))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
