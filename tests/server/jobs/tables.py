"""Small uploads and the specs that ingest them."""

import hashlib
from datetime import datetime

import pyarrow.parquet as pq

from server.jobs.ingest import HOLDOUT, TRAIN, ingest
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind

KEY = bytes(range(32))
TENANT_KEY = bytes(range(100, 132))
OTHER_KEY = bytes(range(1, 33))

COLOUR = Column(name="colour", kind=Kind.CATEGORICAL, categories=("red", "blue"))
AGE = Column(name="age", kind=Kind.INTEGER, low=0, high=120)
DOMAIN = Domain(columns=(COLOUR, AGE))
EVERY_KIND = Domain(
    columns=(
        COLOUR,
        AGE,
        Column(name="weight", kind=Kind.FLOAT, low=0.5, high=250, nullable=True),
        Column(name="smoker", kind=Kind.BOOLEAN, nullable=True),
        Column(name="born", kind=Kind.DATETIME, low=datetime(1900, 1, 1), high=datetime(2025, 1, 1), nullable=True),
    )
)


def spec(folder, content, *, domain=DOMAIN, column=None, max_rows=1, known=()):
    """The spec of an upload of these bytes (or this text)."""
    content = content.encode() if isinstance(content, str) else content
    path = folder / "upload.csv"
    path.write_bytes(content)
    return {
        "domain": domain.to_dict(),
        "unit": {"column": column, "max_rows": max_rows},
        "file": str(path),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "known": list(known),
    }


def store(folder, content, *, key=KEY, tenant=TENANT_KEY, **kwargs):
    """Ingest in this process: the result, the training table and the holdout table."""
    folder.mkdir(exist_ok=True)
    result = ingest(spec(folder, content, **kwargs), folder=folder, secret=key + tenant, progress=lambda stage: None)
    return result, pq.read_table(folder / TRAIN), pq.read_table(folder / HOLDOUT)


def cells(folder, content, **kwargs):
    """All stored rows of both sides, without units, in some order."""
    _, train, holdout = store(folder, content, **kwargs)
    rows = [*train.to_pylist(), *holdout.to_pylist()]
    return [tuple(value for name, value in row.items() if name != UNIT_COLUMN) for row in rows]
