"""Our engines and SmartNoise's in turns on adult_raw at epsilon 1: seconds of fit and sample, ratios of medians.

Every fit runs in a process of its own; SmartNoise's in its own environment, as it comes, within the limits of `peers`.
What a limit stops counts with the seconds until then and is named in ``stopped``: it is at least so slow. What ends is
judged (``scores``, the last round's). What fails is named in ``failed`` and has no seconds. Runs are added to
``benchmarks/results/times.json``. Ends with one line of JSON.

    .venv/bin/python benchmarks/times.py --rounds 3 --peers mst
    .venv/bin/python benchmarks/times.py --ours auto aim --peers mst aim    # 20 minutes and more
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from peers import PEERS, PYTHON, STOPPED, Codes, run, scores
from safetensors.numpy import save_file
from tables import HERE, RESULTS, machine, prepare

TABLE, EPSILON = "adult_raw", 1.0


def ours(engine: str, number: int, folder: Path) -> float:
    """The seconds of one of our engines."""
    fit = ["--fit", TABLE, engine, str(EPSILON), str(number), str(folder)]
    ran = subprocess.run([sys.executable, str(HERE / "engines.py"), *fit], check=True, capture_output=True, text=True)
    return float(json.loads(ran.stdout.splitlines()[-1])["seconds"])


def times(engines: list[str], peers: list[str], rounds: int) -> dict[str, Any]:
    """See the module."""
    prepared = prepare(TABLE)
    rows, codec = pq.read_table(prepared.rows), Codes(prepared)
    seconds: dict[str, list[float]] = {name: [] for name in (*engines, *(f"smartnoise-{p}" for p in peers))}
    judged: dict[str, dict[str, float]] = {}
    stopped: set[str] = set()
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays = {"codes": np.ascontiguousarray(codec.encode(rows)), "sizes": np.asarray(codec.sizes)}
        save_file(arrays, folder / "codes.safetensors")
        for number in range(rounds):
            for engine in engines:
                seconds[engine].append(ours(engine, number, folder))
            for peer in peers:
                start, theirs = time.perf_counter(), f"smartnoise-{peer}"
                ran = run(peer, EPSILON, rows.num_rows, 3, folder, spared=False)
                if ran.returncode in STOPPED:
                    stopped.add(theirs)
                    seconds[theirs].append(round(time.perf_counter() - start, 1))
                    continue
                if ran.returncode:
                    failed[theirs] = (ran.stderr.strip().splitlines() or ["no message"])[-1][:200]
                    continue
                seconds[theirs].append(json.loads(ran.stdout.splitlines()[-1])["seconds"])
                told = scores(prepared, codec, folder)
                judged[theirs] = {key: told[key] for key in ("tstr", "tvd3")}
            print(f"round {number + 1} of {rounds}: {json.dumps(seconds)}", flush=True)
    middle = {name: round(statistics.median(s), 2) for name, s in seconds.items() if s}
    faster = {e: {p: round(s / middle[e], 1) for p, s in middle.items() if p not in engines} for e in engines}
    found = {"seconds": middle, "times_faster": faster, "stopped": sorted(stopped), "failed": failed, "scores": judged}
    kept = RESULTS / "times.json"
    before = json.loads(kept.read_text()) if kept.exists() else []
    kept.write_text(json.dumps([*before, found | {"runs": seconds, "machine": machine()}], indent=1) + "\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", nargs="+", default=["auto"], help="which of our engines (default auto)")
    parser.add_argument(
        "--peers", nargs="+", default=["mst"], choices=PEERS, help="which of SmartNoise's (default mst)"
    )
    parser.add_argument("--rounds", type=int, default=1, help="turns (default 1)")
    options = parser.parse_args()
    if not PYTHON.exists():
        parser.error("there is no .venv-smartnoise; run `make smartnoise`")
    print(json.dumps(times(options.ours, options.peers, options.rounds)))


if __name__ == "__main__":
    main()
