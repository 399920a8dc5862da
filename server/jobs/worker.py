"""The process that a job runs in: read the spec and the secret, work, leave a result or a refusal, end.

Invariants:

- Stages leave through the descriptor that was standard output; whatever libraries print goes to the private log.
- Text leaves in ``failure.json`` alone, and only of errors raised on purpose; a foreign exception's words may quote a
  cell, so they stay in the log.
- The process dies with its parent: a job that nobody waits for would train on without a gate behind it.
"""

import errno
import json
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

from server.jobs.keys import SECRET_BYTES
from synthgate.errors import SynthgateError

SPEC, RESULT, FAILURE, LOG = "spec.json", "result.json", "failure.json", "worker.log"
EXIT_CRASHED, EXIT_REFUSED, EXIT_OUT_OF_MEMORY, EXIT_DISK = 1, 3, 4, 5
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What the system says where a disk is full or broken."""
PARENT_CHECK_S = 0.5

Progress = Callable[[str], None]


class Job(Protocol):
    """What a kind does: from a JSON-ready spec and a secret to files in ``folder`` and a JSON-ready result."""

    def __call__(
        self, spec: Mapping[str, Any], *, folder: Path, secret: bytes, progress: Progress
    ) -> Mapping[str, Any]:
        """Raises a SynthgateError to refuse, in public words; anything else is a crash."""


def main(job: Job, *, secrets: int = 1) -> NoReturn:
    """Run ``job`` as ``python -m MODULE FOLDER PARENT`` with so many secrets, one behind the other, on standard
    input."""
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _die_with(parent)
    secret = sys.stdin.buffer.read()
    progress = _claim_stdout()
    code = (
        work(job, folder=folder, secret=secret, progress=progress)
        if len(secret) == secrets * SECRET_BYTES
        else EXIT_CRASHED
    )
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: numerical libraries are known to crash or hang while the interpreter is torn down, which must not
    # turn a result that is already on disk into a failure.
    os._exit(code)


def work(job: Job, *, folder: Path, secret: bytes, progress: Progress) -> int:
    """Run ``job`` on the spec in ``folder``, write what came of it there, and return the exit status."""
    try:
        spec = json.loads((folder / SPEC).read_bytes())
        write_json(folder / RESULT, job(spec, folder=folder, secret=secret, progress=progress))
    except SynthgateError as error:
        write_json(folder / FAILURE, {"reason": error.reason, "message": error.message, "facts": error.facts})
        return EXIT_REFUSED
    except MemoryError:
        return EXIT_OUT_OF_MEMORY
    except BaseException as error:  # a library's SystemExit is no success either
        traceback.print_exc()
        return EXIT_DISK if isinstance(error, OSError) and error.errno in DISK else EXIT_CRASHED
    return 0


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write ``document`` so that ``path`` holds all of it or does not exist, also after a power cut."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(dict(document), file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _claim_stdout() -> Progress:
    """Keep standard output for stage lines and turn descriptor 1 to the log."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def progress(stage: str) -> None:
        lines.write(json.dumps({"stage": stage}) + "\n")
        lines.flush()

    return progress


def _die_with(parent: int) -> None:
    """Kill this process group as soon as the process ``parent`` is no longer the parent."""

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == parent:
            pause.wait(PARENT_CHECK_S)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
