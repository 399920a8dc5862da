"""Engines on five public tables at four budgets, three runs each, scored by a judge that shares no code with them and
by the project's own metrics (`measured`).

Every fit runs in a process of its own, which reports its seconds and its highest resident set; the judge runs in
another. Each cell is a file under ``benchmarks/results/engines``; a run that was stopped goes on where it ended, and
cells of older code are made anew. SmartNoise's scores come from ``benchmarks/peers.json`` (made by `peers`). An engine
that starts from a table stage of its own (`vae`, `gan`) is compared with a sample of that very stage. Ends with one
line of JSON.

    .venv/bin/python benchmarks/engines.py --quick       # adult_raw at epsilon 1, `auto` alone: about two minutes
    .venv/bin/python benchmarks/engines.py               # everything, about an hour on two cores
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tables import HERE, NAMES, RESULTS, Prepared, judge, judged, machine, prepare

EPSILONS = (0.1, 1.0, 3.0, 10.0)
RUNS = 3
WORSE = 0.01
"""A cell counts as lost by much where a score is worse than the best peer's by more than this."""
OWN = ("utility.tstr", "utility.tv3", "utility.kmarginal")
"""The project's own scores whose medians are shown."""
SCORES = {"auc": "tstr", "tvd3": "tvd3"}
"""What is compared, and what the judge calls it."""
GANS, AIM = {"smartnoise-patectgan", "smartnoise-dpctgan"}, "smartnoise-aim"
SEED = bytes(16)
"""Keys what the metrics draw, such as which columns are looked at together."""


def fit(table: str, engine: str, epsilon: float, run: int, folder: Path) -> dict[str, float]:
    """Plan, fit and sample in this process; samples of the model and of its table stage go to ``folder``."""
    import numpy as np

    from dp_models.encoding.stored import ParquetRows
    from dp_models.mechanisms.noise import SystemNoise
    from dp_models.registry import synthesizer
    from synthgate.budget import PrivacyBudget

    prepared = prepare(table)
    rows = ParquetRows(prepared.rows)
    start = time.perf_counter()
    budget = PrivacyBudget.spend(epsilon, 1 / (10 * rows.num_rows))
    plan = synthesizer(engine).plan(prepared.domain, prepared.sizes, budget)
    planned = time.perf_counter()
    noise = SystemNoise()
    model = synthesizer(engine).fit(rows, prepared.domain, plan, noise=noise)
    sample = model.sample(rows.num_rows, generator=np.random.default_rng(run))
    done = time.perf_counter()
    if noise.event != plan.event:
        raise SystemExit("the engine ran other mechanisms than its plan priced")
    found = {"seconds": done - planned, "plan_seconds": planned - start, "peak_mb": peak_mb()}
    pq.write_table(judged(sample), folder / "sample.parquet")
    if (stage := getattr(model, "table_stage", None)) is not None:
        sample = stage.sample(rows.num_rows, generator=np.random.default_rng(run))
        pq.write_table(judged(sample), folder / "stage.parquet")
    return found


