"""Fits for SmartNoise's interpreter: ``python -m tests.dp_models.smartnoise.inside FOLDER``.

Every entry of the spec is a plan and how many rows to fit it on; the result says what came of it.
"""

import gc
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from dp_models.base import Plan
from dp_models.mechanisms.noise import SystemNoise
from dp_models.registry import synthesizer
from dp_models.stored.registry import dump, read
from server.jobs.canonical import conform
from synthgate.domain import Domain
from tests.dp_models.private_tables import people


def fitted(spec: dict[str, Any]) -> dict[str, Any]:
    domain, plan, rows = Domain.from_dict(spec["domain"]), Plan.from_json(spec["plan"]), spec["rows"]
    table = people(rows, rows_per_unit=plan.sizes.max_rows)
    table = table.select([*(c.name for c in domain.modelled), table.column_names[-1]])
    noise = SystemNoise()
    model = synthesizer(plan.engine).fit(table, domain, plan, noise=noise)
    del table
    drawn = [model.sample(200, generator=np.random.default_rng(1)) for _ in range(2)]
    stored = dump(model)
    return {
        "reads_back": stored and read(stored, domain).sample(200, generator=np.random.default_rng(1)).equals(drawn[0]),
        "kept_to_the_plan": noise.event == plan.event,
        "rows": conform(drawn[0], domain, rows=200).num_rows,
        "none": model.sample(0, generator=np.random.default_rng(1)).num_rows,
        "repeats": drawn[0].equals(drawn[1]),
        "noise": [sorted(noise.properties), list(noise.weaknesses)],
        "holds_rows": any(isinstance(t, np.ndarray) and rows in t.shape for t in _reachable(model)),
    }


def _reachable(root: Any) -> list[Any]:
    seen, queue, found = {id(root)}, [root], []
    while queue:
        found.append(queue.pop())
        for other in gc.get_referents(found[-1]):
            if id(other) not in seen and not isinstance(other, type) and type(other).__name__ != "module":
                seen.add(id(other))
                queue.append(other)
    return found


def draws() -> dict[str, list[int]]:
    """What the noise gives: counts around 7 at sigma 2, and choices between scores 0, 3, 6 and -3."""
    noise, scores = SystemNoise(), np.array([0.0, 3.0, 6.0, -3.0])
    return {
        "counts": noise.discrete_gaussian(np.full(20_000, 7), sigma=2.0, sensitivity=1).tolist(),
        "choices": [noise.exponential(scores, epsilon=1.0, sensitivity=1.5) for _ in range(4_000)],
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    spec = json.loads((folder / "spec.json").read_text())
    result = {"fits": [fitted(fit) for fit in spec["fits"]]} | (draws() if spec["draws"] else {})
    (folder / "result.json").write_text(json.dumps(result))
