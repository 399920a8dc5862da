"""Processes for lives: one that has imported everything and has one thread forks a child for each.

Starting Python anew for each of some hundred kills would take minutes. ``python -m tests.server.crash.nursery`` reads
lives from standard input, one a line, and answers each with the exit status of the child that lived it.
"""

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from dp_models.mechanisms import accounting
from server import binding, pricing
from server.ledger import meter
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.ledger import Account
from synthgate.policy import VerdictKind
from tests.server.composed import DOMAIN, START
from tests.server.crash.lives import EPSILON, SIZES, live
from tests.server.crash.strikes import Life, heard, told

ROOT = Path(__file__).parents[3]
ACCOUNT = meter.new_account("people", PrivacyBudget.cap(3.0, 1e-6), sandbox=False, by="nobody", at=START)


class Nursery:
    """The process, from the outside."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.crash.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, text=True, cwd=ROOT, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip

    def live(self, life: Life) -> int:
        """The exit status of a process that lives it: 0 at its end, 9 where it was struck, -9 where it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(told(life) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()
        self._errors.close()


def warm(account: Account, domain: Domain, sizes: PublicSizes, *, epsilon: float) -> None:
    """Do once what every child would do again: imports, prices and digests. Starts no thread."""
    from dp_models.engines import independent  # noqa: F401
    from dp_models.mechanisms import noise

    noise._opendp()
    binding.code()
    budget = PrivacyBudget.spend(epsilon, pricing.default_delta(account))
    priced = pricing.plan("independent", domain, sizes, budget, VerdictKind.EXACT)
    accounting.epsilon(priced.event, budget.delta)
    accounting.substitute_one_epsilon(priced.event, budget.delta)


def become(work: Callable[[], int | None]) -> NoReturn:
    """What a forked child does, and nothing after it. Its exit status is what ``work`` returns, 0 for nothing, and 1
    where it raises."""
    status = 1
    try:
        status = work() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a life prints belongs to its errors
    warm(ACCOUNT, DOMAIN, SIZES, epsilon=EPSILON)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(partial(live, heard(line)))
        if (after_s := heard(line).killed_after_s) > 0:
            threading.Event().wait(after_s)
            os.kill(child, signal.SIGKILL)  # it may be over already, but nobody has reaped it: the number is still its
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


if __name__ == "__main__":
    main()
