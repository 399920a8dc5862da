"""The canonical Parquet: the same table, the same bytes, whatever it was made of."""

import hashlib
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dp_models.encoding.table import arrow_schema
from server.jobs.canonical import COMPRESSION_LEVEL, ROW_GROUP_ROWS, conform, write
from synthgate.errors import FailedPrecondition
from tests.server.jobs.tables import EVERY_KIND

ROWS = {
    "colour": ["red", "blue", "red"],
    "age": [0, 120, 7],
    "weight": [0.5, None, 250.0],
    "smoker": [True, None, False],
    "born": [datetime(1900, 1, 1), None, datetime(2025, 1, 1)],
}


def table(**changes):
    return pa.table(ROWS | changes, schema=arrow_schema(EVERY_KIND))


def written(made, path):
    digest, size = write(conform(made, EVERY_KIND, rows=made.num_rows), path)
    content = path.read_bytes()
    assert (digest, size) == (hashlib.sha256(content).hexdigest(), len(content))
    return content


def test_the_same_table_gives_the_same_bytes(tmp_path):
    plain = table()
    for name, same in {
        "again": table(),
        "chunked": pa.concat_tables([plain.slice(0, 1), plain.slice(1)]),
        "sliced": pa.concat_tables([plain, plain]).slice(3, 3),
        "through pandas": pa.Table.from_pandas(plain.to_pandas(), schema=plain.schema),
        "described": plain.replace_schema_metadata({"pandas": "{}"}),
        "garbage under null": plain.set_column(
            2, "weight", pa.Array.from_buffers(
                pa.float64(), 3, [pa.py_buffer(b"\x05"), pa.py_buffer(np.array([0.5, 99.0, 250.0]).tobytes())]
            )
        ),
    }.items():  # fmt: skip
        assert written(same, tmp_path / "b") == written(plain, tmp_path / "a"), name


def test_the_file_describes_its_data_and_nothing_else(tmp_path):
    content = written(table(), tmp_path / "a")
    footer = pq.read_metadata(tmp_path / "a")
    assert footer.metadata is None
    assert footer.created_by == f"parquet-cpp-arrow version {pa.__version__}"
    assert footer.row_group(0).column(0).compression == "ZSTD"
    assert b"pandas" not in content
    assert b"ARROW:schema" not in content
    back = pq.read_table(tmp_path / "a")
    assert back.schema.equals(arrow_schema(EVERY_KIND), check_metadata=True)
    assert back.equals(table())


def test_row_groups_have_one_size(tmp_path):
    rows = ROW_GROUP_ROWS + 5
    made = table(**{name: [cells[0]] * rows for name, cells in ROWS.items()})
    written(made, tmp_path / "a")
    footer = pq.read_metadata(tmp_path / "a")
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [ROW_GROUP_ROWS, 5]
    assert COMPRESSION_LEVEL == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": ["red", "blue", "green"]},
        {"colour": ["red", "blue", None]},
        {"age": [0, 121, 7]},
        {"age": [-1, 12, 7]},
        {"age": [None, 12, 7]},
        {"weight": [0.5, float("nan"), 1.0]},
        {"weight": [0.5, float("inf"), 1.0]},
        {"weight": [0.4, 1.0, 1.0]},
        {"born": [datetime(1899, 12, 31), None, None]},
        {"born": [datetime(2025, 1, 1, 0, 0, 1), None, None]},
    ],
)
def test_cells_that_the_domain_does_not_allow(changes):
    (name,) = changes
    with pytest.raises(FailedPrecondition, match=f"cells in {name} that"):
        conform(table(**changes), EVERY_KIND, rows=3)


def test_columns_of_nulls_and_tables_without_rows_conform():
    nulls = table(weight=[None] * 3, smoker=[None] * 3, born=[None] * 3)
    assert conform(nulls, EVERY_KIND, rows=3).equals(nulls)
    assert conform(table().slice(0, 0), EVERY_KIND, rows=0).num_rows == 0
