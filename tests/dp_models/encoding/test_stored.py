"""Rows on disk are the same rows: in batches, column by column, and to an engine."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dp_models import registry
from dp_models.encoding.stored import ParquetRows
from dp_models.encoding.table import check_rows
from synthgate.budget import PrivacyBudget
from synthgate.errors import DataCorrupted
from tests.dp_models.private_tables import DOMAIN, people, sizes_of
from tests.fakes import ZeroNoise


def _stored(rows: pa.Table, folder: Path) -> ParquetRows:
    pq.write_table(rows, folder / "rows.parquet", row_group_size=100)
    return ParquetRows(folder / "rows.parquet")


def test_reads_what_was_written(tmp_path: Path) -> None:
    rows = people(350)
    stored = _stored(rows, tmp_path)
    assert stored.schema.equals(rows.schema) and stored.num_rows == 350
    for size in (None, 64, 1_000):
        assert pa.Table.from_batches(stored.to_batches(max_chunksize=size)).equals(rows)
    assert stored.column("size").equals(rows.column("size"))
    some = stored.select(["weight", "size"])
    assert pa.Table.from_batches(some.to_batches(), some.schema).equals(rows.select(["weight", "size"]))


@pytest.mark.parametrize("engine", ["auto", "independent", "star", "tree"])
def test_engines_make_the_same_of_a_table_and_of_a_file(engine: str, tmp_path: Path) -> None:
    rows, synthesizer = people(700), registry.synthesizer(engine)
    plan = synthesizer.plan(DOMAIN, sizes_of(700), PrivacyBudget.spend(1.0, 1e-6))
    samples = [
        synthesizer.fit(r, DOMAIN, plan, noise=ZeroNoise()).sample(200, generator=np.random.default_rng(0))
        for r in (rows, _stored(rows, tmp_path))
    ]
    assert samples[0].equals(samples[1])


@pytest.mark.parametrize("units", [[0, 1, 1], [0, 2, 1], [0, 0, 0], [0, None, 1]])
def test_units_are_checked_across_batches(units: list[int | None], tmp_path: Path) -> None:
    rows = people(3)
    rows = rows.set_column(rows.num_columns - 1, rows.schema.field(-1), pa.array(units, pa.int64()))
    pieces = pa.Table.from_batches([b for i in range(3) for b in rows.slice(i, 1).to_batches()])
    for stored in (pieces, _stored(pieces, tmp_path)):
        with pytest.raises(DataCorrupted, match="not cut"):
            check_rows(stored, DOMAIN, max_rows=1)
    if units == [0, 1, 1]:
        check_rows(pieces, DOMAIN, max_rows=2)
