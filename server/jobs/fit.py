"""Fit: run a frozen plan on the training rows, and draw the one canonical sample that the gate will judge.

Spec: ``domain`` (Domain.to_dict()), ``plan`` (Plan.to_json(); the engine gets its part), ``train`` (path of the private
training rows), ``journal`` (path of the attempt's sealed journal). Exact noise is the operating system's and is
journalled before it is used; the streams of gradient noise and the draw from the fitted model, which is
post-processing, are keyed by the secret. So the same attempt run again gives the same bytes. Writes ``sample.parquet``,
and ``model.safetensors`` where the model can be stored. Result: ``sha256``, ``bytes``, ``rows``, ``model`` (the name of
its file, or empty), ``event`` (what ran), ``noise`` (its `properties`), ``weaknesses`` of it, ``seconds`` of fit and
sample.

The engine may be anybody's. What it raises never leaves the log, and what it returns is held to the domain.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dp_models.base import Plan
from dp_models.encoding.stored import ParquetRows
from dp_models.mechanisms.attempt import AttemptNoise
from dp_models.mechanisms.journal import Journal
from dp_models.registry import synthesizer
from dp_models.stored.registry import dump
from server.jobs import canonical, worker
from server.jobs.keys import Label, subkey
from server.jobs.worker import Progress
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition, SynthgateError

SAMPLE = "sample.parquet"
MODEL = "model.safetensors"


class EngineFault(Exception):
    """An engine raised on its own; its words may quote a row, so the job crashes without them."""


def fit(spec: Mapping[str, Any], *, folder: Path, secret: bytes, progress: Progress) -> dict[str, Any]:
    """Fit what was priced, sample what was fitted. Raises FailedPrecondition where another event ran than the plan's,
    where a replay does not do what its journal says, or where the sample is not what the domain allows."""
    domain, plan = Domain.from_dict(spec["domain"]), Plan.from_json(spec["plan"])
    if plan.domain != domain.digest:
        raise FailedPrecondition("the plan was made for another domain; ask for a new release")
    plan = plan.fitted
    engine, start = synthesizer(plan.engine), time.perf_counter()
    progress("fitting")
    with Journal(Path(spec["journal"]), subkey(secret, Label.JOURNAL)) as journal:
        noise = AttemptNoise(journal, subkey(secret, Label.STREAMS))
        with _foreign():
            model = engine.fit(ParquetRows(Path(spec["train"])), domain, plan, noise=noise)
        noise.finish()
    event = noise.event
    if event != plan.event:
        raise FailedPrecondition("the engine ran other mechanisms than its plan priced; its model was thrown away")
    fitted = time.perf_counter()
    progress("sampling")
    rows = plan.sizes.sample_rows
    with _foreign():
        drawn = model.sample(rows, generator=sampling_generator(secret))
        stored = dump(model)
    if stored is not None:
        (folder / MODEL).write_bytes(stored)
    sha256, size = canonical.write(canonical.conform(drawn, domain, rows=rows), folder / SAMPLE)
    return {
        "sha256": sha256,
        "bytes": size,
        "rows": rows,
        "model": "" if stored is None else MODEL,
        "event": event.to_json(),
        "noise": list(noise.properties),
        "weaknesses": list(noise.weaknesses),
        "seconds": {"fit": fitted - start, "sample": time.perf_counter() - fitted},
    }


def sampling_generator(secret: bytes) -> np.random.Generator:
    """What draws a sample from a model; keyed to the attempt."""
    return np.random.default_rng(int.from_bytes(subkey(secret, Label.SAMPLE), "big"))


@contextmanager
def _foreign() -> Iterator[None]:
    """Errors of this project pass their words on; within an engine's code nobody knows what the words hold."""
    try:
        yield
    except SynthgateError as error:
        raise EngineFault from error


if __name__ == "__main__":
    worker.main(fit)
