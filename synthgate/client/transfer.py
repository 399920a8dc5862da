"""Files up and down: pieces of 1 MiB, resumed where they broke off, checked by sha256, put in place at the end."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from synthgate.client.wire import STREAM_TIMEOUT_S, Patience, Wire
from synthgate.errors import DataCorrupted, InternalError, InvalidArgument, SynthgateError, Unavailable
from synthgate.v1 import dataset_service_pb2 as datasets
from synthgate.v1 import release_service_pb2 as releases
from synthgate.verify import CHUNK_BYTES, file_sha256

Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all."""


def quiet(done: int, total: int) -> None:
    """The progress that nobody watches."""


def upload(wire: Wire, dataset: str, path: Path, progress: Progress) -> None:
    """Send a file's bytes as the rows of ``dataset``, from wherever an earlier try broke off. Raises SynthgateError."""
    total, sha256 = path.stat().st_size, file_sha256(path)
    header = datasets.UploadHeader(dataset=dataset, total_bytes=total, sha256=sha256)
    patience = Patience(wire.retry)
    reached = -1
    while True:
        have = wire.call(wire.datasets.GetUpload, datasets.GetUploadRequest(dataset=dataset)).upload
        offset = have.received_bytes if have.sha256 == sha256 else 0
        if offset > reached:
            reached = offset
            patience.heard()
        if offset == total and _ingest_began(wire, dataset):
            return
        try:
            done = wire.send(wire.datasets.UploadRows, _pieces(header, path, offset, progress)).upload
        except SynthgateError as error:
            patience.spend(error)
            continue
        if done.received_bytes == total and done.sha256 == sha256:
            return
        patience.spend(Unavailable("the gateway took in a part of the upload only; retry later"))


def _ingest_began(wire: Wire, dataset: str) -> bool:
    """Whether an upload that arrived whole was also taken in: its answer may have been lost on the way."""
    found = wire.call(wire.datasets.GetDataset, datasets.GetDatasetRequest(name=dataset)).dataset
    return bool(found.state != datasets.DATASET_STATE_CREATED)


def _pieces(
    header: datasets.UploadHeader, path: Path, offset: int, progress: Progress
) -> Iterator[datasets.UploadRowsRequest]:
    yield datasets.UploadRowsRequest(header=header)
    with path.open("rb") as stream:
        stream.seek(offset)
        while data := stream.read(CHUNK_BYTES):
            yield datasets.UploadRowsRequest(chunk=datasets.UploadChunk(offset=offset, data=data))
            offset += len(data)
            progress(offset, header.total_bytes)


def download(wire: Wire, release: str, path: Path, progress: Progress) -> None:
    """Fetch the canonical Parquet, or for ``*.csv`` a CSV made from it once its sha256 was checked. ``path`` appears
    whole or not at all. Raises SynthgateError."""
    if path.suffix not in (".parquet", ".csv"):
        raise InvalidArgument("a release is written to a file named *.parquet or *.csv")
    if not path.parent.is_dir():
        raise InvalidArgument(f"there is no folder {path.parent}; make it first")
    part = path.with_name(f".{path.name}.{hashlib.sha256(release.encode()).hexdigest()[:16]}.part")
    _fetch(wire, release, part, progress)
    if path.suffix == ".csv":
        try:
            _write_csv(part, path)
        finally:
            part.unlink()
    else:
        part.replace(path)


def _fetch(wire: Wire, release: str, part: Path, progress: Progress) -> None:
    patience = Patience(wire.retry)
    while True:
        try:
            sha256, whole = _append(wire, release, part, progress, patience)
        except InvalidArgument:  # a part that is longer than the file belongs to nothing
            if not part.exists() or not part.stat().st_size:
                raise
            part.unlink()
            continue
        except SynthgateError as error:
            patience.spend(error)
            continue
        if not whole:
            patience.spend(Unavailable("the download broke off; retry later"))
        elif file_sha256(part) == sha256:
            return
        else:
            part.unlink()
            raise DataCorrupted("the bytes received do not have the promised sha256; download again")


def _append(wire: Wire, release: str, part: Path, progress: Progress, patience: Patience) -> tuple[str, bool]:
    """Fetch what is missing of ``part``: the promised sha256, and whether all of it has arrived."""
    with part.open("ab") as target:
        at = max(0, target.tell() - 1)  # one byte again, so that a complete part too is told its sha256
        target.truncate(at)
        target.seek(at)
        request = releases.DownloadReleaseRequest(id=release, offset=at)
        sha256, total = "", -1
        with contextlib.closing(
            wire.receive(wire.releases.DownloadRelease, request, timeout_s=STREAM_TIMEOUT_S)
        ) as stream:
            for piece in stream:
                if piece.offset != at or at + len(piece.data) > piece.total_bytes:
                    raise InternalError("the gateway sent a piece out of order; download again")
                target.write(piece.data)
                at += len(piece.data)
                sha256, total = piece.sha256, piece.total_bytes
                patience.heard()
                progress(at, total)
        target.flush()
        os.fsync(target.fileno())
    return sha256, at == total


def _write_csv(parquet: Path, path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    draft = parquet.with_suffix(".csv")
    try:
        with pyarrow.parquet.ParquetFile(parquet) as file, pyarrow.csv.CSVWriter(draft, file.schema_arrow) as writer:
            for batch in file.iter_batches():
                writer.write_batch(batch)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
