"""What strikes a life, where, and how: a kill, a fault of the program, a disk that is full or broken; and its log."""

import errno
import json
import os
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from server.failpoints import Step

FAULTS = ("kill", "exception", "ENOSPC", "EIO")
KILLED = 9


@dataclass(frozen=True, kw_only=True)
class Life:
    """What happens: at ``at`` (a step or a stage; empty: nowhere) the ``fault`` strikes, once. ``scenario`` is how the
    release ends if nothing strikes, ``plant`` a planted bug."""

    state: str
    scenario: str = "released"
    at: str = ""
    fault: str = "kill"
    plant: str = ""
    start: int = 0
    """Seconds on the clock when it begins."""
    killed_after_s: float = 0.0
    """When the process is killed from outside, in seconds of the real clock; 0 for never."""


@dataclass(frozen=True)
class Log:
    """Lines of JSON beside the state folder; each is whole or absent."""

    state: Path

    @property
    def path(self) -> Path:
        return self.state.with_name(self.state.name + ".log")

    def write(self, **what: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(what) + "\n")

    def read(self, *names: str) -> list[Any]:
        """What the lives wrote under some names, in order."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [line[name] for line in map(json.loads, lines) for name in names if name in line]


@dataclass
class Strike:
    """The fault, at its place, once."""

    life: Life
    log: Log
    struck: bool = False

    def step(self, step: Step) -> None:
        self.at(str(step))

    def stage(self, stage: str) -> None:
        """A job's progress; one of its stages has the name of a step."""
        self.at(f"stage {stage}")

    def at(self, place: str) -> None:
        if place != self.life.at or self.struck:
            return
        self.struck = True
        if self.life.fault == "kill":
            os._exit(KILLED)
        if self.life.fault == "exception":
            raise RuntimeError("a planted fault")
        code = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO}[self.life.fault]
        if place.endswith("_writing"):  # what SQLite says of a disk that is full or broken, as the driver raises it
            words = {"ENOSPC": "database or disk is full", "EIO": "disk I/O error"}[self.life.fault]
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError(words))
        raise OSError(code, os.strerror(code))


def told(life: Life) -> str:
    """A life as one line, for the process that it is lived in."""
    return json.dumps(asdict(life))


def heard(line: str) -> Life:
    return Life(**json.loads(line))
