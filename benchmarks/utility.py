"""Seconds of every metric of utility and fairness, on 20,000 training rows of 15 columns.

People are made up here, with ties between the columns: six categorical columns (2 to 40 categories), two truth values,
four whole numbers and three real ones, half of them skewed; two columns are protected, a truth value is the target. The
sample is 25,000 other people, the holdout 5,000. Runs in one process on the cores that it is given.
Ends with one line of JSON: ``seconds`` in all, ``by_metric``, ``peak_mb``, and the ``scores``.

    .venv/bin/python benchmarks/utility.py              # about 20 seconds
    .venv/bin/python benchmarks/utility.py --rows 5000
"""

import argparse
import json
import os
import time

import numpy as np
import pandas as pd
from engines import peak_mb

from evaluation.base import Comparison
from evaluation.registry import default
from evaluation.run import keyed
from synthgate.domain import Column, Domain, Kind

SEED = bytes(range(32))
SIZES = (2, 5, 7, 9, 16, 40)


def declared() -> Domain:
    words = tuple(
        Column(
            name=f"word{n}", kind=Kind.CATEGORICAL, categories=tuple(f"v{i}" for i in range(n)), protected=n in (2, 5)
        )
        for n in SIZES
    )
    truths = tuple(Column(name=name, kind=Kind.BOOLEAN) for name in ("ill", "rich"))
    whole = tuple(Column(name=f"whole{i}", kind=Kind.INTEGER, low=0, high=10**i) for i in range(1, 5))
    real = tuple(Column(name=f"real{i}", kind=Kind.FLOAT, low=0.0, high=10.0**i) for i in range(1, 4))
    return Domain(columns=(*words, *truths, *whole, *real), target="rich")


def people(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    hidden = draw.normal(size=(size, 3))
    mixed = hidden @ np.random.default_rng(0).normal(size=(3, 15)) + draw.normal(size=(size, 15))
    even = np.argsort(np.argsort(mixed, axis=0), axis=0) / size
    out = {}
    for i, column in enumerate(declared().columns):
        if column.kind is Kind.CATEGORICAL:
            names = np.array(column.categories, dtype=object)
            out[column.name] = names[(even[:, i] ** 2 * len(names)).astype(int)]
        elif column.kind is Kind.BOOLEAN:
            out[column.name] = np.where(mixed[:, i] > 1, "true", "false").astype(object)
        else:
            cells = even[:, i] ** (4 if i % 2 else 1) * column.number(column.high)
            out[column.name] = np.floor(cells) if column.kind is Kind.INTEGER else cells
    return pd.DataFrame(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="training rows")
    rows = parser.parse_args().rows
    comparison = Comparison(
        domain=declared(), train=people(rows, 1), holdout=people(rows // 4, 2), sample=people(rows + rows // 4, 3)
    )
    seconds: dict[str, float] = {}
    scores: dict[str, float] = {}
    for metric in default():
        if metric.name.startswith("risk."):
            continue
        start = time.perf_counter()
        found = metric.measure(comparison, generator=keyed(SEED, metric.name))
        seconds[metric.name] = round(time.perf_counter() - start, 3)
        scores |= {score.name: round(score.value, 4) for score in found.scores}
        print(f"{metric.name:22s} {seconds[metric.name]:7.2f} s", flush=True)
    summary = {"rows": rows, "columns": len(comparison.domain.columns), "cores": os.cpu_count()}
    total = round(sum(seconds.values()), 2)
    print(json.dumps(summary | {"seconds": total, "by_metric": seconds, "peak_mb": peak_mb(), "scores": scores}))


if __name__ == "__main__":
    main()
