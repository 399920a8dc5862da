"""Fingerprints: the keyed hashes of an upload's units, by which the same units are known again in another upload.

Made under the tenant's key, so the same unit has the same hash in every account of a tenant, no two tenants have one in
common, and whoever holds a file cannot try out names without the key. A unit is known as `server.jobs.units` knows it:
by the text of its id, or by its stored values, here however often they occur. Hashes are the first 64 bits of an HMAC:
between two uploads of 100 million units a chance collision is expected once in two thousand pairs.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.jobs.units import Digests
from synthgate.errors import DataCorrupted

Hashes = npt.NDArray[np.uint64]
"""Sorted, each once."""

FINGERPRINT = "fingerprint.u64"
LEAST_ROWS = 1_000
"""An upload with fewer rows is compared with nothing; later ones are compared with it."""
LEAST_UNITS = 10
"""Fewer shared units are no overlap, whatever their share."""
ONE_IN = 100
"""More than one unit in so many, of either side, is an overlap."""


def hashes(digests: Digests) -> Hashes:
    """The fingerprint of the units of one batch, from their digests."""
    found: Hashes = np.unique(digests[:, 0])
    return found


def union(batches: Sequence[Hashes]) -> Hashes:
    """The fingerprint of all batches."""
    found: Hashes = np.unique(np.concatenate(batches))
    return found


def store(own: Hashes, path: Path) -> str:
    """Write a fingerprint durably, as little-endian integers of 64 bits; returns the file's sha256."""
    content = own.astype("<u8").tobytes()
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()


def overlapping(own: Hashes, known: Iterable[Mapping[str, str]], *, rows: int) -> list[str]:
    """The accounts that an upload of ``rows`` rows overlaps: they share at least `LEAST_UNITS` of its units, and those
    are more than one in a hundred of its units or of those of one of the account's uploads.

    ``known`` are fingerprints with ``account``, ``file`` and ``sha256``. Raises DataCorrupted where one of them is not
    what was stored.
    """
    if rows < LEAST_ROWS:
        return []
    shared: dict[str, Hashes] = {}
    found = set()
    for each in known:
        account, theirs = each["account"], _read(each)
        common = np.intersect1d(own, theirs, assume_unique=True)
        if _overlap(common, theirs):
            found.add(account)
        shared[account] = np.union1d(shared.get(account, common), common)
    return sorted(found | {account for account, common in shared.items() if _overlap(common, own)})


def _overlap(common: Hashes, whole: Hashes) -> bool:
    return len(common) >= LEAST_UNITS and len(common) * ONE_IN > len(whole)


def _read(each: Mapping[str, str]) -> Hashes:
    try:
        content = Path(each["file"]).read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != each["sha256"]:
        raise DataCorrupted(
            "what the gateway keeps of earlier uploads is damaged; its operator restores the folder `fingerprints`"
        )
    return np.frombuffer(content, dtype="<u8").astype(np.uint64)