def peak_mb() -> float:
    """The highest resident set of this process so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


def measured(prepared: Prepared, sample: Path) -> dict[str, float]:
    """The project's own scores of a sample by name, with the judge's test rows as the holdout; those that could not be
    told are left out. Imported here, so that they take no memory of a process that fits."""
    from evaluation.registry import Registry
    from evaluation.run import compare, load
    from evaluation.utility.kmarginal import KMarginal
    from evaluation.utility.marginals import Marginals
    from evaluation.utility.tstr import TrainOnSynthetic

    comparison = load(prepared.domain, prepared.train, prepared.test, sample)
    metrics = Registry((Marginals(), TrainOnSynthetic(), KMarginal()))
    report = compare(comparison, seed=SEED, progress=lambda name: None, registry=metrics)
    return {score.name: score.value for score in report.scores if score.conclusive}


def cell(table: str, engine: str, epsilon: float, run: int, code: str | None) -> dict[str, Any]:
    """One fit and its scores, from its file where that has all scores and is of this ``code`` (None: of any)."""
    path = RESULTS / "engines" / table / f"{engine}-{epsilon:g}-{run}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if "own" in found and found["code"] == (code or found["code"]):
        return dict(found)
    prepared = prepare(table)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, __file__, "--fit", table, engine, str(epsilon), str(run), name]
        fitted = subprocess.run(command, check=True, capture_output=True, text=True)
        head = {"table": table, "engine": engine, "epsilon": epsilon, "run": run}
        found = head | {"code": code or digest(), "machine": machine()}
        found |= json.loads(fitted.stdout.splitlines()[-1]) | judge(prepared, folder / "sample.parquet")
        found["own"] = measured(prepared, folder / "sample.parquet")
        if (stage := folder / "stage.parquet").exists():
            found["stage"] = {key: value for key, value in judge(prepared, stage).items() if key in ("tstr", "tvd3")}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
    own = " ".join(f"{name} {found['own'][name]:.4f}" for name in OWN if name in found["own"])
    print(f"{table} {engine} epsilon {epsilon:g} run {run}: auc {found['tstr']:.4f} tvd3 {found['tvd3']:.4f} {own}"
          f" ({found['seconds']:.1f} s)" + (f" stage {found['stage']}" if "stage" in found else ""),
          flush=True)  # fmt: skip
    return found


def medians(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """The medians over runs; the peak is the highest. What a model adds to its own table stage, where it has one. How
    many runs there were, of which code (digests) and on what."""
    middle = {name: statistics.median(c[key] for c in cells) for name, key in {**SCORES, "seconds": "seconds"}.items()}
    for name in OWN:
        if told := [c["own"][name] for c in cells if name in c["own"]]:
            middle[name] = statistics.median(told)
    if all("stage" in c for c in cells):
        for name, key in SCORES.items():
            middle[f"{name}_over_stage"] = statistics.median(c[key] - c["stage"][key] for c in cells)
    made = {"runs": len(cells), "codes": sorted({c["code"] for c in cells}), "machine": cells[-1].get("machine")}
    return {k: round(v, 4) for k, v in middle.items()} | {"peak_mb": round(max(c["peak_mb"] for c in cells), 1)} | made


def against(cells: dict[str, Any], peers: list[dict[str, Any]]) -> dict[str, Any]:
    """In how many of the cells that SmartNoise has scores for ours is better than the best of them, and where it is
    worse by much; by how much it is better than the better GAN, and than AIM, at least; and what it adds to its own
    table stage at least. None where there is nothing to compare."""
    auc, tvd, lost, gans, aim = [], [], [], [], []
    for name, ours in cells.items():
        theirs = peers_of(name, peers)
        if theirs:
            auc.append(ours["auc"] - max(p["auc"] for p in theirs.values()))
            tvd.append(min(p["tvd3"] for p in theirs.values()) - ours["tvd3"])
            if min(auc[-1], tvd[-1]) < -WORSE:
                lost.append(name)
        if GANS & theirs.keys():
            gans.append((round(ours["auc"] - max(theirs[g]["auc"] for g in GANS & theirs.keys()), 4), name))
        if AIM in theirs:
            gained = {"auc": ours["auc"] - theirs[AIM]["auc"], "tvd3": theirs[AIM]["tvd3"] - ours["tvd3"]}
            aim.append({name: {score: round(gain, 4) for score, gain in gained.items()}})
    stage = [(c["auc_over_stage"], name) for name, c in cells.items() if "auc_over_stage" in c]
    share = lambda gaps: round(sum(g > 0 for g in gaps) / len(gaps), 3) if gaps else None  # noqa: E731
    return {
        "compared": len(auc), "better_auc": share(auc), "better_tvd3": share(tvd), "worse_by_much": lost,
        "least_auc_over_gans": min(gans, default=None), "over_aim": aim,
        "least_auc_over_stage": min(stage, default=None),
    }  # fmt: skip


def peers_of(cell: str, peers: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The medians of SmartNoise's runs on a cell, by engine."""
    table, epsilon = cell.split(" ")
    same = [p for p in peers if p["table"] == table and p["epsilon"] == float(epsilon)]
    return {
        engine: {name: statistics.median(p[key] for p in same if p["engine"] == engine) for name, key in SCORES.items()}
        for engine in sorted({p["engine"] for p in same})
    }


def kept(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """``engines.json`` with these cells beside those of other engines, tables and budgets that it held. Each names its
    code."""
    path = RESULTS / "engines.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    peers = [p for p in json.loads((HERE / "peers.json").read_text()) if "failed" not in p]
    for engine, cells in found.items():
        merged = before.get(engine, {}).get("cells", {}) | cells
        before[engine] = {"cells": merged, "peers": against(merged, peers)}
    path.write_text(json.dumps(before, indent=2) + "\n")
    return {engine: before[engine] for engine in found}


def digest() -> str:
    """sha256 of the code that fits and scores."""
    files = [*(HERE.parent / "dp_models").rglob("*.py"), *(HERE.parent / "evaluation").rglob("*.py")]
    files = sorted([*files, *(HERE / "domains").glob("*.yaml")])
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="adult_raw at epsilon 1 with `auto` alone")
    parser.add_argument("--engines", nargs="+", default=["auto"], help="which engines (default auto)")
    parser.add_argument("--tables", nargs="+", default=list(NAMES), choices=NAMES, help="which tables (default all)")
    parser.add_argument("--epsilons", nargs="+", type=float, default=list(EPSILONS), help="which budgets")
    parser.add_argument("--runs", type=int, default=RUNS, help="fits of each cell (default 3)")
    parser.add_argument("--keep", action="store_true", help="keep cells of older code")
    parser.add_argument(
        "--fit", nargs=5, metavar=("TABLE", "ENGINE", "EPSILON", "RUN", "FOLDER"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.fit:
        table, engine, epsilon, run, folder = options.fit
        print(json.dumps(fit(table, engine, float(epsilon), int(run), Path(folder))))
        return
    if options.quick:
        options.engines, options.tables, options.epsilons = ["auto"], ["adult_raw"], [1.0]
    code = None if options.keep else digest()
    found: dict[str, dict[str, Any]] = {}
    for engine in options.engines:
        found[engine] = {}
        for table in options.tables:
            for epsilon in options.epsilons:
                cells = [cell(table, engine, epsilon, run, code) for run in range(options.runs)]
                found[engine][f"{table} {epsilon:g}"] = medians(cells)
    if options.quick:
        print(json.dumps(found["auto"]["adult_raw 1"]))
        return
    print(json.dumps(kept(found)))


if __name__ == "__main__":
    main()
