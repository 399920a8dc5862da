"""`run`: one job in a process of its own, started by exec, watched, and killed whole.

What a worker gets is a spec, files, 32 secret bytes on standard input, which GPUs it may see, and nothing else: no
database, no keys, no tokens, none of the gateway's other environment. What comes back is a result, or a `JobFailed`
whose words are public. The folder holds private text (the log, temporary files, private tables); whoever made it
destroys it.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from server.config import accelerator
from server.jobs import processes
from server.jobs.packages import lay_out
from server.jobs.worker import EXIT_DISK, EXIT_OUT_OF_MEMORY, EXIT_REFUSED, FAILURE, LOG, RESULT, SPEC
from synthgate.errors import SynthgateError, tree

TICK_S = 0.2
MAX_RESULT_BYTES = 16 * 2**20
MAX_STAGE = 80
MAX_MESSAGE = 2_000
_PIPE_BYTES = 64 * 1024
_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")


class Kind(StrEnum):
    """The kinds of jobs, each a module of this package."""

    INGEST = "ingest"
    FIT = "fit"
    EVALUATE = "evaluate"
    RENDER = "render"
    DERIVE = "derive"


class Reason(StrEnum):
    """Why a job gave no result."""

    CRASHED = "CRASHED"
    TIMED_OUT = "TIMED_OUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    CANCELLED = "CANCELLED"
    REFUSED = "REFUSED"
    INTERRUPTED = "INTERRUPTED"
    """It was killed from outside, or the disk was full or broken."""


_WORDS = {
    Reason.CRASHED: "the job stopped unexpectedly",
    Reason.TIMED_OUT: "the job ran out of its time",
    Reason.OUT_OF_MEMORY: "the job needed more memory than it may use",
    Reason.CANCELLED: "the job was cancelled",
    Reason.INTERRUPTED: "the job was killed from outside, or its disk was full or broken",
}
_ENDS = {
    EXIT_OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    EXIT_DISK: Reason.INTERRUPTED,
    -signal.SIGKILL: Reason.INTERRUPTED,
    -signal.SIGTERM: Reason.INTERRUPTED,
}
"""By exit status, what a worker that nobody here killed died of; everything else is a crash of its own."""


class JobFailed(Exception):
    """A job without a result. Inside the server alone, so no part of the public tree of errors.

    ``message`` is public. ``error`` is what the job raised on purpose where ``reason`` is REFUSED, else None.
    """

    def __init__(self, reason: Reason, *, error: SynthgateError | None = None) -> None:
        self.reason = reason
        self.error = error
        self.message = _WORDS[reason] if error is None else error.message
        super().__init__(self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a job may use: wall-clock seconds, resident bytes of its whole process tree, threads of each library."""

    timeout_s: float = 1_800.0
    memory_bytes: int = 4 * 2**30
    threads: int = 2


def run(
    kind: Kind | str,
    spec: Mapping[str, Any],
    *,
    folder: Path,
    secret: bytes,
    limits: Limits,
    cancelled: threading.Event,
    progress: Callable[[str], None],
    python: Path | None = None,
) -> Mapping[str, Any]:
    """Run a job and return its result. Blocks; ``progress`` is called with each stage, in the calling thread.

    ``folder`` is made (0700) where absent and serves as working directory, home and place of all files. Raises
    JobFailed, and whatever ``progress`` raises; the process group is gone in every case. ``python`` is the interpreter
    of another environment, which sees this project's packages and none of the gateway's libraries.
    """
    module = f"server.jobs.{Kind(kind)}"
    return run_module(
        module, spec, folder=folder, secret=secret, limits=limits, cancelled=cancelled, progress=progress, python=python
    )


def run_module(
    module: str,
    spec: Mapping[str, Any],
    *,
    folder: Path,
    secret: bytes,
    limits: Limits,
    cancelled: threading.Event,
    progress: Callable[[str], None],
    python: Path | None = None,
) -> Mapping[str, Any]:
    """`run` for any importable module that calls ``worker.main``."""
    folder = folder.absolute()
    _prepare(folder, spec)
    killed = processes.oom_kills()
    process = _start(module, folder=folder, limits=limits, python=python)
    try:
        _hand_over(process, secret)
        _watch(process, limits=limits, cancelled=cancelled, progress=progress)
    finally:
        _end(process)
    if process.returncode == -signal.SIGKILL and processes.oom_kills() > killed:
        raise JobFailed(Reason.OUT_OF_MEMORY)
    return _outcome(process.returncode, folder)


