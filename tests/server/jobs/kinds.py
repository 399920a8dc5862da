"""Jobs that misbehave on purpose, one per ``do`` of the spec; run as a worker by the tests of the runner."""

import ctypes
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

from server.jobs import worker
from synthgate.errors import InvalidTable

PRIVATE = "Mrs Private, 41, diabetes"


def misbehave(spec, *, folder, secret, progress):
    return {
        "echo": _echo,
        "chat": _chat,
        "loop": _loop,
        "eat": _eat,
        "spawn": _spawn,
        "refuse": _refuse,
        "raise": _raise,
        "leave": _leave,
        "segfault": _segfault,
        "exhaust": _exhaust,
        "fill": _fill,
        "forge": _forge,
    }[spec["do"]](spec, folder, secret, progress)


def _echo(spec, folder, secret, progress):
    """What a worker was given, all of it."""
    opened = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    Path("made").write_text("x")
    return {
        "secret": secret.hex(),
        "argv": sys.argv,
        "environment": dict(os.environ),
        "cwd": str(Path.cwd()),
        "opened": opened,
        "mode": oct(Path("made").stat().st_mode & 0o777),
        "spec": spec,
    }


def _chat(spec, folder, secret, progress):
    print(PRIVATE)
    os.write(1, PRIVATE.encode())
    subprocess.run(["/bin/echo", PRIVATE], check=True)
    for stage in ("one", PRIVATE * 100, "two\x1b[31m", "three"):
        progress(stage)
    return {}


def _fill(spec, folder, secret, progress):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _loop(spec, folder, secret, progress):
    progress("looping")
    while True:
        pass


def _eat(spec, folder, secret, progress):
    progress("eating")
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1)) * 2**24)


def _spawn(spec, folder, secret, progress):
    """A child in a session of its own, and one in the group, that outlive a careless kill; then loop."""
    code = "import threading; threading.Event().wait()"
    children = [subprocess.Popen([sys.executable, "-c", code], start_new_session=apart) for apart in (True, False)]
    (folder / "children").write_text(json.dumps([child.pid for child in children]))
    progress("spawned")
    if spec.get("return"):
        return {}
    while True:
        pass


def _refuse(spec, folder, secret, progress):
    raise InvalidTable("the file lacks the declared column age", facts={"column": "age"})


def _raise(spec, folder, secret, progress):
    raise ValueError(PRIVATE)


def _leave(spec, folder, secret, progress):
    sys.exit(0)


def _segfault(spec, folder, secret, progress):
    ctypes.string_at(0)


def _exhaust(spec, folder, secret, progress):
    raise MemoryError


def _forge(spec, folder, secret, progress):
    """Files that a job should not have written."""
    (folder / spec["name"]).write_text(spec["content"])
    sys.stdout.flush()
    os._exit(spec["code"])


if __name__ == "__main__":
    worker.main(misbehave)
