"""What was renamed or linked into a folder is there after a power cut: the folder is synced once it has the name."""

import os
from pathlib import Path

import pytest

from server import populations
from server.gateway import Gateway
from server.keys import write_once
from tests.server.uploading import declared, ingested, people, sent


class Disk:
    """The names that the last sync of each folder made durable."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._names: dict[int, set[str]] = {}
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self._seen)

    def _seen(self, descriptor: int) -> None:
        self._sync(descriptor)
        place = Path(f"/proc/self/fd/{descriptor}").resolve()
        if place.is_dir():
            self._names[place.stat().st_ino] = {path.name for path in place.iterdir()}

    def holds(self, path: Path) -> bool:
        return path.exists() and path.name in self._names.get(path.parent.stat().st_ino, ())


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_file_that_is_written_once_stays(disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "account-people.key"
    write_once(path, b"key")
    assert disk.holds(path)
    (path.parent / "another").touch()
    assert not disk.holds(path.parent / "another")


def test_an_upload_and_the_rows_of_it_stay(disk: Disk, gateway: Gateway) -> None:
    settings = gateway.settings
    declared(gateway, "uploaded", "new")
    assert disk.holds(settings.keys / "account-new.key")
    sent(gateway, "uploaded", people(0, 1_200))
    assert all(disk.holds(settings.uploads / name) for name in ("uploaded.json", "uploaded.part"))
    ingested(gateway, "uploaded")
    kept = [settings.rows / "uploaded", *(settings.rows / "uploaded").iterdir(), populations.path(gateway, "uploaded")]
    assert len(kept) == 4
    assert all(map(disk.holds, kept))
