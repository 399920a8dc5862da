"""Samples of SmartNoise's engines, for SmartNoise's interpreter: ``python -m tests.evaluation.smartnoise_fits FOLDER``.

Every entry of the spec is a plan, a file of stored private rows, a seed and how many rows to draw; the result says
where the sample lies.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from dp_models.base import Plan
from dp_models.registry import synthesizer
from synthgate.domain import Domain
from tests.evaluation.seeded import SeededNoise


def fitted(spec: dict[str, Any]) -> str:
    domain, plan, path = Domain.from_dict(spec["domain"]), Plan.from_json(spec["plan"]), Path(spec["rows"])
    model = synthesizer(plan.engine).fit(pq.read_table(path), domain, plan, noise=SeededNoise(spec["seed"]))
    sample = path.with_suffix(f".{plan.engine}.parquet")
    pq.write_table(model.sample(spec["size"], generator=np.random.default_rng(spec["seed"])), sample)
    return str(sample)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    fits = json.loads((folder / "spec.json").read_text())["fits"]
    (folder / "result.json").write_text(json.dumps({"samples": [fitted(fit) for fit in fits]}))
