"""`Artifacts`: what may be served, stored under the SHA-256 of its bytes; and how private folders end.

A file appears whole and durable or not at all. Whoever opens one gets a descriptor whose bytes were just hashed, so
nothing is ever served that is not what was signed. Names are digests and nothing else, which keeps every path inside
the folder. Unlinking ends access through the gateway; it does not overwrite a disk (that takes an encrypted volume).
"""

import hashlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from synthgate.errors import DataCorrupted, NotFound

COPY_BYTES = 2**20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The artifacts under one folder, which is made (0700) at the first `put`."""

    folder: Path

    def put(self, source: Path | bytes) -> str:
        """Store a file's content, or bytes, durably; returns their sha256 in hex. The same content twice is one file,
        written anew."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self.folder / f".{secrets.token_hex(8)}"
        digest = hashlib.sha256()
        try:
            with (
                BytesIO(source) if isinstance(source, bytes) else source.open("rb") as content,
                os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
            ):
                while chunk := content.read(COPY_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path(digest.hexdigest()))
        finally:
            partial.unlink(missing_ok=True)
        sync(self.folder)
        return digest.hexdigest()

    def open(self, sha256: str) -> BinaryIO:
        """The artifact, at its start. Raises NotFound, and DataCorrupted before the first byte where the stored bytes
        are no longer those of the digest."""
        try:
            file = self._path(sha256).open("rb")
        except FileNotFoundError:
            raise NotFound("no such artifact") from None
        try:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise DataCorrupted("a stored artifact does not have its digest any more; it is not served")
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def destroy(self, sha256: str) -> None:
        """Remove the artifact durably; nothing happens where it is gone."""
        self._path(sha256).unlink(missing_ok=True)
        if self.folder.is_dir():
            sync(self.folder)

    def digests(self) -> tuple[str, ...]:
        """What is stored."""
        names = (path.name for path in self.folder.iterdir()) if self.folder.is_dir() else ()
        return tuple(name for name in names if _DIGEST.fullmatch(name))

    def _path(self, sha256: str) -> Path:
        if not _DIGEST.fullmatch(sha256):
            raise NotFound("no such artifact")
        return self.folder / sha256


def destroy_folder(folder: Path) -> None:
    """Remove a private folder (rows, a job's files) and all in it, durably; nothing happens where it is gone.

    Raises OSError where something cannot be removed: rows that stay must not pass for destroyed.
    """
    if folder.exists():
        shutil.rmtree(folder)
        sync(folder.parent)


def sync(folder: Path) -> None:
    """Make renames and removals in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