def _prepare(folder: Path, spec: Mapping[str, Any]) -> None:
    for part in (folder, folder / "tmp"):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.chmod(0o700)
    for left in (SPEC, RESULT, FAILURE, LOG):
        (folder / left).unlink(missing_ok=True)
    with os.fdopen(os.open(folder / SPEC, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(dict(spec), file)


def _start(module: str, *, folder: Path, limits: Limits, python: Path | None) -> "subprocess.Popen[bytes]":
    """Start the worker. ``-P`` keeps the working directory, which the job writes to, off the import path."""
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        return subprocess.Popen(
            [str(python or sys.executable), "-P", "-m", module, str(folder), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
            env=_environment(folder, limits.threads, foreign=python is not None),
            start_new_session=True,
            close_fds=True,
            umask=0o077,
            bufsize=0,
        )
    finally:
        os.close(log)


def _paths() -> list[str]:
    """This process's import path, so that a checkout and plug-ins resolve alike."""
    return [str(Path(entry).absolute()) for entry in sys.path if entry]


def _environment(folder: Path, threads: int, *, foreign: bool) -> dict[str, str]:
    """Nothing of the gateway's own but which GPUs it may see, and none of them in a ``foreign`` interpreter or in JAX,
    where no attempt is bound to one. The hash seed is fixed, so that nothing depends on the order of a set, and so is
    the memory in which a GPU multiplies, on which its rounding depends."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": str(folder / "tmp"),
        "TMPDIR": str(folder / "tmp"),
        "MPLBACKEND": "agg",
        "PYTHONPATH": os.pathsep.join([str(lay_out(folder))] if foreign else _paths()),
        "PYTHONHASHSEED": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "JAX_PLATFORMS": "cpu",
        **({"CUDA_VISIBLE_DEVICES": ""} if foreign else accelerator()),
        **{f"{library}_NUM_THREADS": str(threads) for library in _THREADS},
    }


def _hand_over(process: "subprocess.Popen[bytes]", secret: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - Popen was asked for a pipe
    with suppress(BrokenPipeError):  # the worker is gone already; its exit status says more
        process.stdin.write(secret)
    process.stdin.close()


def _watch(
    process: "subprocess.Popen[bytes]", *, limits: Limits, cancelled: threading.Event, progress: Callable[[str], None]
) -> None:
    """Wait for the worker to end by itself. Raises JobFailed when it must not go on."""
    deadline = time.monotonic() + limits.timeout_s
    assert process.stdout is not None  # noqa: S101 - Popen was asked for a pipe
    stages = _Stages(process.stdout.fileno())
    while process.poll() is None:
        if cancelled.is_set():
            raise JobFailed(Reason.CANCELLED)
        if time.monotonic() > deadline:
            raise JobFailed(Reason.TIMED_OUT)
        if processes.resident(process.pid) > limits.memory_bytes:
            raise JobFailed(Reason.OUT_OF_MEMORY)
        for stage in stages.read(TICK_S):
            progress(stage)
        if stages.closed:
            with suppress(subprocess.TimeoutExpired):
                process.wait(TICK_S)
    for stage in stages.read(0):
        progress(stage)


class _Stages:
    """Stage lines from a pipe that must never block the watch. What is no short, printable stage is dropped."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._rest = b""
        self.closed = False

    def read(self, timeout_s: float) -> Iterator[str]:
        """The stages that arrive within one wait of at most ``timeout_s`` seconds."""
        if self.closed or not select.select([self._descriptor], [], [], timeout_s)[0]:
            return
        try:
            piece = os.read(self._descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return
        self.closed = not piece
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _PIPE_BYTES:
            self._rest = b""
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):
                stage = json.loads(line)["stage"]
                if isinstance(stage, str) and stage.isprintable() and len(stage) <= MAX_STAGE:
                    yield stage


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill whatever is left of the worker's process group and of its descendants, and reap the worker."""
    descendants = processes.tree(process.pid)[1:] if process.returncode is None else []
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for descendant in descendants:
        with suppress(psutil.Error):
            descendant.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _outcome(code: int, folder: Path) -> Mapping[str, Any]:
    if code == 0 and (result := _document(folder / RESULT)) is not None:
        return result
    if code == EXIT_REFUSED and (failure := _document(folder / FAILURE)) is not None:
        kind = tree().get(str(failure.get("reason")))
        facts = failure.get("facts")
        if kind is not None and isinstance(facts, dict):
            words = {str(key): str(value) for key, value in facts.items()}
            raise JobFailed(Reason.REFUSED, error=kind(str(failure.get("message"))[:MAX_MESSAGE], facts=words))
    raise JobFailed(_ENDS.get(code, Reason.CRASHED))


def _document(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None for anything else, for a job may have been made to write anything."""
    try:
        if path.stat().st_size > MAX_RESULT_BYTES:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
