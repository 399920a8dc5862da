"""Uploads and downloads that break off: the client's own code against a composed gateway, with the stream cut at every
message, parts of every length left behind, and the gateway composed anew from its disk after each cut."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from server import datasets
from server.app import compose
from server.ciphertext import CHUNK_BYTES
from server.gateway import Gateway
from server.rpc.datasets import _shown_upload
from server.serving import pieces
from synthgate.client import transfer
from synthgate.client.wire import Retry
from synthgate.dataset import DatasetState
from synthgate.errors import DataCorrupted, Unavailable
from synthgate.v1 import dataset_service_pb2, release_service_pb2
from tests.server.composed import ANALYST, STEWARD, Clock, registered
from tests.server.released import attested
from tests.server.test_derived import source

__all__ = ["source"]
DATA = b"".join(i.to_bytes(4, "big") for i in range((2 * CHUNK_BYTES + 4) // 4))
EDGES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, len(DATA) - 1, len(DATA))


@dataclass
class Cuts:
    """A wire to a gateway of this process that breaks after so many messages, once for each of ``after``; the gateway
    is composed anew from its disk each time."""

    gateway: Gateway
    clock: Clock
    after: list[int] = field(default_factory=list)
    spoil: Callable[[bytes], bytes] = lambda data: data
    sent: int = 0
    retry: ClassVar[Retry] = Retry(first_s=0.0, most_s=0.0)
    releases: ClassVar[Any] = SimpleNamespace(DownloadRelease="DownloadRelease")
    datasets: ClassVar[Any] = SimpleNamespace(GetUpload="GetUpload", UploadRows="UploadRows", GetDataset="GetDataset")

    def _cut(self, messages: Iterator[Any]) -> Iterator[Any]:
        limit = self.after.pop(0) if self.after else None
        for count, message in enumerate(messages):
            if count == limit:
                self.gateway.store.close()
                self.gateway = replace(compose(self.gateway.settings), now=self.clock)
                raise Unavailable("gone")
            yield message

    def receive(self, _method: str, request: Any, *, timeout_s: float) -> Generator[Any, None, None]:
        for piece in self._cut(pieces(self.gateway, ANALYST, request.id, offset=request.offset)):
            self.sent += len(piece.data)
            yield release_service_pb2.DownloadReleaseResponse(
                offset=piece.offset, data=self.spoil(piece.data), total_bytes=piece.total_bytes, sha256=piece.sha256
            )

    def call(self, method: str, request: Any) -> Any:
        if method == "GetUpload":
            return SimpleNamespace(upload=_shown_upload(datasets.Upload(self.gateway, request.dataset)))
        began = datasets.read(self.gateway, STEWARD, request.name).dataset.state is not DatasetState.CREATED
        states = {True: dataset_service_pb2.DATASET_STATE_INGESTING, False: dataset_service_pb2.DATASET_STATE_CREATED}
        return SimpleNamespace(dataset=SimpleNamespace(state=states[began]))

    def send(self, _method: str, messages: Iterator[Any]) -> Any:
        upload = datasets.Upload(self.gateway, "uploaded")
        for message in self._cut(messages):
            if message.HasField("header"):
                upload.begin(total_bytes=message.header.total_bytes, sha256=message.header.sha256)
            else:
                upload.append(message.chunk.offset, message.chunk.data)
                self.sent += len(message.chunk.data)
        shown = _shown_upload(upload)
        upload.finish(STEWARD)
        return SimpleNamespace(upload=shown)


def download(wire: Cuts, release: str, path: Path) -> None:
    transfer.download(wire, release, path, transfer.quiet)  # type: ignore[arg-type]


def part_of(path: Path, release: str) -> Path:
    return path.with_name(f".{path.name}.{hashlib.sha256(release.encode()).hexdigest()[:16]}.part")


@pytest.fixture
def wire(gateway: Gateway, source: str, clock: Clock) -> Cuts:
    attested(gateway, source, DATA)
    return Cuts(gateway, clock)


@pytest.mark.parametrize("after", [[0], [1], [2], [0, 0, 1], [1, 1, 1], [2, 0, 1]])
def test_a_download_goes_on_over_restarts(wire: Cuts, source: str, tmp_path: Path, after: list[int]) -> None:
    wire.after, cuts, target = list(after), len(after), tmp_path / "r.parquet"
    download(wire, source, target)
    assert target.read_bytes() == DATA
    assert wire.after == []
    assert wire.sent <= len(DATA) + cuts  # at most one byte again a cut
    assert not part_of(target, source).exists()


def test_a_part_longer_than_the_file_is_thrown_away(wire: Cuts, source: str, tmp_path: Path) -> None:
    target = tmp_path / "r.parquet"
    part_of(target, source).write_bytes(DATA + b"more")
    download(wire, source, target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("length", EDGES)
def test_a_part_of_any_length_is_completed(wire: Cuts, source: str, tmp_path: Path, length: int) -> None:
    target = tmp_path / "r.parquet"
    part_of(target, source).write_bytes(DATA[:length])
    download(wire, source, target)
    assert target.read_bytes() == DATA
    assert wire.sent == len(DATA) - max(0, length - 1)


@pytest.mark.parametrize("length", EDGES[2:])
def test_a_part_of_another_file_is_never_taken_for_a_whole_one(
    wire: Cuts, source: str, tmp_path: Path, length: int
) -> None:
    target = tmp_path / "r.parquet"
    part_of(target, source).write_bytes(bytes(reversed(DATA))[:length])
    with pytest.raises(DataCorrupted):
        download(wire, source, target)
    assert not target.exists()
    assert not part_of(target, source).exists()
    download(wire, source, target)
    assert target.read_bytes() == DATA


@pytest.mark.guarantee("served-is-attested")
def test_the_client_takes_no_byte_that_differs_on_the_way(wire: Cuts, source: str, tmp_path: Path) -> None:
    target = tmp_path / "r.parquet"
    wire.spoil = lambda data: data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(DataCorrupted):
        download(wire, source, target)
    assert list(tmp_path.glob("*.parquet*")) == list(tmp_path.glob(".*.part")) == []


@pytest.mark.parametrize("after", [[0], [1], [2], [3], [0, 1, 2], [2, 2, 2]])
def test_an_upload_goes_on_over_restarts(gateway: Gateway, clock: Clock, tmp_path: Path, after: list[int]) -> None:
    registered(gateway, "uploaded", DatasetState.CREATED)
    table, wire = tmp_path / "table.csv", Cuts(gateway, clock, list(after))
    table.write_bytes(DATA)
    transfer.upload(wire, "uploaded", table, transfer.quiet)  # type: ignore[arg-type]
    upload = datasets.Upload(wire.gateway, "uploaded")
    assert wire.after == []
    assert (upload.path.read_bytes(), wire.sent) == (DATA, len(DATA))
    assert datasets.read(wire.gateway, STEWARD, "uploaded").dataset.state is DatasetState.INGESTING


@pytest.mark.parametrize("length", EDGES)
def test_an_upload_goes_on_from_any_length(gateway: Gateway, clock: Clock, tmp_path: Path, length: int) -> None:
    registered(gateway, "uploaded", DatasetState.CREATED)
    table, wire = tmp_path / "table.csv", Cuts(gateway, clock)
    table.write_bytes(DATA)
    begun = datasets.Upload(gateway, "uploaded")
    begun.begin(total_bytes=len(DATA), sha256=hashlib.sha256(DATA).hexdigest())
    begun.append(0, DATA[:length])
    transfer.upload(wire, "uploaded", table, transfer.quiet)  # type: ignore[arg-type]
    assert datasets.Upload(wire.gateway, "uploaded").path.read_bytes() == DATA
    assert wire.sent == len(DATA) - length
