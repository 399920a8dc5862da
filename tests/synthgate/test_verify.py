"""An attestation holds for its file, envelope and key, and for nothing that differs by one byte."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from synthgate.approval import Approval
from synthgate.attestation import (
    NO_CHARGE,
    NO_VERDICT,
    PAYLOAD_TYPE,
    Attestation,
    Decision,
    Derived,
    Judged,
    LedgerPosition,
    PinnedPolicy,
    canonical_json,
    envelope,
    pae,
)
from synthgate.dataset import PublicSizes
from synthgate.derivation import Condition, Derivation
from synthgate.errors import VerificationFailed
from synthgate.events import Composed, DiscreteGaussian, Exponential
from synthgate.policy import EXACT_POLICY
from synthgate.statement import PrivacyStatement, Scope
from synthgate.verify import key_fingerprint, verify

DATA = b"PAR1 the canonical table PAR1"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
ATTESTATION = Attestation(
    release="r-1",
    sha256=hashlib.sha256(DATA).hexdigest(),
    dataset="people",
    domain_digest="d" * 64,
    engine="tree",
    statement=PrivacyStatement(
        scope=Scope.GENERATOR,
        end_to_end=False,
        unit="a person (zper)",
        sizes=PublicSizes(rows=20_000, units=5_912, max_rows=5),
        accountant="pld",
        event=Composed((DiscreteGaussian(4.8, 1), Exponential(0.1))),
        epsilon=1.0,
        delta=5e-8,
        epsilon_substitute_one=1.9,
        not_covered=("the verdict",),
        noise=(),
        weakened_by=(),
    ),
    origin=Judged(
        policy=PinnedPolicy(name="default", digest=EXACT_POLICY.digest, rules=EXACT_POLICY.rules, version=3),
        decision=Decision(number=1, allowed=3),
        ledger=LedgerPosition(account="people", sequence=3, digest="a" * 64, head="b" * 64),
    ),
    released_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    versions={"synthgate": "0.1.0"},
    approvals=(
        Approval(
            officer="olga",
            binding="c" * 64,
            at=datetime(2026, 1, 2, tzinfo=UTC),
            expires_at=datetime(2026, 1, 9, tzinfo=UTC),
        ),
    ),
)


DERIVED = replace(
    ATTESTATION,
    release="r-2",
    origin=Derived(
        derivation=Derivation(source="r-1", conditions=(Condition(column="sex", value="F"),), rows=9),
        attestation="e" * 64,
        sampling="in closed form",
    ),
)


def sealed(payload, payload_type=PAYLOAD_TYPE):
    signature = PRIVATE.sign(pae(payload_type, payload))
    return envelope(payload, key_id=key_fingerprint(PRIVATE.public_key()), signature=signature)


ENVELOPE = sealed(ATTESTATION.to_statement_bytes())


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "release.parquet"
    path.write_bytes(DATA)
    return path


def step(table, sealed=ENVELOPE, key=KEY):
    with pytest.raises(VerificationFailed) as caught:
        verify(table, sealed, key)
    return int(caught.value.facts["step"])


def test_the_whole_holds(table):
    assert verify(table, ENVELOPE, KEY) == ATTESTATION


def test_an_attestation_from_before_approvals_were_bound_reads_as_it_did(table):
    document = json.loads(ATTESTATION.to_statement_bytes())
    document["predicate"]["approvals"] = ["olga"]
    found = verify(table, sealed(canonical_json(document)), KEY)
    assert found == replace(ATTESTATION, approvals=("olga",))


def test_what_noise_was_drawn_is_attested_and_missing_in_attestations_of_before(table):
    told = replace(ATTESTATION, statement=replace(ATTESTATION.statement, noise=("Exact.",)))
    assert verify(table, sealed(told.to_statement_bytes()), KEY).statement.noise == ("Exact.",)
    assert told.to_statement()["predicate"]["privacy"]["noise"] == ["Exact."]
    assert "noise" not in ATTESTATION.to_statement()["predicate"]["privacy"]
    assert verify(table, ENVELOPE, KEY).statement.noise == ()


def test_an_attestation_from_before_versions_were_attested_reads_as_it_did(table):
    document = json.loads(ATTESTATION.to_statement_bytes())
    assert document["predicate"]["policy"].pop("version") == 3
    found = verify(table, sealed(canonical_json(document)), KEY)
    assert found.origin.policy == replace(ATTESTATION.origin.policy, version=None)
    assert found.to_statement() == document


@pytest.mark.parametrize("version", [None, True, 0, -1, 1.0, "3"])
def test_a_policy_s_version_is_a_whole_number(table, version):
    document = json.loads(ATTESTATION.to_statement_bytes())
    document["predicate"]["policy"]["version"] = version
    assert step(table, sealed(canonical_json(document))) == 4


def test_a_derived_sample_is_attested_as_one(table):
    sealed_so = sealed(DERIVED.to_statement_bytes())
    assert verify(table, sealed_so, KEY) == DERIVED
    predicate = json.loads(DERIVED.to_statement_bytes())["predicate"]
    assert (predicate["verdict"], predicate["charge"]) == (NO_VERDICT, NO_CHARGE)
    assert predicate["derived_from"] == {
        "source": "r-1", "attestation": "e" * 64, "sampling": "in closed form", "rows": 9, "rebalance": None,
        "conditions": [{"column": "sex", "value": "F"}],
    }  # fmt: skip
    assert not {"policy", "ledger"} & set(predicate)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.update(verdict="passed"),
        lambda p: p.update(charge="none"),
        lambda p: p.update(derived_from=None),
        lambda p: p.update(policy={}),
        lambda p: p["derived_from"].update(rows=-1.5, extra=1),
        lambda p: p["derived_from"].pop("attestation"),
        lambda p: p["derived_from"]["conditions"].append({"column": "sex", "value": "M"}),
    ],
)
def test_a_derived_sample_cannot_pass_for_a_judged_one(table, change):
    document = json.loads(DERIVED.to_statement_bytes())
    change(document["predicate"])
    assert step(table, sealed=sealed(canonical_json(document))) == 4


def test_securesystemslib_reads_the_same_envelope():
    dsse = pytest.importorskip("securesystemslib.dsse")
    theirs = dsse.Envelope.from_dict(json.loads(ENVELOPE))
    assert theirs.payload == ATTESTATION.to_statement_bytes()
    assert theirs.pae() == pae(PAYLOAD_TYPE, theirs.payload)


def test_a_statement_is_in_toto_and_names_no_score():
    document = json.loads(ATTESTATION.to_statement_bytes())
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["subject"] == [{"name": "release.parquet", "digest": {"sha256": ATTESTATION.sha256}}]
    assert {"score", "at_most"} == set(document["predicate"]["policy"]["rules"][0])
    assert "value" not in ATTESTATION.to_statement_bytes().decode()


def test_a_sandbox_says_that_nothing_is_guaranteed():
    none = replace(ATTESTATION, statement=replace(ATTESTATION.statement, scope=Scope.NONE))
    assert none.to_statement()["predicate"]["guarantee"] == "none"


def test_one_flipped_byte_of_the_file_fails(table):
    for where in range(len(DATA)):
        table.write_bytes(flipped(DATA, where, 1))
        assert step(table) == 5


@given(st.integers(0, len(ENVELOPE) - 1), st.integers(1, 255))
def test_one_flipped_byte_of_the_envelope_fails(tmp_path_factory, where, mask):
    path = tmp_path_factory.getbasetemp() / "release.parquet"
    path.write_bytes(DATA)
    assert step(path, sealed=flipped(ENVELOPE, where, mask)) in (2, 3, 4)


def test_one_flipped_bit_of_the_key_fails(table):
    for where in range(len(KEY)):
        for bit in range(8):
            assert step(table, key=flipped(KEY, where, 1 << bit)) in (1, 3)


def test_spare_bits_of_base64_are_no_hiding_place(table):
    document = json.loads(ENVELOPE)
    signature = document["signatures"][0]["sig"]
    assert signature.endswith("==")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    altered = signature[:-3] + letters[letters.index(signature[-3]) ^ 1] + "=="
    assert base64.b64decode(altered) == base64.b64decode(signature)
    document["signatures"][0]["sig"] = altered
    assert step(table, sealed=canonical_json(document)) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("predicate"),
        lambda d: d.update(_type="https://in-toto.io/Statement/v2"),
        lambda d: d.update(predicateType="https://example.org/other"),
        lambda d: d.update(extra=1),
        lambda d: d["predicate"].update(score=0.04),
        lambda d: d["predicate"].update(approvals=[1]),
        lambda d: d["predicate"]["approvals"][0].update(reason="fine"),
        lambda d: d["predicate"]["approvals"][0].update(at="2026-01-02T00:00:00"),
        lambda d: d["predicate"].update(released_at="soon"),
        lambda d: d["predicate"]["privacy"].update(scope="everything"),
        lambda d: d["predicate"]["privacy"]["events"].update(version=2),
        lambda d: d["subject"].append({"name": "other", "digest": {"sha256": "0" * 64}}),
        lambda d: d["predicate"]["policy"]["rules"][0].update(at_least=0.0),
    ],
)
def test_a_signed_statement_of_another_shape_is_refused(table, change):
    document = json.loads(ATTESTATION.to_statement_bytes())
    change(document)
    assert step(table, sealed=sealed(canonical_json(document))) == 4


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b"\xff", b"nan", b"[" * 100_000, b'{"payload":"","payload":""}', b" " * (4 * 2**20 + 1)],
)
def test_what_is_no_envelope_is_refused(table, text):
    assert step(table, sealed=text) == 2


def test_another_key_another_type_and_no_file_are_refused(table, tmp_path):
    other = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert step(table, key=other) == 3
    assert step(table, sealed=sealed(ATTESTATION.to_statement_bytes(), "application/json")) == 3
    assert step(table, key=b"") == 1
    assert step(tmp_path / "none") == 5


def flipped(data, where, mask):
    return data[:where] + bytes([data[where] ^ mask]) + data[where + 1 :]
