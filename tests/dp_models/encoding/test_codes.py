"""Laws of encoding: declared values survive, everything else has a place, and nothing is learnt from rows."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp_models.encoding.codes import Codec, ColumnCodes
from dp_models.encoding.table import arrow_schema, arrow_type, private_schema
from synthgate.domain import OTHER, UNIT_COLUMN, Column, Domain, Kind
from tests.dp_models.private_tables import DOMAIN, people

_MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))


def _bounded(kind: Kind, numbers: Any) -> st.SearchStrategy[Column]:
    """Columns of ordered values: two bounds, with or without cut points between them."""
    points = st.lists(numbers, min_size=2, max_size=12, unique=True).map(sorted)
    return st.builds(
        lambda p, nullable: Column(name="x", kind=kind, low=p[0], high=p[-1], bins=tuple(p[1:-1]), nullable=nullable),
        points,
        st.booleans(),
    )


COLUMNS = st.one_of(
    st.builds(
        lambda names, nullable: Column(
            name="x", kind=Kind.CATEGORICAL, categories=tuple(f"c{n}" for n in range(names)), nullable=nullable
        ),
        st.integers(1, 20),
        st.booleans(),
    ),
    st.builds(lambda nullable: Column(name="x", kind=Kind.BOOLEAN, nullable=nullable), st.booleans()),
    _bounded(Kind.INTEGER, st.integers(-(2**40), 2**40)),
    _bounded(Kind.INTEGER, st.integers(-20, 20)),
    _bounded(Kind.FLOAT, st.floats(-1e9, 1e9, allow_nan=False, width=32)),
    _bounded(Kind.DATETIME, _MOMENTS),
)


@given(COLUMNS, st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_a_code_survives_its_own_cells(column: Column, seed: int) -> None:
    codes = ColumnCodes(column)
    kept = codes.values + column.nullable
    drawn = np.random.default_rng(seed).integers(0, kept, size=60)
    cells = codes.decode(drawn, generator=np.random.default_rng(seed))
    assert cells.type == arrow_type(column)
    assert (codes.encode(cells) == drawn).all()


@given(COLUMNS)
@settings(max_examples=60, deadline=None)
def test_codes_are_values_then_null_then_other(column: Column) -> None:
    codes = ColumnCodes(column)
    assert codes.other == codes.size - 1 == codes.values + column.nullable
    assert codes.null == (codes.values if column.nullable else None)
    missing = codes.encode(pa.nulls(3, arrow_type(column)))
    assert (missing == (codes.other if codes.null is None else codes.null)).all()


@given(COLUMNS, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_settled_weights_hold_released_codes_alone(column: Column, seed: int) -> None:
    codes = ColumnCodes(column)
    weights = np.random.default_rng(seed).exponential(size=(4, codes.size)) * np.array([[1.0], [1.0], [0.0], [1.0]])
    weights[3, : codes.values] = 0
    settled = codes.settle(weights)
    assert settled.sum(axis=1) == pytest.approx(1)
    assert (settled[:, codes.other] == 0).all()
    if not column.nullable:
        assert settled[0, : codes.values] == pytest.approx(
            weights[0, : codes.values] / weights[0, : codes.values].sum()
        )
        assert settled[3, : codes.values] == pytest.approx(1 / codes.values)


_DAY = datetime(2020, 1, 1)
TABLE = [
    (Column(name="x", kind=Kind.CATEGORICAL, categories=("a", "b")), ["b", "a", OTHER, None, "z"], [1, 0, 2, 2, 2]),
    (Column(name="x", kind=Kind.CATEGORICAL, categories=("a",), nullable=True), ["a", OTHER, None], [0, 2, 1]),
    (Column(name="x", kind=Kind.BOOLEAN), [False, True, None], [0, 1, 2]),
    (Column(name="x", kind=Kind.INTEGER, low=0, high=3), [-9, 0, 1, 2, 3, 99, None], [0, 0, 1, 2, 3, 3, 4]),
    (Column(name="x", kind=Kind.INTEGER, low=0, high=100, bins=(1, 10)), [0, 1, 9, 10, 2**60], [0, 1, 1, 2, 2]),
    (
        Column(name="x", kind=Kind.FLOAT, low=0, high=4, bins=(1, 2), nullable=True),
        [0.99, 1.0, 4.0, float("nan"), None, float("inf"), float("-inf")],
        [0, 1, 2, 3, 3, 2, 0],
    ),
    (
        Column(name="x", kind=Kind.DATETIME, low=_DAY, high=_DAY + timedelta(32), bins=(_DAY + timedelta(2),)),
        [_DAY - timedelta(9), _DAY + timedelta(2) - timedelta(microseconds=1), _DAY + timedelta(2), None],
        [0, 0, 1, 2],
    ),
]


@pytest.mark.parametrize(("column", "cells", "wanted"), TABLE)
def test_where_cells_go(column: Column, cells: list[Any], wanted: list[int]) -> None:
    array = pa.array(cells, arrow_type(column), from_pandas=False)
    assert ColumnCodes(column).encode(array).tolist() == wanted
    assert ColumnCodes(column).encode(pa.chunked_array([array, array])).tolist() == wanted * 2


def test_other_without_a_model_is_any_declared_value() -> None:
    codes = ColumnCodes(Column(name="x", kind=Kind.CATEGORICAL, categories=("a", "b")))
    cells = codes.decode(np.full(200, codes.other), generator=np.random.default_rng(0))
    assert set(cells.to_pylist()) == {"a", "b"}


def test_equal_width_bins_are_drawn_evenly() -> None:
    codes = ColumnCodes(Column(name="x", kind=Kind.INTEGER, low=0, high=99, bins=(50,)))
    cells = codes.decode(np.repeat([0, 1], 5_000), generator=np.random.default_rng(0)).to_numpy()
    assert np.bincount(cells, minlength=100).min() > 50


def test_a_table_goes_there_and_back() -> None:
    codec = Codec(DOMAIN)
    codes = codec.encode(people(300))
    assert codes.shape == (6, 300)
    assert all(row.max() < size for row, size in zip(codes, codec.sizes, strict=True))
    table = codec.decode(codes, generator=np.random.default_rng(0))
    assert table.schema.equals(arrow_schema(DOMAIN), check_metadata=True)
    again = codec.encode(table)
    declared = codes < np.array([[c.other] for c in codec.columns])
    assert (again == codes)[declared].all()


def test_schemas_leave_identifiers_out_and_carry_no_metadata() -> None:
    assert arrow_schema(DOMAIN).names == ["colour", "size", "weight", "smokes", "seen", "ill"]
    assert private_schema(DOMAIN).names[-1] == UNIT_COLUMN
    assert arrow_schema(DOMAIN).metadata is None
    assert isinstance(DOMAIN, Domain)
