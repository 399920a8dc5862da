"""`Artifacts`: what may be served, stored under the SHA-256 of its bytes; and how private folders end.

An artifact appears whole and durable or not at all, encrypted (``server.ciphertext``). Whoever opens one gets bytes
that were just hashed, and every later read of them is authenticated again: nothing is ever served that is not what was
signed. Names are digests and nothing else, which keeps every path inside the storage. Removing ends access through the
gateway; it does not overwrite a disk.
"""

import hashlib
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from server.ciphertext import CHANGED, MAGIC, Decrypted, Key, encrypt
from server.storage import PARTIAL, Folder, Storage, sync
from synthgate.errors import DataCorrupted, NotFound

COPY_BYTES = 2**20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The artifacts of one storage. ``keys`` are those that can be read, newest first; the first one encrypts."""

    storage: Storage
    keys: tuple[Key, ...]

    def put(self, source: Path | bytes) -> str:
        """Store a file's content, or bytes, durably; returns their sha256 in hex. The same content twice is one
        artifact, written anew. Raises DataCorrupted for a file that changes meanwhile."""
        content: BytesIO | BufferedReader
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            content.seek(0)
            self.storage.create(sha256, encrypt(content, sha256, key=self.keys[0]))
        return sha256

    def open(self, sha256: str) -> BinaryIO:
        """The artifact, at its start. Raises NotFound, and DataCorrupted before the first byte where what is stored is
        no longer what the digest names; a later read raises it where that changes while the artifact is open."""
        stored = self.storage.open(_checked(sha256))
        try:
            file = Decrypted(stored, sha256, keys=self.keys)
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise DataCorrupted(CHANGED)
        except BaseException:
            stored.close()
            raise
        file.seek(0)
        return cast(BinaryIO, file)

    def destroy(self, sha256: str) -> None:
        """Remove the artifact durably; nothing happens where it is gone."""
        self.storage.remove(_checked(sha256))

    def digests(self) -> tuple[str, ...]:
        """What is stored."""
        return tuple(name for name in self.storage.names() if _DIGEST.fullmatch(name))

    def sweep(self, kept: Collection[str]) -> None:
        """Remove every artifact that is not ``kept``, and what a crash left half stored; nothing else that may lie
        beside them."""
        for name in self.storage.names():
            if name.startswith(PARTIAL) or (_DIGEST.fullmatch(name) and name not in kept):
                self.storage.remove(name)

    def encrypt_plain(self) -> None:
        """Encrypt what a version before encryption left in a folder. What does not have its digest stays as it is, and
        is never served."""
        if not isinstance(self.storage, Folder):
            return
        for name in self.digests():
            with (self.storage.path / name).open("rb") as file:
                if file.read(len(MAGIC)) == MAGIC:
                    continue
                file.seek(0)
                if hashlib.file_digest(file, "sha256").hexdigest() == name:
                    file.seek(0)
                    self.storage.create(name, encrypt(file, name, key=self.keys[0]))


def name_of(file: Path) -> str:
    """The name that the file's content has as an artifact."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _checked(sha256: str) -> str:
    if not _DIGEST.fullmatch(sha256):
        raise NotFound("no such artifact")
    return sha256


def destroy_folder(folder: Path) -> None:
    """Remove a private folder (rows, a job's files) and all in it, durably; nothing happens where it is gone.

    Raises OSError where something cannot be removed: rows that stay must not pass for destroyed.
    """
    if folder.exists():
        shutil.rmtree(folder)
        sync(folder.parent)
