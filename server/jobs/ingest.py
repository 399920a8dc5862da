"""Ingest: an upload becomes the private tables of an account, one to train on and one never to train on.

Publishes nothing: what it counts is for the steward. Spec::

    domain  Domain.to_dict()           unit    {"column": name or null, "max_rows": k}
    file    path of the upload (CSV)   sha256, bytes   what the upload must be
    known   fingerprints of other accounts of the tenant: account, file, sha256 of each

The secret is the account's key and behind it the tenant's. Writes ``fingerprint.u64`` (`server.jobs.fingerprint`), and
``train.parquet`` and ``holdout.parquet`` in the private schema, rows in an order that only the account's key explains.
Result: ``uploaded_rows``, ``rows`` and ``units`` after the cut to ``max_rows``, ``train_rows``, ``train_units``,
``holdout_rows``, ``holdout_units``, ``dropped_columns`` (how many of the file's columns are not declared), ``columns``:
per column the counts of ``null``, ``other``, ``clamped`` and ``unparsable`` cells, ``fingerprint``: the sha256 of that
file, and ``overlaps``: the accounts that share its units.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dp_models.encoding.table import arrow_schema, private_schema
from server.jobs import worker
from server.jobs.cells import Counts, convert
from server.jobs.fingerprint import FINGERPRINT, Hashes, hashes, overlapping, store, union
from server.jobs.keys import SECRET_BYTES
from server.jobs.units import Digests, Divider, Side
from server.jobs.upload import Upload, check_bytes, open_upload
from server.jobs.worker import Progress
from synthgate.dataset import PrivacyUnit
from synthgate.domain import Domain

TRAIN, HOLDOUT = "train.parquet", "holdout.parquet"
ROW_GROUP_ROWS = 2**17


def ingest(spec: Mapping[str, Any], *, folder: Path, secret: bytes, progress: Progress) -> dict[str, Any]:
    """Read, convert, cut, split and store. Raises InvalidTable for faults of structure, DataCorrupted for other bytes
    than were promised; the content of cells never is an error."""
    domain, unit = Domain.from_dict(spec["domain"]), PrivacyUnit(**spec["unit"])
    path = Path(spec["file"])
    progress("checking the file")
    check_bytes(path, sha256=spec["sha256"], size=spec["bytes"])
    declared = list(dict.fromkeys([*(c.name for c in domain.modelled), *([unit.column] if unit.column else [])]))
    upload = open_upload(path, declared=declared)
    divider, tenant = (Divider(key) for key in (secret[:SECRET_BYTES], secret[SECRET_BYTES:]))
    progress("reading rows")
    table, rows, ids, counts, own = _read(upload, domain, unit, divider, tenant)
    overlaps = overlapping(own, spec["known"], rows=table.num_rows)
    progress("splitting units")
    train, holdout = divider.divide(rows, ids, max_rows=unit.max_rows)
    progress("storing rows")
    for name, side in ((TRAIN, train), (HOLDOUT, holdout)):
        _store(table, side, domain, folder / name)
    known = {*declared, *(c.name for c in domain.columns)}
    return {
        "uploaded_rows": table.num_rows,
        "rows": len(train.rows) + len(holdout.rows),
        "units": train.units + holdout.units,
        "train_rows": len(train.rows),
        "train_units": train.units,
        "holdout_rows": len(holdout.rows),
        "holdout_units": holdout.units,
        "dropped_columns": sum(name not in known for name in upload.header),
        "columns": {name: asdict(found) for name, found in counts.items()},
        "fingerprint": store(own, folder / FINGERPRINT),
        "overlaps": overlaps,
    }


def _read(
    upload: Upload, domain: Domain, unit: PrivacyUnit, divider: Divider, tenant: Divider
) -> tuple[pa.Table, Digests, Digests | None, dict[str, Counts], Hashes]:
    """The stored values of all rows, a digest of each row and of its unit's id, what became of the cells, and the
    units' fingerprint."""
    names = [c.name for c in domain.modelled]
    counts = dict.fromkeys(names, Counts())
    batches: list[pa.RecordBatch] = []
    rows: list[Digests] = []
    ids: list[Digests] = []
    units: list[Hashes] = []
    wanted = list(dict.fromkeys([*names, *([unit.column] if unit.column else [])]))
    for batch in upload.batches(wanted):
        text = dict(zip(wanted, batch.columns, strict=True))
        values: dict[str, pa.Array] = {}
        for column in domain.modelled:
            values[column.name], found = convert(column, text[column.name])
            counts[column.name] += found
        batches.append(pa.RecordBatch.from_arrays(list(values.values()), schema=arrow_schema(domain)))
        rows.append(divider.rows(values))
        if unit.column:
            ids.append(divider.ids(text[unit.column]))
        units.append(hashes(tenant.ids(text[unit.column]) if unit.column else tenant.rows(values)))
    table = pa.Table.from_batches(batches)
    return table, np.concatenate(rows), np.concatenate(ids) if unit.column else None, counts, union(units)


def _store(table: pa.Table, side: Side, domain: Domain, path: Path) -> None:
    columns = [*table.take(pa.array(side.rows)).columns, pa.array(side.unit, pa.int64())]
    stored = pa.Table.from_arrays(columns, schema=private_schema(domain))
    with path.open("wb") as file:
        pq.write_table(stored, file, compression="zstd", row_group_size=ROW_GROUP_ROWS)
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    worker.main(ingest, secrets=2)
