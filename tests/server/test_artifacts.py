"""Artifacts: whole or not at all, under their own digest, encrypted, and never served once they differ from it. One
suite for a folder and for buckets, which stand for what fsspec reaches."""

import gc
import hashlib
import io
import itertools
import stat
from pathlib import Path

import fsspec
import pytest

from server.artifacts import Artifacts, destroy_folder
from server.ciphertext import CHUNK_BYTES, HEADER_BYTES, MAGIC, STEP_BYTES, Key, encrypt
from server.keys import Keys
from server.storage import PARTIAL, Bucket, Folder, storage_at
from synthgate.errors import DataCorrupted, InvalidArgument, NotFound

CONTENT = b"canonical" * (CHUNK_BYTES // 4)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
KEY = Key(bytes(range(32)))
_roots = itertools.count()

STORAGES = {
    "folder": lambda folder: Folder(folder),
    "memory": lambda folder: Bucket(fsspec.filesystem("memory"), f"/bucket-{next(_roots)}"),
    "local": lambda folder: Bucket(fsspec.filesystem("local"), str(folder)),
}


@pytest.fixture(params=STORAGES)
def artifacts(request, tmp_path):
    return Artifacts(STORAGES[request.param](tmp_path / "artifacts"), (KEY,))


@pytest.fixture
def local(tmp_path):
    return Artifacts(Folder(tmp_path / "artifacts"), (KEY,))


def read(artifacts, sha256):
    with artifacts.open(sha256) as file:
        return file.read()


def raw(artifacts, name):
    stored = artifacts.storage.open(name)
    try:
        return stored.read_at(0, stored.size_bytes)
    finally:
        stored.close()


LENGTHS = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("as_file", [True, False])
def test_what_was_put_is_opened_under_its_digest(artifacts, tmp_path, length, as_file):
    source = content = CONTENT[:length]
    if as_file:
        source = tmp_path / "made"
        source.write_bytes(content)
    digest = artifacts.put(source)
    assert digest == hashlib.sha256(content).hexdigest()
    assert read(artifacts, digest) == content
    assert artifacts.digests() == artifacts.storage.names() == (digest,)


@pytest.mark.parametrize(
    "offset", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, len(CONTENT) - 1, len(CONTENT), len(CONTENT) + 9]
)
def test_an_artifact_is_read_from_any_place(artifacts, offset):
    artifacts.put(CONTENT)
    with artifacts.open(DIGEST) as file:
        assert (file.seek(0, io.SEEK_END), file.seek(offset), file.tell()) == (len(CONTENT), offset, offset)
        assert file.read(CHUNK_BYTES) == CONTENT[offset : offset + CHUNK_BYTES][: CHUNK_BYTES - offset % CHUNK_BYTES]
        assert file.read() == CONTENT[offset:][max(0, CHUNK_BYTES - offset % CHUNK_BYTES) :]


def test_nothing_of_the_plaintext_is_stored_and_no_two_files_are_alike(artifacts):
    artifacts.put(CONTENT)
    first = raw(artifacts, DIGEST)
    artifacts.put(CONTENT)
    second = raw(artifacts, DIGEST)
    assert first.startswith(MAGIC + KEY.id)
    assert len(first) == len(second) == HEADER_BYTES + len(CONTENT) + 16 * 3
    windows = [CONTENT[i : i + 8] for i in range(9)]
    assert not any(window in stored for window in windows for stored in (first, second))
    assert sum(a == b for a, b in zip(first[HEADER_BYTES:], second[HEADER_BYTES:], strict=True)) < 0.01 * len(first)


def test_files_are_private(local):
    local.put(CONTENT)
    assert stat.S_IMODE((local.storage.path / DIGEST).stat().st_mode) == 0o600
    assert stat.S_IMODE(local.storage.path.stat().st_mode) == 0o700


def test_a_new_put_heals_what_was_damaged(artifacts):
    artifacts.put(CONTENT)
    artifacts.storage.create(DIGEST, [raw(artifacts, DIGEST)[:-1]])
    with pytest.raises(DataCorrupted):
        artifacts.open(DIGEST)
    artifacts.put(CONTENT)
    assert read(artifacts, DIGEST) == CONTENT


def test_what_is_open_survives_its_destruction_and_nobody_else_opens_it(local):
    local.put(CONTENT)
    with local.open(DIGEST) as file:
        local.destroy(DIGEST)
        assert file.read() == CONTENT


def test_what_was_found_damaged_closes_nobody_elses_file(local, tmp_path):
    """A refused file was closed, and closed again when it was collected: by then its number was another file's."""
    place = local.storage.path / local.put(CONTENT)
    place.chmod(0o600)
    place.write_bytes(place.read_bytes()[:-1] + b"?")
    with pytest.raises(DataCorrupted) as refused:
        local.open(DIGEST)
    with (tmp_path / "other").open("wb") as other:  # takes the number that was let go of
        del refused
        gc.collect()
        assert other.write(b"still open") == 10
        other.flush()


def test_nobody_opens_what_was_destroyed(artifacts):
    artifacts.put(CONTENT)
    with artifacts.open(DIGEST) as file:
        artifacts.destroy(DIGEST)
        if isinstance(artifacts.storage, Bucket):
            with pytest.raises(DataCorrupted):
                file.read(1)
    with pytest.raises(NotFound):
        artifacts.open(DIGEST)
    artifacts.destroy(DIGEST)


