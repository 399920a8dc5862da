"""Small tables as the gateway stores them: Parquet with an Arrow schema, a unit column on the private two."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind

ARROW = {
    Kind.CATEGORICAL: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATETIME: pa.timestamp("us"),
}

MIXED = Domain(
    columns=(
        Column(
            name="colour", kind=Kind.CATEGORICAL, categories=("red", 'o\'brien "blue"', "green"), nullable=True,
            protected=True,
        ),
        Column(name="age", kind=Kind.INTEGER, low=0, high=99, nullable=True, protected=True),
        Column(name="income", kind=Kind.FLOAT, low=-10.0, high=90.0, nullable=True, secret=True),
        Column(name="member", kind=Kind.BOOLEAN, nullable=True, secret=True),
        Column(name="since", kind=Kind.DATETIME, low=datetime(2000, 1, 1), high=datetime(2020, 1, 1), nullable=True),
        Column(name="^odd.*$", kind=Kind.CATEGORICAL, categories=("x", "y"), nullable=True),
    ),
    target="member",
    other_targets=("income",),
    ordered=(("income", "age"),),
)  # fmt: skip
"""One column of every kind, a category that needs escaping, a name that polars reads as a pattern."""


def write(path: Path, domain: Domain, cells: dict[str, list[Any]], *, units: list[int] | None = None) -> Path:
    names = [c.name for c in domain.modelled]
    arrays = [pa.array(cells[c.name], type=ARROW[c.kind]) for c in domain.modelled]
    if units is not None:
        names, arrays = [*names, UNIT_COLUMN], [*arrays, pa.array(units, type=pa.int64())]
    pq.write_table(pa.table(arrays, names=names), path)
    return path
