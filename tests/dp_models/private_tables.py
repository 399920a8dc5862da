"""Declared domains and stored private rows for the engines' tests."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from dp_models.encoding.table import private_schema
from synthgate.dataset import PublicSizes
from synthgate.domain import OTHER, Column, Domain, Kind, Role

DOMAIN = Domain(
    columns=(
        Column(name="id", kind=Kind.CATEGORICAL, role=Role.IDENTIFIER),
        Column(name="colour", kind=Kind.CATEGORICAL, categories=("blue", "green", "red")),
        Column(name="size", kind=Kind.INTEGER, low=-5, high=200, nullable=True),
        Column(name="weight", kind=Kind.FLOAT, low=0.0, high=80.5, bins=(10.0, 20.0, 40.0)),
        Column(name="smokes", kind=Kind.BOOLEAN, nullable=True, secret=True),
        Column(name="seen", kind=Kind.DATETIME, low=datetime(2001, 2, 3), high=datetime(2020, 1, 1)),
        Column(name="ill", kind=Kind.BOOLEAN),
    ),
    target="ill",
)


def people(n: int, *, seed: int = 0, rows_per_unit: int = 1) -> pa.Table:
    """``n`` stored rows of related columns, with nulls, undeclared cells and values beyond the bounds."""
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.3
    colour = np.where(rng.random(n) < 0.8, np.where(ill, "red", "blue"), "green").astype(object)
    colour[rng.random(n) < 0.02] = OTHER
    size = rng.normal(np.where(ill, 60, 20), 15).astype(np.int64)
    seen = [datetime(2001, 2, 3) + timedelta(days=int(d), microseconds=17) for d in rng.integers(0, 6900, n)]
    return pa.Table.from_arrays(
        [
            pa.array(colour, pa.string()),
            pa.array(size, mask=rng.random(n) < 0.1),
            pa.array(rng.gamma(3.0, 8.0, n)),
            pa.array(rng.random(n) < np.where(ill, 0.7, 0.2), mask=rng.random(n) < 0.05),
            pa.array(seen, pa.timestamp("us"), mask=rng.random(n) < 0.05),
            pa.array(ill),
            pa.array(np.arange(n) // rows_per_unit),
        ],
        schema=private_schema(DOMAIN),
    )


def all_null(n: int) -> pa.Table:
    """``n`` stored rows without a single cell."""
    schema = private_schema(DOMAIN)
    cells = [pa.nulls(n, field.type) for field in list(schema)[:-1]]
    return pa.Table.from_arrays([*cells, pa.array(np.arange(n))], schema=schema)


def constant(n: int) -> pa.Table:
    """``n`` times one person."""
    one = people(50, seed=3).slice(7, 1)
    table = pa.concat_tables([one] * n).combine_chunks()
    return table.set_column(table.num_columns - 1, table.schema.field(-1), pa.array(np.arange(n)))


def sizes_of(rows: int, *, units: int | None = None, max_rows: int = 1) -> PublicSizes:
    """Public sizes whose training part is ``rows`` rows."""
    return PublicSizes(rows=max(1, round(rows / 0.8)), units=max(1, round((units or rows) / 0.8)), max_rows=max_rows)
