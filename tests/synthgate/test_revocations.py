"""A revocation list holds by the gateway's key and as it stands, and names what it names."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from test_verify import ATTESTATION, DATA, DERIVED, ENVELOPE, KEY, PRIVATE, flipped, sealed

from synthgate.attestation import PAYLOAD_TYPE, canonical_json, envelope, pae
from synthgate.errors import VerificationFailed
from synthgate.revocations import REVOCATIONS_TYPE, Revocation, RevocationList, RevocationReason
from synthgate.verify import check_revocations, key_fingerprint, read_revocations, verify

SINCE = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def known(*releases):
    entries = tuple(
        Revocation(release=r, sha256="f" * 64, revoked_at=SINCE, reason=RevocationReason.OFFICER) for r in releases
    )
    return RevocationList(issued_at=SINCE, entries=entries)


def listed(*releases):
    """A signed list of what is revoked."""
    return sealed_list(canonical_json(known(*releases).to_dict()))


def sealed_list(payload):
    key_id, signature = key_fingerprint(PRIVATE.public_key()), PRIVATE.sign(pae(REVOCATIONS_TYPE, payload))
    return envelope(payload, key_id=key_id, signature=signature, payload_type=REVOCATIONS_TYPE)


def test_a_list_is_read_as_it_was_written():
    assert read_revocations(listed("r-7", "r-8"), KEY) == known("r-7", "r-8")
    assert (known().number, known("r-7", "r-8").number) == (0, 2)


def test_verification_refuses_what_is_revoked_and_what_was_derived_from_it(tmp_path):
    path = tmp_path / "release.parquet"
    path.write_bytes(DATA)
    assert verify(path, ENVELOPE, KEY, revocations=listed("r-7")) == ATTESTATION
    assert verify(path, ENVELOPE, KEY) == ATTESTATION
    derived = sealed(DERIVED.to_statement_bytes())
    for signed, release in ((ENVELOPE, "r-1"), (derived, "r-2"), (derived, "r-1")):
        with pytest.raises(VerificationFailed, match=f"{release} was revoked on 2026-02-03") as caught:
            verify(path, signed, KEY, revocations=listed("r-7", release))
        assert caught.value.facts == {"step": "6"}
    path.write_bytes(b"other bytes")
    with pytest.raises(VerificationFailed, match="step 5"):
        verify(path, ENVELOPE, KEY, revocations=listed("r-1"))


def test_an_older_list_than_one_that_was_seen_is_refused():
    assert check_revocations(ATTESTATION, listed("r-7", "r-8"), KEY, min_number=2).number == 2
    with pytest.raises(VerificationFailed, match="number 1 and is older than number 2"):
        check_revocations(ATTESTATION, listed("r-7"), KEY, min_number=2)


def refused(signed, key=KEY):
    with pytest.raises(VerificationFailed) as caught:
        check_revocations(ATTESTATION, signed, key)
    return caught.value.facts["step"]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(number=0),
        lambda d: d["entries"].pop(),
        lambda d: d["entries"][0].update(reason="WHIM"),
        lambda d: d["entries"][0].update(note="x"),
        lambda d: d["entries"][0].update(revoked_at="soon"),
        lambda d: d.update(issued_at="2026-02-03T04:05:06"),
        lambda d: d.update(entries={}),
        lambda d: d.pop("issued_at"),
        lambda d: d.update(extra=1),
    ],
)
def test_a_signed_list_of_another_shape_is_refused(change):
    document = known("r-1").to_dict()
    change(document)
    assert refused(sealed_list(canonical_json(document))) == "6"


def test_what_is_altered_or_signed_by_another_or_as_something_else_is_refused():
    whole = listed("r-7")
    for where in range(0, len(whole), 7):
        assert refused(flipped(whole, where, 1)) == "6"
    other = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert refused(whole, key=other) == "6"
    assert refused(sealed(canonical_json(known("r-7").to_dict()), PAYLOAD_TYPE)) == "6"
    assert refused(ENVELOPE) == "6"
    for payload in (b"", b"[]", b"1", b"null", b"{"):
        assert refused(sealed_list(payload)) == "6"


def test_a_list_passes_for_no_attestation(tmp_path):
    with pytest.raises(VerificationFailed, match="step 2"):
        verify(tmp_path, listed("r-7"), KEY)
