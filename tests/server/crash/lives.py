"""Lives of one gateway on one state folder, each in a process of its own, which a fault at a durable step may end.

A life recovers, asks for the one release (again, under the same request id), and runs what its queue has. Jobs run in
the process itself: the real fit of 1,000 rows, and an evaluation and a rendering that stand in for the real ones. What
a life sees goes line by line into a log beside the state folder.
"""

import hashlib
import itertools
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from server import requests
from server.app import compose, opened
from server.config import Settings
from server.gateway import Call, Gateway
from server.jobs import runner
from server.jobs.derive import derive
from server.jobs.fit import MODEL, fit
from server.jobs.ingest import ingest
from server.jobs.keys import Label, subkey
from server.jobs.worker import write_json
from server.queue import Queue
from synthgate.dataset import PublicSizes
from synthgate.errors import SynthgateError
from synthgate.policy import COPIES
from synthgate.report import Better, Report, Score
from tests.server.composed import ANALYST, TICK_S, Clock
from tests.server.crash import deeds
from tests.server.crash.strikes import Life, Log, Strike

ROWS, EPSILON = 1_000, 0.1
SIZES = PublicSizes(rows=ROWS, units=ROWS)
ASKED = Call(ANALYST, "CreateRelease", "the one request", "payload")


def composed(state: Path, start: int = 0) -> tuple[Gateway, Clock]:
    clock = Clock()
    clock.seconds = float(start)
    return replace(compose(Settings(state=state, verdict_tick_s=TICK_S, lease_s=300.0)), now=clock), clock


def live(life: Life) -> None:
    """Live it to its end, or to the fault's: what a gateway does when it starts, then what is asked of it."""
    from tests.server.crash.plants import PLANTS

    state = Path(life.state)
    log = Log(state)
    made, clock = composed(state, life.start)
    strike = Strike(life, log)
    gateway = replace(made, at=strike.step, job=Jobs(life, log, strike, state))
    if life.plant:
        gateway = PLANTS[life.plant](gateway, state)
    with _watching(state, log):
        if not _tried(log, opened, gateway):  # it does not start, and whoever runs it starts it again
            log.write(struck=strike.struck)
            return
        log.write(recovered=_states(gateway))
        clock.seconds += TICK_S
        queue = Queue(gateway, start=lambda job, name: job(name))
        if life.scenario not in deeds.LOOKS:
            _tried(log, _ask, gateway)
        if life.scenario == "cancelled":
            _ = _tried(log, deeds.cancel, gateway) or _tried(log, deeds.cancel, gateway)
        clock.seconds += TICK_S
        queue.take()
        for deed in deeds.DEEDS.get(life.scenario, ()):
            clock.seconds += TICK_S
            _ = _tried(log, deed, gateway) or _tried(log, deed, gateway)
            clock.seconds += TICK_S
            queue.take()
    log.write(left=deeds.LOOKS.get(life.scenario, _states)(gateway), struck=strike.struck)


def _tried(log: Log, act: Callable[[Gateway], object], gateway: Gateway) -> bool:
    """What a caller does, who may ask again after an error; tells whether there was none."""
    try:
        act(gateway)
    except (SynthgateError, RuntimeError, OSError) as error:
        log.write(refused=type(error).__name__)
        return False
    return True


def _ask(gateway: Gateway) -> None:
    requests.create(gateway, ASKED, dataset="table", engine="independent", epsilon=EPSILON, delta=None)


def _states(gateway: Gateway) -> list[str]:
    with gateway.store.begin() as tx:
        return [str(record.release.state) for record in tx.releases.list()]


def charged(state: Path) -> bool:
    """Whether the COMMIT entry is durable, by the eyes of another connection."""
    with closing(sqlite3.connect(f"file:{state / 'gateway.db'}?mode=ro", uri=True)) as other:
        return bool(other.execute("SELECT count(*) FROM entries WHERE kind = 'commit'").fetchone()[0])


@contextmanager
def _watching(state: Path, log: Log) -> Iterator[None]:
    """Log every opening of a private row file in this process, with whether the charge was durable at that moment."""
    rows, watching = str(state / "rows" / "table"), [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and watching[0] and str(arguments[0]).startswith(rows):
            log.write(touched=charged(state))

    sys.addaudithook(hook)
    try:
        yield
    finally:
        watching[0] = False


@contextmanager
def _syncs(strike: Strike) -> Iterator[None]:
    """Tell ``strike`` of every file that the fit made durable: the system's own call, after which a crash may come."""
    sync, count = os.fsync, itertools.count(1)

    def counted(descriptor: int) -> None:
        sync(descriptor)
        strike.at(f"sync {next(count)}")

    os.fsync = counted
    try:
        yield
    finally:
        os.fsync = sync


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Jobs:
    """Stands where `server.jobs.runner.run` does."""

    life: Life
    log: Log
    strike: Strike
    state: Path

    def __call__(
        self, kind: str, spec: Mapping[str, Any], *, folder: Path, secret: bytes, cancelled: threading.Event,
        progress: Callable[[str], None], limits: runner.Limits, python: Path | None = None,
    ) -> Mapping[str, Any]:  # fmt: skip
        folder.mkdir(parents=True)
        return getattr(self, f"_{kind}")(spec, folder, secret)

    def _fit(self, spec: Mapping[str, Any], folder: Path, secret: bytes) -> Mapping[str, Any]:
        self.log.write(touched=charged(self.state))  # from here on the worker may open them, unseen by this process
        if self.life.scenario == "failed":
            raise runner.JobFailed(runner.Reason.CRASHED)
        try:
            with _syncs(self.strike):
                done = fit(spec, folder=folder, secret=secret, progress=self.strike.stage)
        except SynthgateError as error:
            raise runner.JobFailed(runner.Reason.REFUSED, error=error) from error
        self.log.write(fitted=done["sha256"], model=_sha256(folder / MODEL))
        return done

    def _ingest(self, spec: Mapping[str, Any], folder: Path, secret: bytes) -> Mapping[str, Any]:
        if self.life.scenario == "spoiled":
            raise runner.JobFailed(runner.Reason.CRASHED)
        return ingest(spec, folder=folder, secret=secret, progress=self.strike.stage)

    def _derive(self, spec: Mapping[str, Any], folder: Path, secret: bytes) -> Mapping[str, Any]:
        return derive(spec, folder=folder, secret=secret, progress=self.strike.stage)

    def _evaluate(self, spec: Mapping[str, Any], folder: Path, secret: bytes) -> Mapping[str, Any]:
        self.log.write(touched=charged(self.state), keyed=subkey(secret, Label.EVALUATION).hex())
        bad = 0.9 if self.life.scenario == "rejected" else 0.0
        report = Report(scores=(Score(name=COPIES, value=bad, low=bad, high=bad, better=Better.LOWER),))
        write_json(folder / "report.json", report.to_dict())
        return {"sample_sha256": self.log.read("fitted")[-1]}

    def _render(self, _spec: Mapping[str, Any], folder: Path, _secret: bytes) -> Mapping[str, Any]:
        for name in ("report.json", "report.html", "decision.html"):
            (folder / name).write_text(f"<p>{name}</p>")
        return {}