@pytest.mark.parametrize("name", ["", "..", "../keys/signing.pem", DIGEST.upper(), DIGEST + "\n", DIGEST[:-1], "/etc"])
def test_only_digests_are_names(artifacts, name):
    artifacts.put(CONTENT)
    for call in (artifacts.open, artifacts.destroy):
        with pytest.raises(NotFound):
            call(name)


def test_nothing_is_left_of_a_put_that_failed(artifacts, tmp_path):
    with pytest.raises(FileNotFoundError):
        artifacts.put(tmp_path / "absent")

    def cut():
        yield b"the first chunk"
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        artifacts.storage.create(DIGEST, cut())
    assert artifacts.storage.names() == ()


def test_a_file_that_changes_while_it_is_stored_is_not_stored(local, tmp_path):
    chunks = encrypt(io.BytesIO(CONTENT[:-1] + b"!"), DIGEST, key=KEY)
    with pytest.raises(DataCorrupted, match="changed while it was stored"):
        local.storage.create(DIGEST, chunks)
    assert local.storage.names() == ()


def test_a_sweep_takes_what_is_not_kept_and_what_was_half_stored_and_no_more(artifacts):
    kept, dropped = artifacts.put(b"kept"), artifacts.put(b"dropped")
    artifacts.storage.create(f"{PARTIAL}0011", [b"half"])
    artifacts.storage.create("notes.txt", [b"the operator's"])
    artifacts.sweep({kept})
    assert set(artifacts.storage.names()) == {kept, "notes.txt"}
    assert artifacts.digests() == (kept,) != (dropped,)


def test_destroying_before_the_first_put_does_nothing(artifacts):
    artifacts.destroy(DIGEST)
    assert artifacts.digests() == ()


def test_a_bucket_that_keeps_other_bytes_than_were_sent_is_found_out(tmp_path):
    memory = fsspec.filesystem("memory")

    class Forgetful(type(memory)):
        cachable = False

        def cat_file(self, path, start=None, end=None, **how):
            return super().cat_file(path, start, end, **how)[:-1] + b"?"

    artifacts = Artifacts(Bucket(Forgetful(), "/forgetful"), (KEY,))
    with pytest.raises(DataCorrupted, match="did not keep"):
        artifacts.put(CONTENT)
    assert artifacts.digests() == ()


def test_keys_rotate(artifacts):
    newer = Key(bytes(32))
    artifacts.put(CONTENT)
    both = Artifacts(artifacts.storage, (newer, KEY))
    assert read(both, DIGEST) == CONTENT
    other = both.put(b"later")
    assert raw(both, other).startswith(MAGIC + newer.id)
    with pytest.raises(DataCorrupted, match="artifact_keys"):
        artifacts.open(other)
    assert KEY.secret.hex() not in repr(KEY)


def test_the_key_is_made_once_private_and_named_files_go_before_it(tmp_path):
    keys = Keys(tmp_path / "keys")
    (own,) = keys.artifacts(())
    path = tmp_path / "keys" / "artifacts.key"
    assert (keys.artifacts(()), stat.S_IMODE(path.stat().st_mode), len(own.secret)) == ((own,), 0o600, 32)
    named = tmp_path / "new.key"
    named.write_bytes(bytes(32))
    named.chmod(0o600)
    assert keys.artifacts((named, path)) == (Key(bytes(32)), own)
    named.chmod(0o604)
    with pytest.raises(InvalidArgument, match="chmod 600"):
        keys.artifacts((named,))
    named.chmod(0o600)
    named.write_bytes(bytes(31))
    for faulty in (named, tmp_path / "absent.key"):
        with pytest.raises(InvalidArgument):
            keys.artifacts((faulty,))


def test_what_an_earlier_version_left_in_the_clear_is_encrypted_and_what_is_damaged_is_not(local):
    local.storage.path.mkdir()
    (local.storage.path / DIGEST).write_bytes(CONTENT)
    damaged = "0" * 64
    (local.storage.path / damaged).write_bytes(CONTENT)
    with pytest.raises(DataCorrupted):
        local.open(DIGEST)
    for _ in range(2):
        local.encrypt_plain()
        assert read(local, DIGEST) == CONTENT
    assert len(raw(local, DIGEST)) == HEADER_BYTES + 2 * STEP_BYTES + len(CONTENT) % CHUNK_BYTES + 16
    assert (local.storage.path / damaged).read_bytes() == CONTENT
    with pytest.raises(DataCorrupted):
        local.open(damaged)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("", Folder(Path("/state/artifacts"))),
        ("/srv/a", Folder(Path("/srv/a"))),
        ("file:///srv/a%20b", Folder(Path("/srv/a b"))),
        ("local:///srv/a", Folder(Path("/srv/a"))),
    ],
)
def test_a_setting_names_a_folder(url, found):
    assert storage_at(url, default=Path("/state/artifacts")) == found


def test_a_setting_names_a_bucket():
    storage = storage_at("memory://bucket/under", default=Path("unused"))
    digest = Artifacts(storage, (KEY,)).put(b"x")
    assert f"/bucket/under/{digest}" in fsspec.filesystem("memory").store


@pytest.mark.parametrize("url", ["file://host/srv", "nothing-like-this://bucket"])
def test_a_setting_that_names_nothing_is_refused(url):
    with pytest.raises(InvalidArgument, match="artifacts_url"):
        storage_at(url, default=Path("unused"))


def test_a_private_folder_ends_with_all_in_it(tmp_path):
    folder = tmp_path / "rows"
    (folder / "tmp").mkdir(parents=True)
    (folder / "train.parquet").write_bytes(b"rows")
    destroy_folder(folder)
    destroy_folder(folder)
    assert list(tmp_path.iterdir()) == []
