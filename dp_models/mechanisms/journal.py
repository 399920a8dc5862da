"""`Journal`: what an attempt drew, in order, sealed on disk before it is used, so that a replay draws the same.

One file, append-only. A record is the length of its ciphertext (4 bytes), a random nonce (12), and a request and what
was drawn for it under AES-256-GCM, whose associated data is the record's number: records can be neither edited, left
out nor put in another order. Every record is synced before `draw` returns. A last record that is shorter than it says
was never used (a crash interrupted its writing), so it is cut off and drawn anew.

The first record names the journal. Who opens it with another key, thus another secret, other rows or other code, cannot
read that, and is refused.
"""

import os
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from synthgate.errors import FailedPrecondition

_NAME = b"synthgate/v1/journal"
_LENGTH = struct.Struct(">I")
_NONCE_BYTES = 12
MAX_RECORD_BYTES = 2**30
"""No table of counts comes near it."""


@dataclass(slots=True)
class Journal:
    """A journal under ``path``, made where absent. A context manager; nobody else may write the file.

    ``key`` has 32 bytes and seals nothing else. Entering raises FailedPrecondition where what is there was sealed under
    another key or was changed.
    """

    path: Path
    key: bytes
    _kept: list[tuple[bytes, bytes]] = field(default_factory=list)
    _next: int = 0
    _file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        new = not (sound := self._read())
        self._file.truncate(sound)
        self._file.seek(sound)
        if new:
            _sync(self.path.parent)
        self.draw(_NAME, lambda: b"")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def unread(self) -> int:
        """How many records of an interrupted attempt this one has not asked for."""
        return len(self._kept) - self._next

    def draw(self, request: bytes, make: Callable[[], bytes]) -> bytes:
        """What was drawn for the next request: as the journal has it, else what ``make`` gives, durable by then.

        Raises FailedPrecondition where the journal has another request at this place: the attempt that is replayed did
        something else.
        """
        if self.unread:
            asked, drawn = self._kept[self._next]
            if asked != request:
                raise FailedPrecondition("a replay asked for another draw than the attempt that it repeats")
            self._next += 1
            return drawn
        drawn = make()
        self._append(request, drawn)
        self._kept.append((request, drawn))
        self._next += 1
        return drawn

    def _append(self, request: bytes, drawn: bytes) -> None:
        if self._file is None:
            raise RuntimeError("a journal is written inside its with block")
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = _LENGTH.pack(len(request)) + request + drawn
        sealed = AESGCM(self.key).encrypt(nonce, plain, _LENGTH.pack(len(self._kept)))
        record = memoryview(_LENGTH.pack(len(sealed)) + nonce + sealed)
        while record:
            record = record[self._file.write(record) :]
        os.fsync(self._file.fileno())

    def _read(self) -> int:
        """Read what is whole; returns where it ends."""
        content = self.path.read_bytes()
        at, head = 0, _LENGTH.size + _NONCE_BYTES
        while len(content) - at >= head:
            (length,) = _LENGTH.unpack_from(content, at)
            if length > MAX_RECORD_BYTES:
                raise _changed()
            end = at + head + length
            if end > len(content):
                break
            self._kept.append(self._open(content[at + _LENGTH.size : at + head], content[at + head : end]))
            at = end
        return at

    def _open(self, nonce: bytes, sealed: bytes) -> tuple[bytes, bytes]:
        try:
            plain = AESGCM(self.key).decrypt(nonce, sealed, _LENGTH.pack(len(self._kept)))
        except (InvalidTag, ValueError):
            raise _changed() from None
        (length,) = _LENGTH.unpack_from(plain)
        start = _LENGTH.size + length
        return plain[_LENGTH.size : start], plain[start:]


def _changed() -> FailedPrecondition:
    return FailedPrecondition("the journal of the attempt was changed, or belongs to other rows or another attempt")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
