"""Where artifacts lie: `Folder`, a local one, and `Bucket`, any file system that fsspec knows. Names in, bytes out.

A name appears whole or not at all. A folder does it by rename after fsync; a bucket, which has neither, uploads under a
temporary name, reads that back, and then moves it.
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from server.ciphertext import STEP_BYTES, Stored
from synthgate.errors import DataCorrupted, InvalidArgument, NotFound

PARTIAL = "partial-"
"""What the names begin with that nobody may read yet."""


class Storage(Protocol):
    """A flat place of named bytes."""

    def create(self, name: str, content: Iterable[bytes]) -> None:
        """Store it durably under ``name``, in place of what was there; nothing changes where ``content`` raises."""

    def open(self, name: str) -> Stored:
        """What is there now. Raises NotFound."""

    def remove(self, name: str) -> None:
        """Remove it durably; nothing happens where it is gone."""

    def names(self) -> tuple[str, ...]:
        """What is stored, partial uploads of a crash included."""


def storage_at(url: str, *, default: Path) -> Storage:
    """The storage of a setting: a folder where it is empty, a path or ``file://``, else what fsspec makes of it. Raises
    InvalidArgument for a URL that no installed package knows."""
    if not url or "://" not in url:
        return Folder(Path(url) if url else default)
    parts = urlsplit(url)
    if parts.scheme in ("file", "local"):
        if parts.netloc:
            raise InvalidArgument("a local `artifacts_url` is file:///FOLDER, with three slashes")
        return Folder(Path(unquote(parts.path)))
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError):
        raise InvalidArgument(
            f"no installed package opens {parts.scheme}:// for `artifacts_url`; for s3:// install synthgate[s3]"
        ) from None
    return Bucket(system, root.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An open local file; a rename over its name does not change what it reads. Closing it twice closes nothing else:
    the number of a descriptor is somebody else's by then."""

    file: FileIO

    @property
    def size_bytes(self) -> int:
        """The file's length."""
        return os.fstat(self.file.fileno()).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes at a place."""
        found = bytearray()
        while len(found) < length and (more := os.pread(self.file.fileno(), length - len(found), offset + len(found))):
            found += more
        return bytes(found)

    def close(self) -> None:
        """Close it."""
        self.file.close()


@dataclass(frozen=True, slots=True)
class Folder:
    """Files (0600) in a folder (0700) that is made with the first of them."""

    path: Path

    def create(self, name: str, content: Iterable[bytes]) -> None:
        """Write, fsync, rename, fsync the folder."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self.path / f"{PARTIAL}{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path / name)
        finally:
            partial.unlink(missing_ok=True)
        sync(self.path)

    def open(self, name: str) -> Stored:
        """A descriptor of the file that has the name now."""
        try:
            return Descriptor(FileIO(self.path / name, "rb"))
        except FileNotFoundError:
            raise NotFound("no such artifact") from None

    def remove(self, name: str) -> None:
        """Unlink, and fsync the folder."""
        (self.path / name).unlink(missing_ok=True)
        if self.path.is_dir():
            sync(self.path)

    def names(self) -> tuple[str, ...]:
        """The names of the files."""
        return tuple(path.name for path in self.path.iterdir()) if self.path.is_dir() else ()


@dataclass(frozen=True, slots=True)
class Range:
    """An object of a bucket, read in ranges. Another object may take its place between two of them; `ciphertext` finds
    that, since the chunks of two objects never pass under one header."""

    system: Any
    path: str
    size_bytes: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes at a place; none where the object is gone by now."""
        end = min(offset + length, self.size_bytes)
        try:
            return bytes(self.system.cat_file(self.path, start=offset, end=end)) if offset < end else b""
        except FileNotFoundError:
            return b""

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Objects under a prefix of an fsspec file system."""

    system: Any
    root: str

    def create(self, name: str, content: Iterable[bytes]) -> None:
        """Upload under a temporary name, read back, move. Raises DataCorrupted where other bytes arrived."""
        self.system.makedirs(self.root, exist_ok=True)
        partial = self._path(f"{PARTIAL}{secrets.token_hex(8)}")
        sent = hashlib.sha256()
        try:
            with self.system.open(partial, "wb") as file:
                for chunk in content:
                    file.write(chunk)
                    sent.update(chunk)
            if self._digest(partial) != sent.digest():
                raise DataCorrupted("the storage did not keep what was sent to it; try again, or look at the storage")
            self.system.mv(partial, self._path(name))
        finally:
            with contextlib.suppress(FileNotFoundError):
                self.system.rm_file(partial)

    def open(self, name: str) -> Stored:
        """The object that has the name now."""
        path = self._path(name)
        try:
            return Range(self.system, path, int(self.system.info(path)["size"]))
        except FileNotFoundError:
            raise NotFound("no such artifact") from None

    def remove(self, name: str) -> None:
        """Delete the object."""
        with contextlib.suppress(FileNotFoundError):
            self.system.rm_file(self._path(name))

    def names(self) -> tuple[str, ...]:
        """The names of the objects, listed anew."""
        self.system.invalidate_cache(self.root)
        try:
            found = self.system.ls(self.root, detail=False)
        except FileNotFoundError:
            return ()
        return tuple(path.rsplit("/", 1)[-1] for path in found)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _digest(self, path: str) -> bytes:
        digest, stored = hashlib.sha256(), Range(self.system, path, int(self.system.info(path)["size"]))
        for offset in range(0, stored.size_bytes, STEP_BYTES):
            digest.update(stored.read_at(offset, STEP_BYTES))
        return digest.digest()


def sync(folder: Path) -> None:
    """Make renames and removals in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
