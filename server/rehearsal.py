"""``python -m server.rehearsal FOLDER``: engines tried on rows that are released already, with the gateway's own jobs.

A released synthetic table, the surrogate, plays the private rows: it is dealt into units, split into training and
holdout as a dataset is, and for each engine and budget the very jobs of a release run on it, fit and evaluate. All of
it is post-processing of what was released, so nothing is charged and scores are shown in full. No gateway, no
database, no key and no private row has a part in it: it runs where the surrogate was downloaded to
(`synthgate release rehearse` starts it, and ADR 0060 says why there).

``FOLDER/rehearsal.json`` holds::

    domain   Domain.to_dict()             table   path of the surrogate, the canonical Parquet
    rows, units, max_rows                 the public sizes that it plays
    attacker                              what the dataset's policy adds to attackers (Attacker.to_dict())
    runs     engine, epsilon, delta each  timeout_s   limit of each job

Lines of JSON leave on standard output: ``{"stage": text}``, and for each run, in order, ``{"run": {...}}`` with engine,
because, epsilon, delta, scores (`Score.to_dict`), seconds of fit and evaluation, and ``failure``, which says in words
why there are no scores. An error of the tree ends it with ``{"error": {"reason", "message"}}``.
"""

import json
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dp_models.base import Plan
from dp_models.encoding.table import arrow_schema, private_schema
from dp_models.registry import synthesizer
from dp_models.smartnoise import ENGINES as FOREIGN
from server.jobs import runner
from server.jobs.keys import SECRET_BYTES
from server.jobs.worker import Progress
from synthgate.attacker import Attacker
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition, InvalidTable, SynthgateError

SPEC = "rehearsal.json"
TRAIN, HOLDOUT = "train.parquet", "holdout.parquet"
EXIT_REFUSED = 3


def deal(spec: Mapping[str, Any], folder: Path, *, generator: np.random.Generator) -> PublicSizes:
    """Write the surrogate's rows as ingest would have stored them: in units, a fifth of these held out.

    Raises InvalidTable for a table of other columns than the domain's and for one of fewer rows than asked for."""
    domain, sizes = Domain.from_dict(spec["domain"]), _sizes(spec)
    table = pq.read_table(spec["table"], use_threads=False)
    if not table.schema.equals(arrow_schema(domain), check_metadata=False):
        raise InvalidTable("the surrogate has other columns than the dataset declares; rehearse on a plain release")
    if table.num_rows < sizes.rows:
        raise InvalidTable(f"the surrogate has {table.num_rows:,} rows; ask for at most as many")
    chosen = generator.permutation(table.num_rows)[: sizes.rows]
    unit = np.sort(np.arange(sizes.rows) % sizes.units)
    held = unit < sizes.holdout_units
    for name, side in ((TRAIN, ~held), (HOLDOUT, held)):
        columns = table.take(pa.array(chosen[side])).combine_chunks().columns
        numbered = pa.array(np.unique(unit[side], return_inverse=True)[1].astype(np.int64))
        pq.write_table(pa.Table.from_arrays([*columns, numbered], schema=private_schema(domain)), folder / name)
    return sizes


def _sizes(spec: Mapping[str, Any]) -> PublicSizes:
    return PublicSizes(rows=spec["rows"], units=spec["units"], max_rows=spec["max_rows"])


def run(
    spec: Mapping[str, Any], asked: Mapping[str, Any], sizes: PublicSizes, folder: Path, progress: Progress
) -> dict[str, Any]:
    """One engine at one budget: the plan of a release, its fit, and the evaluation of its canonical sample. What a
    release would be refused or fail with is a run without scores."""
    told = {"because": "", "scores": [], "seconds": {}, "failure": "", **asked}
    try:
        if asked["engine"] in FOREIGN:
            raise FailedPrecondition("engines of SmartNoise run in an environment of the gateway, not here")
        budget = PrivacyBudget.spend(asked["epsilon"], asked["delta"])
        plan = synthesizer(asked["engine"]).plan(Domain.from_dict(spec["domain"]), sizes, budget)
        return told | {"engine": plan.engine, "because": plan.because} | _measured(spec, plan, folder, progress)
    except (SynthgateError, runner.JobFailed) as error:
        return told | {"failure": error.message}
    finally:
        shutil.rmtree(folder / "jobs", ignore_errors=True)


def _measured(spec: Mapping[str, Any], plan: Plan, folder: Path, progress: Progress) -> dict[str, Any]:
    jobs, secret, never = folder / "jobs", secrets.token_bytes(SECRET_BYTES), threading.Event()
    sample = jobs / "fit" / "sample.parquet"
    train = {"domain": spec["domain"], "train": str(folder / TRAIN)}
    attacked = Attacker.from_dict(spec["attacker"]).spec(Domain.from_dict(spec["domain"]))
    specs = {
        "fit": {**train, "plan": plan.to_json(), "journal": str(jobs / "journal")},
        "evaluate": {**train, **attacked, "holdout": str(folder / HOLDOUT), "sample": str(sample)},
    }
    limits, seconds = runner.Limits(timeout_s=spec["timeout_s"]), {}
    jobs.mkdir(mode=0o700)
    for kind, job in specs.items():
        start = time.perf_counter()
        runner.run(
            kind, job, folder=jobs / kind, secret=secret, limits=limits, cancelled=never,
            progress=_prefixed(f"{kind}: ", progress),
        )  # fmt: skip
        seconds[kind] = round(time.perf_counter() - start, 3)
    report = json.loads((jobs / "evaluate" / "report.json").read_bytes())
    return {"scores": report["scores"], "seconds": seconds}


def main(arguments: list[str] | None = None) -> int:
    """Rehearse what the folder's spec asks for; 3 where it is refused."""
    folder = Path((sys.argv[1:] if arguments is None else arguments)[0]).absolute()
    try:
        spec = json.loads((folder / SPEC).read_bytes())
        sizes = deal(spec, folder, generator=np.random.default_rng())
        for asked in spec["runs"]:
            prefix = f"{asked['engine']} at epsilon {asked['epsilon']:g}, "
            done = run(spec, asked, sizes, folder, _prefixed(prefix, lambda stage: _say({"stage": stage})))
            _say({"run": done})
    except SynthgateError as error:
        _say({"error": {"reason": error.reason, "message": error.message}})
        return EXIT_REFUSED
    return 0


def _prefixed(prefix: str, progress: Progress) -> Progress:
    return lambda stage: progress(prefix + stage)


def _say(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
