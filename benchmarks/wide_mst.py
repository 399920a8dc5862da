"""Seconds and memory of `smartnoise-mst` by the number of columns, each fit in a process of SmartNoise's environment.

Columns are categorical with 2 to 29 values, drawn at random; 8,000 rows; epsilon 1. Ends with one line of JSON, also in
``benchmarks/results/wide_mst.json``.

    .venv/bin/python benchmarks/wide_mst.py    # about three minutes
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dp_models.base import Plan
from dp_models.encoding.table import private_schema
from dp_models.mechanisms.noise import SystemNoise
from dp_models.registry import synthesizer
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind

HERE = Path(__file__).resolve().parent
ROWS, ENGINE = 8_000, "smartnoise-mst"


def prepare(columns: int, folder: Path) -> None:
    """A table and a plan."""
    rng = np.random.default_rng(columns)
    sizes = rng.integers(2, 30, columns).tolist()
    domain = Domain(
        columns=tuple(
            Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=tuple(f"v{j}" for j in range(size)))
            for i, size in enumerate(sizes)
        )
    )
    plan = synthesizer(ENGINE).plan(domain, PublicSizes(rows=10_000, units=10_000), PrivacyBudget.spend(1.0, 1e-6))
    cells = {c.name: np.array(c.categories)[rng.integers(0, len(c.categories), ROWS)] for c in domain.columns}
    pq.write_table(
        pa.table(cells | {UNIT_COLUMN: np.arange(ROWS)}, schema=private_schema(domain)), folder / "rows.parquet"
    )
    (folder / "spec.json").write_text(json.dumps({"domain": domain.to_dict(), "plan": plan.to_json()}))


def fit(folder: Path) -> dict[str, float]:
    """One fit in this process, which is one of SmartNoise's environment."""
    from resource import RUSAGE_SELF, getrusage

    spec = json.loads((folder / "spec.json").read_text())
    domain, plan = Domain.from_dict(spec["domain"]), Plan.from_json(spec["plan"])
    rows, start = pq.read_table(folder / "rows.parquet"), time.perf_counter()
    synthesizer(ENGINE).fit(rows, domain, plan, noise=SystemNoise())
    return {"seconds": round(time.perf_counter() - start, 1), "peak_mb": getrusage(RUSAGE_SELF).ru_maxrss // 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", nargs="+", type=int, default=[15, 30, 60], help="how many (default 15 30 60)")
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fit:
        print("\n" + json.dumps(fit(options.fit)))
        return
    from peers import PYTHON
    from tables import RESULTS, machine

    if not PYTHON.exists():
        parser.error("there is no .venv-smartnoise; run `make smartnoise`")
    found: dict[str, dict[str, float]] = {}
    for columns in options.columns:
        with tempfile.TemporaryDirectory() as name:
            prepare(columns, Path(name))
            ran = subprocess.run(
                [str(PYTHON), "-W", "ignore", "-m", "benchmarks.wide_mst", "--fit", name],
                check=True, stdout=subprocess.PIPE, text=True, cwd=HERE.parent,
            )  # fmt: skip
        found[str(columns)] = json.loads(ran.stdout.splitlines()[-1])
        print(f"{columns} columns: {json.dumps(found[str(columns)])}", file=sys.stderr, flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "wide_mst.json").write_text(json.dumps(found | {"machine": machine()}, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
