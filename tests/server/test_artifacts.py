"""Artifacts: whole or not at all, under their own digest, and never served once they differ from it."""

import hashlib
import stat

import pytest

from server.artifacts import COPY_BYTES, Artifacts, destroy_folder
from synthgate.errors import DataCorrupted, NotFound

CONTENT = b"canonical" * COPY_BYTES
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "artifacts")


def read(artifacts, sha256):
    with artifacts.open(sha256) as file:
        return file.read()


@pytest.mark.parametrize("content", [CONTENT, b"", b"x"], ids=["long", "empty", "short"])
@pytest.mark.parametrize("as_file", [True, False])
def test_what_was_put_is_opened_under_its_digest(artifacts, tmp_path, content, as_file):
    source = content
    if as_file:
        source = tmp_path / "made"
        source.write_bytes(content)
    digest = artifacts.put(source)
    assert digest == hashlib.sha256(content).hexdigest()
    assert read(artifacts, digest) == content
    assert [path.name for path in artifacts.folder.iterdir()] == [digest]


def test_files_are_private(artifacts):
    artifacts.put(CONTENT)
    assert stat.S_IMODE((artifacts.folder / DIGEST).stat().st_mode) == 0o600
    assert stat.S_IMODE(artifacts.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT + b"\n", b"C" + CONTENT[1:]])
def test_damaged_bytes_are_never_served_and_a_new_put_heals_them(artifacts, damage):
    artifacts.put(CONTENT)
    (artifacts.folder / DIGEST).write_bytes(damage)
    with pytest.raises(DataCorrupted):
        artifacts.open(DIGEST)
    artifacts.put(CONTENT)
    assert read(artifacts, DIGEST) == CONTENT


def test_what_is_open_survives_its_destruction_and_nobody_else_opens_it(artifacts):
    artifacts.put(CONTENT)
    with artifacts.open(DIGEST) as file:
        artifacts.destroy(DIGEST)
        assert file.read() == CONTENT
    with pytest.raises(NotFound):
        artifacts.open(DIGEST)
    artifacts.destroy(DIGEST)


@pytest.mark.parametrize("name", ["", "..", "../keys/signing.pem", DIGEST.upper(), DIGEST + "\n", DIGEST[:-1], "/etc"])
def test_only_digests_are_names(artifacts, tmp_path, name):
    artifacts.put(CONTENT)
    for call in (artifacts.open, artifacts.destroy):
        with pytest.raises(NotFound):
            call(name)


def test_nothing_is_left_of_a_put_that_failed(artifacts, tmp_path):
    with pytest.raises(FileNotFoundError):
        artifacts.put(tmp_path / "absent")
    assert list(artifacts.folder.iterdir()) == []


def test_destroying_before_the_first_put_does_nothing(artifacts):
    artifacts.destroy(DIGEST)
    assert not artifacts.folder.exists()


def test_a_private_folder_ends_with_all_in_it(tmp_path):
    folder = tmp_path / "rows"
    (folder / "tmp").mkdir(parents=True)
    (folder / "train.parquet").write_bytes(b"rows")
    destroy_folder(folder)
    destroy_folder(folder)
    assert list(tmp_path.iterdir()) == []
