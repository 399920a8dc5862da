"""Tables of cells: what each kind makes of a text, and as what it is counted."""

from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.jobs.cells import Counts, convert
from synthgate.domain import OTHER, Column, Kind
from tests.server.jobs.tables import AGE, COLOUR, EVERY_KIND

WIDE = Column(name="n", kind=Kind.INTEGER, low=-(2**53), high=2**53)
REAL = Column(name="x", kind=Kind.FLOAT, low=-1e9, high=1e9)
YES_NO = Column(name="b", kind=Kind.BOOLEAN)
WHEN = Column(name="t", kind=Kind.DATETIME, low=datetime(1900, 1, 1), high=datetime(2100, 1, 1))
MAYBE = Column(name="c", kind=Kind.CATEGORICAL, categories=("red", "1", "日本"), nullable=True)

FINE, NULL, UNDECLARED, CLAMPED, UNPARSABLE = (
    Counts(), Counts(null=1), Counts(other=1), Counts(clamped=1), Counts(unparsable=1),
)  # fmt: skip


@pytest.mark.parametrize(
    ("column", "text", "value", "counts"),
    [
        (COLOUR, "red", "red", FINE),
        (COLOUR, " \tred\u00a0", "red", FINE),
        (COLOUR, "RED", OTHER, UNDECLARED),
        (COLOUR, "", OTHER, NULL),
        (COLOUR, "   ", OTHER, NULL),
        (MAYBE, "", None, NULL),
        (MAYBE, "green", OTHER, UNDECLARED),
        (MAYBE, "日本", "日本", FINE),
        (MAYBE, "1.0", OTHER, UNDECLARED),
        (WIDE, "3", 3, FINE),
        (WIDE, "-3", -3, FINE),
        (WIDE, "+3", 3, FINE),
        (WIDE, "007", 7, FINE),
        (WIDE, "3.0", 3, FINE),
        (WIDE, "3.", 3, FINE),
        (WIDE, "1e3", 1000, FINE),
        (WIDE, "1.5e1", 15, FINE),
        (WIDE, "9007199254740992", 2**53, FINE),
        (WIDE, "9007199254740993", 2**53, FINE),  # as a double
        (WIDE, "9007199254740994", 2**53, CLAMPED),
        (WIDE, "-99999999999999999999999", -(2**53), CLAMPED),
        (WIDE, "1e300", 2**53, CLAMPED),
        (WIDE, "1e400", 2**53, CLAMPED),
        (AGE, "99999999999999999999999", 120, CLAMPED),
        (AGE, "-1e99999", 0, CLAMPED),
        (WIDE, "3.5", None, UNPARSABLE),
        (WIDE, "1_000", None, UNPARSABLE),
        (WIDE, "1,000", None, UNPARSABLE),
        (WIDE, "0x10", None, UNPARSABLE),
        (WIDE, "٣", None, UNPARSABLE),
        (WIDE, "three", None, UNPARSABLE),
        (WIDE, "", None, NULL),
        (AGE, "-1", 0, CLAMPED),
        (AGE, "121", 120, CLAMPED),
        (AGE, "120", 120, FINE),
        (REAL, ".5", 0.5, FINE),
        (REAL, "-2.5E-1", -0.25, FINE),
        (REAL, "0.1", 0.1, FINE),
        (REAL, "1e12", 1e9, CLAMPED),
        (REAL, "1e999999", None, UNPARSABLE),
        (REAL, "1e400", 1e9, CLAMPED),
        (REAL, "-1e400", -1e9, CLAMPED),
        (REAL, "nan", None, UNPARSABLE),
        (REAL, "inf", None, UNPARSABLE),
        (REAL, "-Infinity", None, UNPARSABLE),
        (REAL, "N", None, UNPARSABLE),
        (REAL, "?", None, UNPARSABLE),
        (REAL, ".", None, UNPARSABLE),
        (REAL, "1 2", None, UNPARSABLE),
        (REAL, "", None, NULL),
        *((YES_NO, text, True, FINE) for text in ("true", "TRUE", "T", "yes", "Y", "1", "1.0", " True ")),
        *((YES_NO, text, False, FINE) for text in ("false", "False", "f", "NO", "n", "0", "0.0")),
        (YES_NO, "2", None, UNPARSABLE),
        (YES_NO, "", None, NULL),
        (WHEN, "2024-01-31", datetime(2024, 1, 31), FINE),
        (WHEN, "20240131", datetime(2024, 1, 31), FINE),
        (WHEN, "2024-01-31T10:20", datetime(2024, 1, 31, 10, 20), FINE),
        (WHEN, "2024-01-31 10:20:30.25", datetime(2024, 1, 31, 10, 20, 30, 250_000), FINE),
        (WHEN, "2024-01-31T10:00:00Z", datetime(2024, 1, 31, 10), FINE),
        (WHEN, "2024-01-31T23:30:00-02:00", datetime(2024, 2, 1, 1, 30), FINE),
        (WHEN, "1850-01-01", datetime(1900, 1, 1), CLAMPED),
        (WHEN, "9999-12-31T23:59:59-14:00", datetime(2100, 1, 1), CLAMPED),
        (WHEN, "0001-01-01T00:00:00+14:00", datetime(1900, 1, 1), CLAMPED),
        (WHEN, "2024-02-30", None, UNPARSABLE),
        (WHEN, "31.01.2024", None, UNPARSABLE),
        (WHEN, "1706695200", None, UNPARSABLE),
        (WHEN, "", None, NULL),
    ],
)
def test_cells(column, text, value, counts):
    values, found = convert(column, pa.array([text], pa.string()))
    assert (values.to_pylist(), found) == ([value], counts)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_any_text_is_read_on_its_own(texts):
    """Reading cells together or apart gives the same, so no row's value (and no split) depends on other rows."""
    for column in (*EVERY_KIND.columns, WIDE, MAYBE):
        together, counts = convert(column, pa.array(texts, pa.string()))
        apart = [convert(column, pa.array([text], pa.string())) for text in texts]
        assert together.to_pylist() == [values[0].as_py() for values, _ in apart]
        assert counts == sum((found for _, found in apart), Counts())


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53))
def test_numbers_survive_their_own_writing(real, whole):
    inside = min(max(real, -1e9), 1e9)
    assert convert(REAL, pa.array([repr(real)]))[0].to_pylist() == [inside]
    assert convert(WIDE, pa.array([str(whole)]))[0].to_pylist() == [whole]
