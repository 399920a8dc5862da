"""Verification without a network: the data file, its attestation, and the gateway's public key.

    1. the key is an Ed25519 public key in PEM
    2. the envelope is a DSSE envelope with one signature over an in-toto payload
    3. the signature names this key and holds over the payload
    4. the payload is a release attestation of this version (`verify_checkpoint`: a checkpoint)
    5. the sha256 of the file is the attested one
    6. where a revocation list is given: it holds by the same key, is not too old, and names neither the release nor the
       one that it was derived from

The steps run in this order, so nothing unsigned is ever interpreted. Trust in the key comes from the fingerprint that
the operator published, never from a key that came along with the data.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from synthgate.attestation import PAYLOAD_TYPE, Attestation, Derived, pae, read_json
from synthgate.checkpoint import Checkpoint
from synthgate.errors import VerificationFailed
from synthgate.revocations import REVOCATIONS_TYPE, RevocationList

STEPS = 6
MAX_ENVELOPE_BYTES = 4 * 2**20
MAX_CHECKPOINT_BYTES = 64 * 2**20
"""A checkpoint names every account: some 100,000 of them fit."""
MAX_REVOCATIONS_BYTES = 16 * 2**20
CHUNK_BYTES = 2**20


def verify(
    file: Path, envelope: bytes, public_key: bytes, *, revocations: bytes | None = None, min_number: int = 0
) -> Attestation:
    """Check ``file`` against its attestation and return what was attested.

    ``envelope`` and ``revocations`` (None: not asked) are DSSE envelopes' JSON, ``public_key`` PEM SPKI; a list with a
    smaller number than ``min_number`` is too old. Raises VerificationFailed whose ``facts["step"]`` is the number of
    the step above that did not hold. The file is read once, in pieces.
    """
    attestation = verify_envelope(envelope, public_key)
    try:
        found = file_sha256(file)
    except OSError:
        raise _failed(5, "the data file cannot be read") from None
    if found != attestation.sha256:
        raise _failed(5, "the file is not the attested one: its sha256 differs; download the release again")
    if revocations is not None:
        check_revocations(attestation, revocations, public_key, min_number=min_number)
    return attestation


def check_revocations(
    attestation: Attestation, revocations: bytes, public_key: bytes, *, min_number: int = 0
) -> RevocationList:
    """Step 6 alone. Returns the list, which does not name the release."""
    try:
        known = read_revocations(revocations, public_key)
    except VerificationFailed:
        raise _failed(6, "the revocation list does not hold by this key; fetch it again from the operator") from None
    if known.number < min_number:
        raise _failed(6, f"the revocation list has number {known.number} and is older than number {min_number}")
    source = attestation.origin.derivation.source if isinstance(attestation.origin, Derived) else ""
    for release in (attestation.release, source):
        if entry := known.entry(release):
            raise _failed(6, f"release {release} was revoked on {entry.revoked_at.isoformat()} ({entry.reason})")
    return known


def read_revocations(envelope: bytes, public_key: bytes) -> RevocationList:
    """A signed revocation list. Raises VerificationFailed."""
    payload = signed_payload(
        envelope, public_key, payload_type=REVOCATIONS_TYPE, what="revocation list", limit=MAX_REVOCATIONS_BYTES
    )
    return RevocationList.from_payload(payload)


def verify_envelope(envelope: bytes, public_key: bytes) -> Attestation:
    """Steps 1 to 4: check the signature and return what was attested, without looking at the data."""
    payload = signed_payload(envelope, public_key)
    try:
        return Attestation.from_statement(payload)
    except VerificationFailed as error:
        raise _failed(4, error.message) from None


def verify_checkpoint(envelope: bytes, public_key: bytes) -> Checkpoint:
    """Steps 1 to 4 for a checkpoint. Raises VerificationFailed."""
    payload = signed_payload(envelope, public_key, what="checkpoint", limit=MAX_CHECKPOINT_BYTES)
    try:
        return Checkpoint.from_statement(payload)
    except VerificationFailed as error:
        raise _failed(4, error.message) from None


def signed_payload(
    envelope: bytes,
    public_key: bytes,
    *,
    payload_type: str = PAYLOAD_TYPE,
    what: str = "attestation",
    limit: int = MAX_ENVELOPE_BYTES,
) -> bytes:
    """Steps 1 to 3: the bytes that the key signed under a type, by default those of an in-toto Statement, whatever it
    states.

    ``what`` is the word for the document in errors, ``limit`` the most bytes of an envelope. Raises
    VerificationFailed. What the payload is, the caller checks: one key signs statements of several kinds.
    """
    key = _key(public_key)
    if len(envelope) > limit:
        raise _failed(2, f"the {what} is larger than {limit:,} bytes")
    payload, key_id, signature = _open(envelope, what, payload_type)
    if key_id != key_fingerprint(key):
        raise _failed(3, f"the {what} was signed with another key")
    try:
        key.verify(signature, pae(payload_type, payload))
    except InvalidSignature:
        raise _failed(3, f"the signature does not hold; the {what} was altered") from None
    return payload


def key_fingerprint(key: Ed25519PublicKey) -> str:
    """The key id: sha256 of the DER SubjectPublicKeyInfo, in hex."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def file_sha256(file: Path) -> str:
    """sha256 of a file in hex, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _key(pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _failed(1, "the key is not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise _failed(1, "the key is not an Ed25519 key")
    written = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if pem.replace(b"\r\n", b"\n").rstrip(b"\n") != written.rstrip(b"\n"):
        raise _failed(1, "the key's PEM has bits that belong to no key; fetch the key again")
    return key


def _open(envelope: bytes, what: str, payload_type: str) -> tuple[bytes, str, bytes]:
    try:
        document = read_json(envelope)
    except VerificationFailed as error:
        raise _failed(2, f"the {what} is {error.message}") from None
    fields = _exactly(document, what, "payload", "payloadType", "signatures")
    if fields["payloadType"] != payload_type:
        raise _failed(2, f"the {what}'s payload type is not {payload_type}")
    signatures = fields["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise _failed(2, f"the {what} does not carry exactly one signature")
    signed = _exactly(signatures[0], what, "keyid", "sig")
    return _decoded(fields["payload"], what), str(signed["keyid"]), _decoded(signed["sig"], what)


def _exactly(document: Any, what: str, *names: str) -> Mapping[str, Any]:
    if not isinstance(document, Mapping) or set(document) != set(names):
        raise _failed(2, f"the {what} is not a DSSE envelope")
    return document


def _decoded(text: Any, what: str) -> bytes:
    """Base64 in its one canonical spelling: a decoder that ignores spare bits would accept altered envelopes."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise _failed(2, f"the {what} holds faulty base64") from None
    if base64.b64encode(data).decode() != text:
        raise _failed(2, f"the {what} holds base64 with bits that belong to nothing")
    return data


def _failed(step: int, message: str) -> VerificationFailed:
    return VerificationFailed(f"step {step} of {STEPS}: {message}", facts={"step": str(step)})
