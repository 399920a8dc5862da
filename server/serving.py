"""`pieces`: the one way by which released data leave.

    1. the release is RELEASED, and the caller may have it
    2. its attestation holds, and attests the very digest under which the data are stored
    3. the stored bytes have that digest
    4. each piece is read, then the state is asked again, then the piece leaves

Nothing leaves before 1 to 3 hold. After a change of state has committed, at most the piece whose turn at 4 came before
it is still under way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from server.catalog.base import ReleaseRecord
from server.config import CHUNK_BYTES
from server.gateway import Gateway
from server.identity import Principal
from server.releases import downloadable
from synthgate.errors import DataCorrupted, InvalidArgument, VerificationFailed
from synthgate.verify import verify_envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """``data`` (at most 1 MiB) from ``offset`` of the file that has ``total_bytes`` and ``sha256``."""

    offset: int
    data: bytes
    total_bytes: int
    sha256: str


def pieces(gateway: Gateway, principal: Principal, release: str, *, offset: int) -> Iterator[Piece]:
    """The canonical Parquet of a RELEASED release from ``offset`` on, at least one piece (an empty one at its end).

    Raises NotFound, WrongState (also between two pieces), InvalidArgument, and DataCorrupted before the first piece;
    between two pieces only where what is stored changes meanwhile.
    """
    record = downloadable(gateway, principal, release)
    sha256 = _attested(gateway, record)
    with gateway.artifacts.open(sha256) as file:
        total = file.seek(0, 2)
        if not 0 <= offset <= total:
            raise InvalidArgument(f"the offset lies between 0 and {total}")
        file.seek(offset)
        data = file.read(CHUNK_BYTES)
        while True:
            downloadable(gateway, principal, release)
            yield Piece(offset=offset, data=data, total_bytes=total, sha256=sha256)
            offset += len(data)
            if not (data := file.read(CHUNK_BYTES)):
                return


def _attested(gateway: Gateway, record: ReleaseRecord) -> str:
    """The digest of the data, which record and attestation name alike. Raises DataCorrupted, NotFound."""
    with gateway.artifacts.open(record.artifacts["attestation"]) as file:
        envelope = file.read()
    try:
        attestation = verify_envelope(envelope, gateway.signer.public_pem)
    except VerificationFailed:
        raise DataCorrupted("the release's attestation does not hold any more; its data are not served") from None
    if (attestation.release, attestation.sha256) != (record.release.id, record.artifacts["data"]):
        raise DataCorrupted("the catalog names other data than were attested; they are not served")
    return attestation.sha256
