"""Canonical files as plain frames: two dtypes, whatever Arrow, pandas or the content bring."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stored_tables import MIXED, write

from evaluation.tables import MISSING, normalise, read, scaled
from synthgate.domain import OTHER
from synthgate.errors import InvalidTable

CELLS = {
    "colour": ["red", OTHER, None],
    "age": [5, None, 99],
    "income": [float("nan"), -10.0, float("inf")],
    "member": [True, None, False],
    "since": [datetime(1970, 1, 2), None, datetime(2000, 1, 1, 0, 0, 0, 500_000)],
    "^odd.*$": [None, None, None],
}


def test_a_stored_table_becomes_floats_and_strings(tmp_path: Path) -> None:
    frame, units = read(write(tmp_path / "t.parquet", MIXED, CELLS, units=[7, 5, 7]), MIXED)
    assert units.tolist() == [0, 1, 0]
    assert list(frame.columns) == [c.name for c in MIXED.modelled]
    assert {str(d) for d in frame.dtypes} == {"object", "float64"}
    assert frame["colour"].tolist() == ["red", MISSING, MISSING]
    assert frame["member"].tolist() == ["true", MISSING, "false"]
    assert frame["^odd.*$"].tolist() == [MISSING] * 3
    np.testing.assert_array_equal(frame["age"], [5.0, np.nan, 99.0])
    np.testing.assert_array_equal(frame["income"], [np.nan, -10.0, np.nan])
    np.testing.assert_array_equal(frame["since"], [86_400.0, np.nan, 946_684_800.5])


def test_nullable_pandas_dtypes_are_read_alike() -> None:
    columns = {
        "colour": pd.Series(["red", pd.NA], dtype="string"),
        "age": pd.Series([1, pd.NA], dtype="Int64"),
        "income": pd.Series([1.5, pd.NA], dtype="Float64"),
        "member": pd.Series([True, pd.NA], dtype="boolean"),
        "since": pd.Series([datetime(2001, 1, 1), pd.NaT]),
        "^odd.*$": pd.Series(["x", "y"], dtype="category"),
    }
    frame = normalise(columns, MIXED)
    assert {str(d) for d in frame.dtypes} == {"object", "float64"}
    assert frame.iloc[1].tolist()[:1] == [MISSING]
    assert np.isnan(frame["age"].iloc[1])
    assert frame["^odd.*$"].tolist() == ["x", "y"]


def test_every_row_of_a_unit_stays_and_without_units_every_row_is_one(tmp_path: Path) -> None:
    doubled = {name: [v for v in cells for _ in range(2)] for name, cells in CELLS.items()}
    doubled["age"] = [5, 6, None, 7, 99, 8]
    frame, units = read(write(tmp_path / "t.parquet", MIXED, doubled, units=[0, 0, 1, 1, 2, 2]), MIXED)
    np.testing.assert_array_equal(frame["age"], [5.0, 6.0, np.nan, 7.0, 99.0, 8.0])
    assert units.tolist() == [0, 0, 1, 1, 2, 2]
    assert read(write(tmp_path / "s.parquet", MIXED, doubled), MIXED)[1].tolist() == [0, 1, 2, 3, 4, 5]


def test_dictionary_encoded_and_large_strings_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", MIXED, CELLS)
    table = pq.read_table(path)
    odd = table.set_column(0, "colour", table.column(0).dictionary_encode())
    odd = odd.set_column(5, "^odd.*$", odd.column(5).cast(pa.large_string()))
    pq.write_table(odd, path)
    assert read(path, MIXED)[0]["colour"].tolist() == ["red", MISSING, MISSING]


def test_a_missing_column_is_a_fault_of_structure(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"colour": ["red"]}), path)
    with pytest.raises(InvalidTable, match="age"):
        read(path, MIXED)


def test_scaling_uses_declared_bounds_and_clamps() -> None:
    income = MIXED["income"]
    np.testing.assert_allclose(scaled(np.array([-10.0, 40.0, 500.0, np.nan]), income), [0.0, 0.5, 1.0, np.nan])
