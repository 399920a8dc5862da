"""The public tables that benchmarks train on: read, converted as ingest would convert them, split, kept as Parquet.

Domains stand in ``benchmarks/domains``, written from public documentation. Splits are fixed: as published where a table
comes with one, else one row in five by a fixed seed.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from server.jobs.cells import convert
from synthgate.dataset import HOLDOUT_SHARE, PublicSizes
from synthgate.domain import OTHER, UNIT_COLUMN, Domain, Kind
from synthgate.schema import read_schema

HERE = Path(__file__).parent
RESULTS = HERE / "results"
DATA = Path(os.environ.get("SYNTHGATE_SHARED_DATA", HERE.parents[1] / "shared" / "data"))
JUDGE = DATA.parent / "tools" / "judge.py"
_CHAPTERS = (
    (140, "infectious"), (240, "neoplasms"), (280, "endocrine"), (290, "blood"), (320, "mental"), (390, "nervous"),
    (460, "circulatory"), (520, "respiratory"), (580, "digestive"), (630, "genitourinary"), (680, "pregnancy"),
    (710, "skin"), (740, "musculoskeletal"), (760, "congenital"), (780, "perinatal"), (800, "ill-defined"),
    (1_000, "injury"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prepared:
    """A declared domain, the stored training rows, and the files that the judge reads."""

    name: str
    domain: Domain
    rows: Path
    train: Path
    test: Path

    @property
    def sizes(self) -> PublicSizes:
        """Sizes whose training part is the whole training table: benchmarks have no gateway's holdout."""
        return sizes_of(pq.read_metadata(self.rows).num_rows)

    @property
    def judged_domain(self) -> Path | None:
        """The published sizes of an integer-coded table."""
        return DATA / "adult_encoded" / "adult-domain.json" if self.name == "adult_encoded" else None


def sizes_of(train_rows: int) -> PublicSizes:
    """Public sizes with so many training rows."""
    rows = round(train_rows / (1 - HOLDOUT_SHARE))
    return PublicSizes(rows=rows, units=rows)


def prepare(name: str) -> Prepared:
    """Read, convert and split a table once; later calls find the files."""
    folder = RESULTS / "tables" / name
    declared = HERE / "domains" / f"{name}.yaml" if name != "randhie" else HERE.parent / "examples" / "randhie.yaml"
    domain = read_schema(declared).domain
    found = Prepared(name, domain, *(folder / f"{part}.parquet" for part in ("rows", "train", "test")))
    if not found.test.exists() or found.test.stat().st_mtime < declared.stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        train, test = (canonical(domain, part) for part in _READERS[name]())
        stored = train.append_column(UNIT_COLUMN, pa.array(np.arange(train.num_rows)))
        for path, table in ((found.rows, stored), (found.train, judged(train)), (found.test, judged(test))):
            pq.write_table(table, path)
    return found


def canonical(domain: Domain, text: pd.DataFrame) -> pa.Table:
    """Cells of text as the stored cells of a declared domain."""
    return pa.table({c.name: convert(c, pa.array(text[c.name], pa.string()))[0] for c in domain.modelled})


def judged(table: pa.Table) -> pa.Table:
    """Undeclared cells as null, truth values as whole numbers: what the judge takes."""
    for i, field in enumerate(table.schema):
        cells = table.column(i)
        if field.type == pa.string():
            table = table.set_column(i, field.name, pc.if_else(pc.equal(cells, OTHER), None, cells))
        elif field.type == pa.bool_():
            table = table.set_column(i, field.name, cells.cast(pa.int64()))
    return table


def judge(prepared: Prepared, sample: Path) -> dict[str, float]:
    """The scores of ``judge.py`` for a sample, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        scores = Path(folder) / "scores.json"
        command = [sys.executable, str(JUDGE), str(prepared.train), str(prepared.test), str(sample)]
        command += ["--target", str(prepared.domain.target), "--json", str(scores)]
        if prepared.judged_domain:
            command += ["--domain", str(prepared.judged_domain)]
        subprocess.run(command, check=True, capture_output=True)
        return dict(json.loads(scores.read_text()))


def machine(packages: Iterable[str] = ("numpy", "opendp", "opacus", "pyarrow", "torch")) -> dict[str, Any]:
    """What a result was measured on, and when."""
    told = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition("\n")[0].strip(" \t:")
    return {
        "date": date.today().isoformat(),
        "cpu": told or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def numeric(domain: Domain) -> list[str]:
    """The names of columns with bounds."""
    return [c.name for c in domain.modelled if c.kind in (Kind.INTEGER, Kind.FLOAT)]


def _text(path: Path, null: Iterable[str] = ()) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False).replace(list(null), "")


def _cut(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = np.random.default_rng(0).permutation(len(table))
    last = round(HOLDOUT_SHARE * len(table))
    return table.iloc[np.sort(order[last:])], table.iloc[np.sort(order[:last])]


def _adult_raw() -> tuple[pd.DataFrame, pd.DataFrame]:
    table = _text(DATA / "adult_raw" / "adult_full.csv")
    return table[table["split"] == "train"], table[table["split"] == "test"]


def _adult_encoded() -> tuple[pd.DataFrame, pd.DataFrame]:
    return _cut(_text(DATA / "adult_encoded" / "adult.csv"))


def _nist_acs() -> tuple[pd.DataFrame, pd.DataFrame]:
    train, test = (_text(DATA / "nist_acs" / f"ma{year}.csv", ["N"]) for year in (2019, 2018))
    return train, test


def _randhie() -> tuple[pd.DataFrame, pd.DataFrame]:
    """One year of each person, drawn by a fixed seed."""
    import statsmodels

    path = Path(statsmodels.__file__).parent / "datasets" / "randhie" / "src" / "randhie.csv"
    return _cut(_text(path).sample(frac=1.0, random_state=0).drop_duplicates("zper"))


def _diabetes130() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first encounter of each patient, diagnoses cut to the chapters of ICD-9."""
    table = _text(DATA / "diabetes130" / "diabetic_data.csv.gz", ["?"])
    table = table.loc[table["encounter_id"].astype(int).sort_values().index].drop_duplicates("patient_nbr")
    for name in ("diag_1", "diag_2", "diag_3"):
        table[name] = table[name].map(_chapter)
    return _cut(table)


def _chapter(code: str) -> str:
    if not code or code[0] in "EV":
        return {"": "", "E": "external", "V": "health-status"}[code[:1]]
    number = int(float(code))
    return "diabetes" if number == 250 else next(name for end, name in _CHAPTERS if number < end)


_READERS: dict[str, Callable[[], tuple[pd.DataFrame, pd.DataFrame]]] = {
    "adult_raw": _adult_raw,
    "adult_encoded": _adult_encoded,
    "nist_acs": _nist_acs,
    "randhie": _randhie,
    "diabetes130": _diabetes130,
}
NAMES = tuple(_READERS)
