"""Time and memory of the table engines from 20 thousand to 10 million rows, beside DuckDB counting the same marginals.

A table of 15 columns (adult_raw) is repeated and written as Parquet once a size. Every fit and every count runs in a
process of its own, one after the other, and reports its seconds and its highest resident set. DuckDB gets the columns
as codes of at most 32 bins in a table in memory, and counts what the engine counts: every column; for all but
`independent` also every column with the target; for `mst` also every pair, for `tree` and `aim` every pair with the
target. ``ratio`` and ``peak_mb`` are the highest of all engines at the largest size (seconds over DuckDB's). Ends with
one line of JSON, also in ``benchmarks/results/scale.json`` (networks: ``scale_networks.json``).

    .venv/bin/python benchmarks/scale.py --quick     # up to 1 million rows: about two minutes
    .venv/bin/python benchmarks/scale.py             # up to 10 million rows: about a quarter of an hour, 2 GB of disk
    .venv/bin/python benchmarks/scale.py --networks  # `vae` and `gan` alone, up to 1 million rows: a few minutes
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from engines import peak_mb
from tables import RESULTS, machine, prepare, sizes_of

from synthgate.domain import MAX_BINS, NUMERIC, UNIT_COLUMN, Column

SIZES = (20_000, 200_000, 1_000_000, 10_000_000)
ENGINES, NETWORKS = ("independent", "star", "tree", "mst", "aim"), ("vae", "gan")
CHUNK = 500_000


def write(path: Path, rows: int) -> None:
    """The training rows of adult_raw over and over, every row a unit of its own."""
    source = pq.read_table(prepare("adult_raw").rows).drop_columns([UNIT_COLUMN])
    chunk = pa.concat_tables([source] * (CHUNK // source.num_rows + 1)).combine_chunks()
    schema = source.schema.append(pa.field(UNIT_COLUMN, pa.int64()))
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, CHUNK):
            part = chunk.slice(0, min(CHUNK, rows - start))
            units = pa.array(range(start, start + part.num_rows), pa.int64())
            writer.write_table(part.append_column(schema.field(-1), units))


def fit(engine: str, path: Path) -> dict[str, float]:
    """One fit in this process."""
    from dp_models.encoding.stored import ParquetRows
    from dp_models.mechanisms.noise import SystemNoise
    from dp_models.registry import synthesizer
    from synthgate.budget import PrivacyBudget

    rows, domain = ParquetRows(path), prepare("adult_raw").domain
    plan = synthesizer(engine).plan(domain, sizes_of(rows.num_rows), PrivacyBudget.spend(1.0, 1e-9))
    start = time.perf_counter()
    synthesizer(engine).fit(rows, domain, plan, noise=SystemNoise())
    return {"seconds": time.perf_counter() - start, "peak_mb": peak_mb()}


def code(column: Column) -> str:
    """A column as codes, in SQL."""
    if column.kind in NUMERIC:
        low, width = column.number(column.low), (column.number(column.high) - column.number(column.low)) / MAX_BINS
        return f'least({MAX_BINS - 1}, floor(("{column.name}" - {low}) / {width}))::UTINYINT'
    names = ", ".join("'" + c.replace("'", "''") + "'" for c in column.categories)
    return f'"{column.name}"::ENUM({names})'


def duck(engine: str, path: Path) -> dict[str, float]:
    """DuckDB on the marginals of one engine, in this process."""
    import duckdb

    domain = prepare("adult_raw").domain
    names = [c.name for c in domain.modelled]
    others = [n for n in names if n != domain.target]
    wanted: list[tuple[str, ...]] = [(n,) for n in names]
    if engine != "independent":
        wanted += [(n, str(domain.target)) for n in others]
    if engine in ("tree", "aim"):
        wanted += [(*pair, str(domain.target)) for pair in combinations(others, 2)]
    if engine == "mst":
        wanted += combinations(others, 2)
    start = time.perf_counter()
    base = duckdb.connect()
    columns = ", ".join(f'{code(c)} AS "{c.name}"' for c in domain.modelled)
    base.execute(f"CREATE TABLE codes AS SELECT {columns} FROM read_parquet('{path}')")
    for group in wanted:
        keys = ", ".join(f'"{n}"' for n in group)
        base.execute(f"SELECT {keys}, count(*) FROM codes GROUP BY {keys}").fetchall()
    return {"seconds": time.perf_counter() - start, "peak_mb": peak_mb()}


def child(*arguments: str) -> dict[str, float]:
    """What a process of its own measured."""
    ran = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return {k: round(v, 3) for k, v in json.loads(ran.stdout.splitlines()[-1]).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to a million rows")
    parser.add_argument("--networks", action="store_true", help="vae and gan up to a million rows, without DuckDB")
    parser.add_argument("--fit", nargs=2, metavar=("ENGINE", "PATH"), help=argparse.SUPPRESS)
    parser.add_argument("--duck", nargs=2, metavar=("ENGINE", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    for job, arguments in ((fit, options.fit), (duck, options.duck)):
        if arguments:
            print(json.dumps(job(arguments[0], Path(arguments[1]))))
            return
    found: dict[str, Any] = {}
    sizes = SIZES[:-1] if options.quick or options.networks else SIZES
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            path = Path(folder) / "rows.parquet"
            write(path, rows)
            found[str(rows)] = here = {}
            for engine in NETWORKS if options.networks else ENGINES:
                here[engine] = ours = child("--fit", engine, str(path))
                if engine in ENGINES:
                    theirs = child("--duck", engine, str(path))
                    ratio = round(ours["seconds"] / theirs["seconds"], 3)
                    here[engine] = ours | {f"duckdb_{k}": v for k, v in theirs.items()} | {"ratio": ratio}
                print(f"{rows:>10,} rows {engine:12s} {json.dumps(here[engine])}", flush=True)
    on = machine(("numpy", "opendp", "pyarrow", "duckdb", "torch"))
    if options.networks:
        found["machine"] = on
        (RESULTS / "scale_networks.json").write_text(json.dumps(found, indent=2) + "\n")
        print(json.dumps(found))
        return
    last = found[str(sizes[-1])].values()
    highest = {key: max(engine[key] for engine in last) for key in ("ratio", "peak_mb")}
    summary = {"rows": sizes[-1], **highest, "sizes": found, "machine": on}
    (RESULTS / "scale.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
