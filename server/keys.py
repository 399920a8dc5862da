"""Keys on disk, outside the database and its backups: the signing key, the key of the artifacts, the key that seals
attempts, one key an account for its split, and one a tenant for the fingerprints of its uploads.

Files are 0600 in a folder that is 0700, written once by rename after fsync, never replaced.
"""

import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.ciphertext import KEY_BYTES, Key
from server.storage import sync
from synthgate.errors import InternalError, InvalidArgument

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys under one folder."""

    folder: Path

    def signing(self) -> Ed25519PrivateKey:
        """The gateway's signing key, made at the first call."""
        path = self.folder / "signing.pem"
        if not path.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_once(path, pem)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise InternalError("keys/signing.pem is no Ed25519 key; restore it from where keys are kept")
        return key

    def artifacts(self, files: tuple[Path, ...]) -> tuple[Key, ...]:
        """The keys of the artifacts, newest first: those of ``files``, or the one in this folder, made at the first
        call. Raises InvalidArgument for a file that is no key of 32 bytes or that others can read."""
        own = self.folder / "artifacts.key"
        if not files and not own.exists():
            write_once(own, secrets.token_bytes(KEY_BYTES))
        return tuple(_artifact_key(path) for path in files or (own,))

    def attempts(self) -> bytes:
        """The key that seals the secrets of attempts, 32 bytes, made at the first call."""
        path = self.folder / "attempts.key"
        if not path.exists():
            write_once(path, secrets.token_bytes(KEY_BYTES))
        return path.read_bytes()

    def create_account(self, account: str) -> None:
        """Make the account's key, 32 bytes, unless it exists."""
        path = self._account(account)
        if not path.exists():
            write_once(path, secrets.token_bytes(32))

    def account(self, account: str) -> bytes:
        """The account's key. Without it no row of its datasets can be split as before, so a lost key is an error."""
        path = self._account(account)
        if not path.exists():
            raise InternalError("the account's key is missing from the keys folder; restore it from its copy")
        return path.read_bytes()

    def tenant(self, tenant: str, *, used: bool) -> bytes:
        """The tenant's key, 32 bytes, made at the first call. Raises InternalError where it is gone although it was
        ``used``: under another one no upload would be known again."""
        path = self._named("tenant", tenant)
        if not path.exists():
            if used:
                raise InternalError("the tenant's key is missing from the keys folder; restore it from its copy")
            write_once(path, secrets.token_bytes(32))
        return path.read_bytes()

    def _account(self, account: str) -> Path:
        return self._named("account", account)

    def _named(self, of: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InternalError(f"a key of kind {of} was asked for under a malformed name")
        return self.folder / f"{of}-{name}.key"


def _artifact_key(path: Path) -> Key:
    try:
        secret, mode = path.read_bytes(), path.stat().st_mode
    except OSError:
        raise InvalidArgument(f"the artifacts' key file {path} cannot be read; name files that exist") from None
    if len(secret) != KEY_BYTES or mode & stat.S_IRWXO:
        raise InvalidArgument(
            f"the artifacts' key file {path} must have {KEY_BYTES} random bytes and be closed to others: "
            f"`head -c {KEY_BYTES} /dev/urandom > FILE; chmod 600 FILE`"
        )
    return Key(secret)


def write_once(path: Path, content: bytes) -> None:
    """Write a private file durably; another process that was first wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        partial.unlink()
    sync(path.parent)
