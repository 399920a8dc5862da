"""What stands in storage of an artifact: its bytes in authenticated chunks, bound to its name.

    header   8 bytes of magic, 8 of the key's id, 32 of salt
    chunks   1 MiB of plaintext and a tag of 16 bytes each; the last one is shorter, and empty for nothing alone

The construction is STREAM (Hoang, Reyhanitabar, Rogaway and Vizar 2015) over AES-256-GCM: a file has a key of its own
(HKDF-SHA-256 of the storage key and the salt), a chunk's nonce is its number and whether it is the last, and every
chunk authenticates header and name. Chunks that are cut off, added, swapped, or taken from another file or name are
therefore found. Only one plaintext was ever encrypted under a salt, so whoever lacks the key cannot make a chunk pass
that is not the one that was stored, even between two readings of it.
"""

import hashlib
import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from synthgate.errors import DataCorrupted

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAGIC = b"SYNART\x00\x01"
CHUNK_BYTES = 2**20
KEY_BYTES, _ID_BYTES, _SALT_BYTES, _TAG_BYTES = 32, 8, 32, 16
HEADER_BYTES = len(MAGIC) + _ID_BYTES + _SALT_BYTES
STEP_BYTES = CHUNK_BYTES + _TAG_BYTES
CHANGED = "a stored artifact does not have its digest any more; it is not served"


class Stored(Protocol):
    """Stored bytes, held open: whatever is renamed or removed meanwhile, they are these or an error."""

    @property
    def size_bytes(self) -> int:
        """How many there were when they were opened."""

    def read_at(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset``. Raises OSError."""

    def close(self) -> None:
        """Let go of them."""


@dataclass(frozen=True, slots=True)
class Key:
    """A storage key of 32 bytes."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ValueError(f"a key of the artifacts has {KEY_BYTES} bytes")

    def __repr__(self) -> str:
        return f"Key(id={self.id.hex()})"

    @property
    def id(self) -> bytes:
        """8 bytes that name the key and say nothing of it."""
        return hashlib.sha256(b"synthgate artifact key id\x00" + self.secret).digest()[:_ID_BYTES]

    def of(self, salt: bytes) -> AESGCM:
        """The key of the one file that has this salt."""
        derived = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=salt, info=b"synthgate artifact file v1")
        return AESGCM(derived.derive(self.secret))


def encrypt(plain: BinaryIO, sha256: str, *, key: Key) -> Iterator[bytes]:
    """The header, then the chunks of ``plain``. Raises DataCorrupted instead of the last chunk where ``sha256`` is not
    their digest: a file that changes while it is stored is not stored."""
    salt, digest = secrets.token_bytes(_SALT_BYTES), hashlib.sha256()
    header = MAGIC + key.id + salt
    cipher, bound = key.of(salt), header + bytes.fromhex(sha256)
    yield header
    chunk, number = _full(plain), 0
    while True:
        following = _full(plain)
        digest.update(chunk)
        if not following and digest.hexdigest() != sha256:
            raise DataCorrupted("the file changed while it was stored; nothing was kept of it")
        yield cipher.encrypt(_nonce(number, last=not following), chunk, bound)
        if not following:
            return
        chunk, number = following, number + 1


def _full(plain: BinaryIO) -> bytes:
    """The next whole chunk; shorter at the end alone."""
    found = bytearray()
    while len(found) < CHUNK_BYTES and (more := plain.read(CHUNK_BYTES - len(found))):
        found += more
    return bytes(found)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class Decrypted(io.RawIOBase):
    """The plaintext of stored bytes, readable and seekable; one chunk of it in memory. Every read raises DataCorrupted
    rather than give a byte that was not stored under this name. Closing it closes what is stored."""

    def __init__(self, stored: Stored, sha256: str, *, keys: tuple[Key, ...]) -> None:
        self._stored, self._at, self._cached = stored, 0, (-1, b"")
        header = stored.read_at(0, HEADER_BYTES)
        body = stored.size_bytes - HEADER_BYTES
        if body < _TAG_BYTES or len(header) < HEADER_BYTES or not header.startswith(MAGIC):
            raise DataCorrupted(CHANGED)
        known = {key.id: key for key in keys}.get(header[len(MAGIC) : len(MAGIC) + _ID_BYTES])
        if known is None:
            raise DataCorrupted("a stored artifact was made with a key that is not in `artifact_keys`; add that key")
        self._cipher, self._bound = known.of(header[-_SALT_BYTES:]), header + bytes.fromhex(sha256)
        self._chunks = -(-body // STEP_BYTES)
        self.size_bytes = body - self._chunks * _TAG_BYTES
        """The length of the plaintext, if every chunk of it passes."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to ``offset`` from the start, from here or from the end."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size_bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill ``buffer`` up to the end of the chunk that is read; 0 at the end. Raises DataCorrupted."""
        number, within = divmod(self._at, CHUNK_BYTES)
        view = memoryview(buffer).cast("B")
        found = self._chunk(number)[within : within + len(view)] if number < self._chunks else b""
        view[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _chunk(self, number: int) -> bytes:
        if self._cached[0] != number:
            stored = self._stored.read_at(HEADER_BYTES + number * STEP_BYTES, STEP_BYTES)
            nonce = _nonce(number, last=number == self._chunks - 1)
            try:
                self._cached = (number, self._cipher.decrypt(nonce, stored, self._bound))
            except InvalidTag:
                raise DataCorrupted(CHANGED) from None
        return self._cached[1]

    def close(self) -> None:
        """Let go of what is stored."""
        if not self.closed:
            self._stored.close()
        super().close()
