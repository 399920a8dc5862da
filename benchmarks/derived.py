"""Derived samples of adult_raw at epsilon 1: how large a stored model is, how long its samples take, and whether a
conditioned sample is what one would filter from a large one.

For each engine: the bytes of the stored model, the seconds of 10 times the rows, of two conditions (sex=Female,
age=30..39) and of equal shares of the target, each with as many rows as the training table; and ``gap``, the largest
total variation of any column (in bins) between the conditioned sample and the rows of the large one that satisfy the
conditions. Two independent samples of n rows of one distribution over k bins differ by about sqrt(k / (pi n)): 0.02 for
k = 32 and n = 27,000. Ends with one line of JSON, also in ``benchmarks/results/derived.json``.

    .venv/bin/python benchmarks/derived.py           # about a minute
"""

import json
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tables import RESULTS, prepare

from dp_models.encoding.codes import Codec
from dp_models.encoding.stored import ParquetRows
from dp_models.mechanisms.noise import SystemNoise
from dp_models.registry import synthesizer
from dp_models.stored.registry import StoredModel, dump, read
from dp_models.stored.sampling import derive
from synthgate.budget import PrivacyBudget
from synthgate.derivation import MAX_TIMES, Condition, Derivation, Rebalance
from synthgate.domain import Domain

ENGINES = ("independent", "star", "tree", "mst", "aim", "vae", "gan")
CONDITIONS = (Condition(column="sex", value="Female"), Condition(column="age", value="30..39"))


def timed(model: StoredModel, domain: Domain, asked: Derivation, rows: int) -> tuple[pa.Table, float]:
    start = time.perf_counter()
    table, _ = derive(model, domain, asked, rows=rows, generator=np.random.default_rng(0))
    return table, round(time.perf_counter() - start, 3)


def gap(first: pa.Table, second: pa.Table, domain: Domain) -> float:
    """The largest total variation of a column between two tables."""
    found = []
    for column in Codec(domain).columns:
        codes = [column.encode(t.column(column.column.name)) for t in (first, second)]
        shares = [np.bincount(c, minlength=column.size) / len(c) for c in codes]
        found.append(float(np.abs(shares[0] - shares[1]).sum() / 2))
    return round(max(found), 4)


def measured(engine: str) -> dict[str, Any]:
    prepared = prepare("adult_raw")
    domain, rows = prepared.domain, ParquetRows(prepared.rows)
    budget = PrivacyBudget.spend(1.0, 1 / (10 * rows.num_rows))
    plan = synthesizer(engine).plan(domain, prepared.sizes, budget)
    data = dump(synthesizer(engine).fit(rows, domain, plan, noise=SystemNoise()))
    assert data is not None
    model, n = read(data, domain), rows.num_rows
    large, large_s = timed(model, domain, Derivation(source="r"), MAX_TIMES * n)
    conditioned, conditioned_s = timed(model, domain, Derivation(source="r", conditions=CONDITIONS), n)
    balance = Rebalance(column=domain.target or "")
    _, balanced_s = timed(model, domain, Derivation(source="r", rebalance=balance), n)
    age = large["age"]
    wanted = pc.and_(pc.equal(large["sex"], "Female"), pc.and_(pc.greater_equal(age, 30), pc.less_equal(age, 39)))
    filtered = large.filter(wanted)
    return {
        "model_bytes": len(data), "rows": n, "large_s": large_s, "conditioned_s": conditioned_s,
        "rebalanced_s": balanced_s, "filtered_rows": filtered.num_rows, "gap": gap(conditioned, filtered, domain),
    }  # fmt: skip


def main() -> None:
    found = {}
    for engine in ENGINES:
        found[engine] = measured(engine)
        print(f"{engine:12s} {json.dumps(found[engine])}", flush=True)
    (RESULTS / "derived.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
