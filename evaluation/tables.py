"""Canonical Parquet files as frames that every metric can read alike.

A frame of this package has the domain's modelled columns in declared order, a plain index 0, 1, ..., and two dtypes:
float64 for integer, float and datetime columns (datetimes in seconds since 1970-01-01, NaN where missing), and object
holding nothing but ``str`` for categorical and boolean ones (``MISSING`` where missing, or ``other``). Nullable
extension dtypes, datetimes and mixed objects never reach an attack.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from synthgate.domain import NUMERIC, OTHER, UNIT_COLUMN, Column, Domain, Kind
from synthgate.errors import InvalidTable

MISSING = "\x00missing"
"""The cell of a categorical or boolean column that holds no declared value. No declared category can equal it."""

Floats = npt.NDArray[np.float64]


def read(path: Path, domain: Domain) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """All rows of one file, and the privacy unit of each, numbered 0, 1, ... by first appearance; without a column of
    units, as in a sample, every row is one.

    Raises InvalidTable where a modelled column is absent.
    """
    table = pq.read_table(path, use_threads=False)
    units = np.arange(table.num_rows, dtype=np.int64)
    if UNIT_COLUMN in table.column_names:
        stored = table.column(UNIT_COLUMN).to_numpy(zero_copy_only=False)
        units = pd.factorize(stored)[0].astype(np.int64)
    absent = [c.name for c in domain.modelled if c.name not in table.column_names]
    if absent:
        raise InvalidTable(f"the table lacks the declared column {absent[0]}")
    return normalise({c.name: table.column(c.name) for c in domain.modelled}, domain), units


def normalise(columns: dict[str, Any], domain: Domain) -> pd.DataFrame:
    """Arrow columns (or anything that ``pyarrow.array`` reads) as a frame of this package."""
    cells = {c.name: _cells(columns[c.name], c) for c in domain.modelled}
    return pd.DataFrame(cells, columns=[c.name for c in domain.modelled])


def _cells(values: Any, column: Column) -> npt.NDArray[Any]:
    array = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values, from_pandas=True)
    if column.kind in NUMERIC:
        return _numbers(array)
    if column.kind is Kind.BOOLEAN:
        array = pc.if_else(pc.cast(array, pa.bool_()), "true", "false")
    text = pc.fill_null(pc.cast(array, pa.string()), MISSING)
    plain = np.array(text.to_pylist(), dtype=object)
    plain[plain == OTHER] = MISSING
    return plain


def _numbers(array: Any) -> Floats:
    """Datetimes become seconds as in ``Column.number``; infinities count as missing."""
    if pa.types.is_timestamp(array.type):
        micros = pc.cast(pc.cast(array, pa.timestamp("us")), pa.int64())
        array = pc.divide(pc.cast(micros, pa.float64(), safe=False), 1e6)
    numbers = pc.fill_null(pc.cast(array, pa.float64(), safe=False), float("nan"))
    plain = np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
    plain[~np.isfinite(plain)] = np.nan
    return plain


def clamped(values: Floats, column: Column) -> Floats:
    """Numbers of a column, those beyond the declared bounds moved there; NaN stays."""
    return np.clip(values, column.number(column.low), column.number(column.high))


def scaled(values: Floats, column: Column) -> Floats:
    """Numbers of a column as shares of its declared range, in [0, 1]; NaN stays."""
    low, high = column.number(column.low), column.number(column.high)
    return np.clip((values - low) / (high - low), 0.0, 1.0)


def codes(frame: pd.DataFrame, column: Column) -> tuple[npt.NDArray[np.int64], int]:
    """The declared bin or category of every cell, and how many codes there are; the last code is missing or other."""
    cells = frame[column.name].to_numpy()
    if column.kind in NUMERIC:
        edges = np.array(column.edges)
        size = len(edges) - 1
        found = np.clip(np.searchsorted(edges, cells, side="right") - 1, 0, size - 1)
        return np.where(np.isnan(cells), size, found).astype(np.int64), size + 1
    names = column.categories if column.kind is Kind.CATEGORICAL else ("false", "true")
    places = {name: i for i, name in enumerate(names)}
    return np.array([places.get(cell, len(names)) for cell in cells], dtype=np.int64), len(names) + 1
