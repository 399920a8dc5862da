"""How often the demo's first release passes the default policy: the same jobs and gate, without the gateway.

Every run draws a new account key (so another cut to one year a person and another split) and a new attempt secret, then
ingests, fits, samples, evaluates and decides. Writes ``benchmarks/results/demo_release_rate.json`` and ends with one
line of JSON. A run takes 5 to 10 seconds on one core:

    .venv/bin/python benchmarks/demo_release_rate.py --runs 50
"""

import argparse
import hashlib
import json
import secrets
import statistics
import tempfile
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from dp_models.base import Plan
from dp_models.mechanisms.accounting import epsilon
from dp_models.registry import synthesizer
from server.jobs.evaluate import REPORT, evaluate
from server.jobs.fit import SAMPLE, fit
from server.jobs.ingest import HOLDOUT, TRAIN, ingest
from server.policy import decide
from synthgate.budget import PrivacyBudget
from synthgate.policy import EXACT_POLICY, Verdict
from synthgate.report import Report
from synthgate.schema import Declaration, read_schema
from synthgate.statement import PrivacyStatement, Scope

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "demo_release_rate.json"
KEY_BYTES = 32


def silent(stage: str) -> None:
    """Stages are of no interest here."""


def statement(plan: Plan, spent: float) -> PrivacyStatement:
    return PrivacyStatement(
        scope=Scope.GENERATOR, end_to_end=False, unit="", sizes=plan.sizes, accountant="PLD", event=plan.event,
        epsilon=spent, delta=plan.budget.delta, epsilon_substitute_one=0.0, not_covered=(), noise=(), weakened_by=(),
    )  # fmt: skip


def one_release(
    table: Path, declared: Declaration, plan: Plan, spent: float, folder: Path
) -> tuple[Verdict, Report, float]:
    """Ingest to verdict, with fresh keys; the seconds of the evaluation beside it."""
    content, domain, unit = table.read_bytes(), declared.domain, declared.unit
    spec: dict[str, Any] = {
        "domain": domain.to_dict(),
        "unit": {"column": unit.column, "max_rows": unit.max_rows},
        "file": str(table),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "known": [],
        "plan": plan.to_json(),
        "train": str(folder / TRAIN),
        "holdout": str(folder / HOLDOUT),
        "sample": str(folder / SAMPLE),
        "journal": str(folder / "journal"),
    }
    attempt = secrets.token_bytes(KEY_BYTES)
    ingest(spec, folder=folder, secret=secrets.token_bytes(2 * KEY_BYTES), progress=silent)
    fit(spec, folder=folder, secret=attempt, progress=silent)
    judged = {name: value for name, value in spec.items() if name != "plan"}  # the demo's verdict is exact
    seconds = float(evaluate(judged, folder=folder, secret=attempt, progress=silent)["seconds"])
    report = Report.from_dict(json.loads((folder / REPORT).read_text()))
    return decide(EXACT_POLICY, domain, statement(plan, spent), report), report, seconds


def summary(verdicts: list[Verdict], reports: list[Report], seconds: list[float]) -> dict[str, Any]:
    """Released of how many, and per score the pessimistic ends that the rules read."""
    ends = {s.name: [r[s.name].pessimistic for r in reports] for s in reports[0].scores}
    return {
        "runs": len(verdicts),
        "released": sum(v.passed for v in verdicts),
        "refused_for": sorted(reason for v in verdicts for reason in v.reasons),
        "evaluation_seconds_median": round(statistics.median(seconds), 1),
        "evaluation_seconds_max": round(max(seconds), 1),
        "pessimistic": {
            name: {"min": round(min(e), 4), "median": round(statistics.median(e), 4), "max": round(max(e), 4)}
            for name, e in ends.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="independent releases (default 50)")
    parser.add_argument("--engine", default="auto", help="as in a request (default auto)")
    parser.add_argument("--epsilon", type=float, default=1.0, help="of each release (default 1)")
    parser.add_argument("--delta", type=float, default=5e-8, help="of each release (default 5e-8)")
    parser.add_argument("--schema", type=Path, default=ROOT / "examples" / "randhie.yaml", help="the declaration")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON goes")
    options = parser.parse_args()
    declared = read_schema(options.schema)
    if declared.sizes is None:
        parser.error("the schema must declare rows and units")
    budget = PrivacyBudget.spend(options.epsilon, options.delta)
    plan = synthesizer(options.engine).plan(declared.domain, declared.sizes, budget)
    spent = epsilon(plan.event, budget.delta)
    verdicts: list[Verdict] = []
    reports: list[Report] = []
    seconds: list[float] = []
    with as_file(files("statsmodels") / "datasets" / "randhie" / "src" / "randhie.csv") as table:
        for run in range(1, options.runs + 1):
            start = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                verdict, report, took = one_release(table, declared, plan, spent, Path(folder))
            verdicts.append(verdict)
            reports.append(report)
            seconds.append(took)
            words = "released" if verdict.passed else f"refused: {', '.join(verdict.reasons)}"
            print(f"run {run}/{options.runs}: {words} ({time.perf_counter() - start:.0f} s)", flush=True)
            found = {"engine": plan.engine, "epsilon": options.epsilon, "delta": options.delta}
            found |= summary(verdicts, reports, seconds)
            options.results.parent.mkdir(parents=True, exist_ok=True)
            options.results.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
