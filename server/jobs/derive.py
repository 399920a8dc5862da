"""Derive: a sample of a stored model under conditions and with shares. Opens no private row.

Spec: ``domain`` (Domain.to_dict()), ``model`` (path of the stored model), ``derivation`` (Derivation.to_dict()),
``rows`` (of all replicates together). The secret keys the draw, each replicate's apart. Writes ``sample.parquet``.
Result: ``sha256``, ``bytes``, ``rows``, ``sampling`` (how the rows were drawn, in words).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dp_models.stored import registry
from dp_models.stored.replicates import SAMPLING, replicates, together
from dp_models.stored.sampling import derive as sample
from server.jobs import canonical, worker
from server.jobs.fit import SAMPLE, sampling_generator
from server.jobs.keys import Label, subkey
from server.jobs.worker import Progress
from synthgate.derivation import Derivation
from synthgate.domain import Domain


def derive(spec: Mapping[str, Any], *, folder: Path, secret: bytes, progress: Progress) -> dict[str, Any]:
    """Sample what was asked. Raises DataCorrupted for a file that is no model of the domain, and FailedPrecondition for
    what the model cannot give, in words that follow from the model and the request."""
    domain, derivation = Domain.from_dict(spec["domain"]), Derivation.from_dict(spec["derivation"])
    progress("sampling")
    model = registry.read(Path(spec["model"]).read_bytes(), domain)
    if derivation.replicates:
        seed, how = subkey(secret, Label.REPLICATES), SAMPLING
        made = replicates(model, count=derivation.replicates, rows=derivation.rows, seed=seed)
        table = together((canonical.conform(t, domain, rows=derivation.rows) for t in made), domain)
    else:
        drawn, how = sample(model, domain, derivation, rows=spec["rows"], generator=sampling_generator(secret))
        table = canonical.conform(drawn, domain, rows=spec["rows"])
    sha256, size = canonical.write(table, folder / SAMPLE)
    return {"sha256": sha256, "bytes": size, "rows": spec["rows"], "sampling": how}


if __name__ == "__main__":
    worker.main(derive)
