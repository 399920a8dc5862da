"""A rehearsal: the surrogate is dealt as a dataset is, a release's own jobs run on it, and nothing of it is left."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dp_models.encoding.table import arrow_schema, private_schema
from server import rehearsal
from synthgate.cli.rehearsal import lines
from synthgate.domain import UNIT_COLUMN
from synthgate.errors import InvalidTable
from tests.server.composed import DOMAIN

ROWS = 500
RUN = {"engine": "independent", "epsilon": 1.0, "delta": 1e-6}


def surrogate(folder: Path, rows: int = ROWS) -> Path:
    generator = np.random.default_rng(5)
    ill = generator.random(rows) < 0.3
    columns = [generator.integers(0, 100, rows), np.where(ill, "f", "m"), ill]
    table = pa.Table.from_arrays([pa.array(c) for c in columns], schema=arrow_schema(DOMAIN))
    pq.write_table(table, folder / "surrogate.parquet")
    return folder / "surrogate.parquet"


def spec(folder: Path, **more: Any) -> dict[str, Any]:
    plain = {"rows": ROWS, "units": ROWS, "max_rows": 1, "runs": [RUN], "timeout_s": 120.0}
    return {"domain": DOMAIN.to_dict(), "table": str(surrogate(folder)), **plain, **more}


@pytest.mark.guarantee("rehearsal")
@pytest.mark.parametrize(("units", "max_rows"), [(500, 1), (200, 4), (101, 5)])
def test_a_surrogate_is_dealt_into_units_of_which_a_fifth_is_held_out(
    tmp_path: Path, units: int, max_rows: int
) -> None:
    asked = spec(tmp_path, units=units, max_rows=max_rows)
    sizes = rehearsal.deal(asked, tmp_path, generator=np.random.default_rng(1))
    sides = [pq.read_table(tmp_path / name) for name in (rehearsal.TRAIN, rehearsal.HOLDOUT)]
    for side, wanted in zip(sides, (sizes.train_units, sizes.holdout_units), strict=True):
        assert side.schema.equals(private_schema(DOMAIN))
        unit = side[UNIT_COLUMN].to_numpy()
        assert (np.diff(unit) >= 0).all()
        assert np.array_equal(np.unique(unit), np.arange(wanted))
        assert np.bincount(unit).max() <= max_rows
    dealt = pa.concat_tables(sides).drop_columns([UNIT_COLUMN]).sort_by([(n, "ascending") for n in DOMAIN_NAMES])
    assert dealt.equals(pq.read_table(asked["table"]).sort_by([(n, "ascending") for n in DOMAIN_NAMES]))


DOMAIN_NAMES = [c.name for c in DOMAIN.modelled]


def test_which_rows_are_held_out_does_not_follow_their_order(tmp_path: Path) -> None:
    """The file may be sorted; of 100 held-out rows about 20 are among its first 100 (hypergeometric, sd 3.6)."""
    asked = spec(tmp_path)
    table = pq.read_table(asked["table"]).set_column(0, "age", pa.array(np.repeat(np.arange(5), 100)))
    pq.write_table(table, asked["table"])
    rehearsal.deal(asked, tmp_path, generator=np.random.default_rng(2))
    held = pq.read_table(tmp_path / rehearsal.HOLDOUT)["age"].to_numpy()
    assert np.abs(np.bincount(held, minlength=5) - 20).max() < 15


def test_another_table_is_refused(tmp_path: Path) -> None:
    asked = spec(tmp_path)
    with pytest.raises(InvalidTable, match="has 500 rows"):
        rehearsal.deal(asked | {"rows": 501, "units": 501}, tmp_path, generator=np.random.default_rng(1))
    numbered = pq.read_table(asked["table"]).add_column(0, "_replicate", pa.array(np.ones(ROWS, dtype=np.int64)))
    pq.write_table(numbered, asked["table"])
    with pytest.raises(InvalidTable, match="plain release"):
        rehearsal.deal(asked, tmp_path, generator=np.random.default_rng(1))


def told_by(
    folder: Path, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, Any]]]:
    (folder / rehearsal.SPEC).write_text(json.dumps(asked))
    code = rehearsal.main([str(folder)])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_run_is_told_with_its_scores_or_why_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [RUN, RUN | {"engine": "nobody"}, RUN | {"engine": "smartnoise-mst"}, RUN | {"epsilon": 1e9}]
    code, told = told_by(tmp_path, spec(tmp_path, runs=asked), capsys)
    runs = [line["run"] for line in told if "run" in line]
    assert (code, [r["engine"] for r in runs]) == (0, [r["engine"] for r in asked])
    assert {s["name"].split(".")[0] for s in runs[0]["scores"]} == {"risk", "utility"}
    assert (runs[0]["failure"], set(runs[0]["seconds"])) == ("", {"fit", "evaluate"})
    for run, words in zip(runs[1:], ("no engine 'nobody'", "environment of the gateway", "epsilon"), strict=True):
        assert words in run["failure"]
        assert run["scores"] == []
    stages = [line["stage"] for line in told if "stage" in line]
    assert "independent at epsilon 1, fit: fitting" in stages
    assert {p.name for p in tmp_path.iterdir()} == {
        rehearsal.SPEC, rehearsal.TRAIN, rehearsal.HOLDOUT, "surrogate.parquet",
    }  # fmt: skip


def test_a_table_that_does_not_fit_ends_it_with_an_error_of_the_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = told_by(tmp_path, spec(tmp_path, rows=501, units=501), capsys)
    assert code == rehearsal.EXIT_REFUSED
    assert told == [{"error": {"reason": "INVALID_TABLE", "message": told[0]["error"]["message"]}}]


def test_it_ends_with_its_workers_when_nobody_reads_on(tmp_path: Path) -> None:
    (tmp_path / rehearsal.SPEC).write_text(json.dumps(spec(tmp_path)))
    others = psutil.Process().children(recursive=True)
    reading = lines(tmp_path)
    assert "stage" in next(reading)
    started = [process for process in psutil.Process().children(recursive=True) if process not in others]
    assert len(started) >= 2, "the rehearsal, and the worker that told its stage"
    reading.close()
    assert psutil.wait_procs(started, timeout=10)[1] == []
    assert not (tmp_path / "jobs").exists()
