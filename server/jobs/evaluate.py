"""Evaluate: attack and measure one canonical sample beside the private rows.

Spec: ``domain`` (Domain.to_dict()) and the paths ``train``, ``holdout``, ``sample``. The secret keys all randomness.
Writes ``report.json`` (Report.to_dict()). Result: ``sha256`` and ``bytes`` of the report, ``sample_sha256`` of the very
bytes that were judged, ``seconds``.
"""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluation.run import evaluate as compare
from server.jobs import worker
from server.jobs.keys import Label, subkey
from server.jobs.worker import Progress
from synthgate.domain import Domain

REPORT = "report.json"


def evaluate(spec: Mapping[str, Any], *, folder: Path, secret: bytes, progress: Progress) -> dict[str, Any]:
    """Write the report; deciding on it is the gate's work."""
    start = time.perf_counter()
    report = compare(
        Domain.from_dict(spec["domain"]),
        *(Path(spec[name]) for name in ("train", "holdout", "sample")),
        seed=subkey(secret, Label.EVALUATION),
        progress=progress,
    )
    worker.write_json(folder / REPORT, report.to_dict())
    content = (folder / REPORT).read_bytes()
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "sample_sha256": hashlib.sha256(Path(spec["sample"]).read_bytes()).hexdigest(),
        "seconds": time.perf_counter() - start,
    }


if __name__ == "__main__":
    worker.main(evaluate)
