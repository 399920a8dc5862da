"""`Sealed`: the secrets and journals of attempts under way, encrypted, outside the database and its backups.

``<folder>/<release>/secret`` holds 32 bytes of the operating system's entropy under AES-256-GCM, whose associated data
is what the attempt is bound to (`server.binding.facts`). What a worker gets is derived from that secret and from the
bytes of the private tables, so under other rows there is no key to the journal beside it, and no stream comes twice.
Each fence has a journal of its own, which begins as a copy of the one before it: a former holder of the job, or its
worker, may still be writing that. All of it goes at the terminal state: whoever had a secret could take the noise away
again. Files are overwritten before they are unlinked; on a disk that keeps old blocks, the key in
``keys/attempts.key`` is what protects them.
"""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server import binding
from server.artifacts import destroy_folder
from server.jobs.keys import SECRET_BYTES
from server.keys import Keys, write_once
from server.storage import sync
from synthgate.errors import FailedPrecondition

SECRET, JOURNAL, VERDICT = "secret", "journal", "verdict"
"""The files of one attempt: its secret, and the journals of its fit and of its accounted verdict."""
_NONCE_BYTES = 12
_ATTEMPT = b"synthgate/v1/attempt/"
_RELEASE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Sealed:
    """The sealed folders of attempts under one folder (0700)."""

    folder: Path
    keys: Keys

    def make(self, release: str, *, facts: bytes) -> None:
        """A new secret for a release, durable when this returns; what an earlier one left is destroyed."""
        self.destroy(release)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        secret = AESGCM(self.keys.attempts()).encrypt(nonce, secrets.token_bytes(SECRET_BYTES), facts)
        place = self._place(release)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.mkdir(mode=0o700)
        write_once(place / SECRET, nonce + secret)
        for folder in (self.folder, self.folder.parent):
            sync(folder)

    def binds(self, release: str, *, facts: bytes) -> bool:
        """Whether there is a secret of the release, bound to these facts. Opens no row."""
        try:
            self._open(release, facts)
        except FailedPrecondition:
            return False
        return True

    def attempt(self, release: str, *, facts: bytes, rows: Path) -> bytes:
        """The 32 bytes that key everything random of the attempt, and nothing under other facts or other rows.

        Raises FailedPrecondition where there is no secret or it is bound to other facts, OSError for absent rows.
        """
        secret = self._open(release, facts)
        return HKDF(algorithm=SHA256(), length=SECRET_BYTES, salt=None, info=_ATTEMPT + self._rows(rows)).derive(secret)

    def journal(self, release: str, *, fence: int, of: str = JOURNAL) -> Path:
        """Where the attempt's fit, or its verdict, keeps its journal under this fence; what earlier fences drew is in
        it."""
        place = self._place(release)
        own = place / f"{of}.{fence}"
        earlier = [int(path.suffix[1:]) for path in place.glob(f"{of}.*")]
        if earlier and not own.exists():
            write_once(own, (place / f"{of}.{max(earlier)}").read_bytes())
        return own.absolute()

    def destroy(self, release: str) -> None:
        """Shred secret and journal, durably; nothing happens where they are gone. Raises OSError where they stay."""
        place = self._place(release)
        try:
            for path in sorted(place.glob("*")) if place.is_dir() else ():
                _overwrite(path)
        finally:
            destroy_folder(place)

    def releases(self) -> tuple[str, ...]:
        """Whose secrets are kept."""
        return tuple(sorted(path.name for path in self.folder.glob("*") if _RELEASE.fullmatch(path.name)))

    def _rows(self, folder: Path) -> bytes:
        return binding.rows(folder)

    def _open(self, release: str, facts: bytes) -> bytes:
        try:
            kept = (self._place(release) / SECRET).read_bytes()
        except FileNotFoundError:
            raise FailedPrecondition("the attempt's secret is gone, so it cannot be repeated; ask anew") from None
        try:
            return AESGCM(self.keys.attempts()).decrypt(kept[:_NONCE_BYTES], kept[_NONCE_BYTES:], facts)
        except (InvalidTag, ValueError):
            raise FailedPrecondition(
                "the attempt was begun with another request, code or machine, so it cannot be repeated; ask anew"
            ) from None

    def _place(self, release: str) -> Path:
        if not _RELEASE.fullmatch(release):
            raise FailedPrecondition("an attempt was asked for under a malformed release id")
        return self.folder / release


def _overwrite(path: Path) -> None:
    """Write random bytes over a file's own, in place and durably."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        left = memoryview(secrets.token_bytes(os.fstat(descriptor).st_size))
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
