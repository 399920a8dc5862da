"""The claim and the key: what is stated of a release, what is not, and the gateway's signature under it."""

import hashlib
import math
import platform
from collections.abc import Mapping
from importlib.metadata import version

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dp_models.base import Plan
from dp_models.mechanisms import accounting
from dp_models.mechanisms.noise import EXACT_COUNTS
from server.catalog.base import DatasetRecord, ReleaseRecord
from synthgate.attestation import (
    PAYLOAD_TYPE,
    Attestation,
    envelope,
    pae,
)
from synthgate.dataset import PrivacyUnit, SizeOrigin
from synthgate.statement import PrivacyStatement, Scope
from synthgate.verify import key_fingerprint

SOFTWARE = ("synthgate", "opendp", "opacus", "torch", "dp-accounting", "anonymeter", "numpy", "pyarrow")
REPORT_NOT_COVERED = (
    "What stewards and officers see of the report, once the release is at rest, is exact and not covered, nor is what"
    " they do because of it, such as a revocation."
)
FAILURE_NOT_COVERED = (
    "That a job ends without a result (out of memory or time, or by a fault) before the noisy margin is drawn looks "
    "like a refusal and is not covered."
)
SALT_TYPE = "application/vnd.synthgate.salt.v1"


class Signer:
    """The gateway's Ed25519 key at work."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def fingerprint(self) -> str:
        """The key id: sha256 of the DER public key, in hex."""
        return key_fingerprint(self._key.public_key())

    @property
    def public_pem(self) -> bytes:
        """The public key, PEM SPKI."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, attestation: Attestation) -> bytes:
        """The DSSE envelope of the attestation."""
        return self.sign_payload(attestation.to_statement_bytes())

    def sign_payload(self, payload: bytes, *, payload_type: str = PAYLOAD_TYPE) -> bytes:
        """The DSSE envelope of a payload, by default an in-toto Statement's bytes; `synthgate.verify.signed_payload`
        opens it."""
        signature = self._key.sign(pae(payload_type, payload))
        return envelope(payload, key_id=self.fingerprint, signature=signature, payload_type=payload_type)

    def salt(self, name: str) -> str:
        """64 hex digits, always the same for ``name``, that nobody without the key can make: the sha256 of a signature
        (RFC 8032 signatures are deterministic) of a type that nothing else is signed under and that never leaves."""
        return hashlib.sha256(self._key.sign(pae(SALT_TYPE, name.encode()))).hexdigest()


VERDICT_NOISE = f"The verdict's margin is a count. {EXACT_COUNTS}"


def statement(
    plan: Plan, dataset: DatasetRecord, record: ReleaseRecord, *, noise: tuple[str, ...], weaknesses: tuple[str, ...]
) -> PrivacyStatement:
    """What is claimed of the generator, and what is not; nothing is claimed on a sandbox account.

    An exact verdict compares with private rows outside of the epsilon, so the scope is the generator alone; an
    accounted one is part of the plan, and the scope is the release. End to end is what publishes nothing else of the
    rows, not even their number. ``noise`` and ``weaknesses`` are those of the fit; an accounted verdict adds its own.
    """
    scope = Scope.GENERATOR if plan.verdict is None else Scope.RELEASE
    counted = plan.sizes.origin is SizeOrigin.COUNTED
    event, delta = plan.event, plan.budget.delta
    return PrivacyStatement(
        scope=Scope.NONE if record.sandbox else scope,
        end_to_end=scope is Scope.RELEASE and not record.sandbox and not counted,
        unit=_unit(dataset.dataset.unit),
        sizes=plan.sizes,
        accountant=f"{accounting.accountant(event, delta)} of the frozen plan",
        event=event,
        epsilon=accounting.epsilon(event, delta),
        delta=delta,
        epsilon_substitute_one=accounting.substitute_one_epsilon(event, delta),
        not_covered=_not_covered(plan, record),
        noise=noise if plan.verdict is None or EXACT_COUNTS in noise else (*noise, VERDICT_NOISE),
        weakened_by=weaknesses,
    )


def _unit(unit: PrivacyUnit) -> str:
    if unit.column is None:
        return "one row; a person only if the steward attests one row per person"
    return f"one value of the id column, at most {unit.max_rows} of its rows"


def _not_covered(plan: Plan, record: ReleaseRecord) -> tuple[str, ...]:
    exact = (
        f"The verdict compares with private rows exactly and is outside this epsilon: two outcomes, decision "
        f"{record.verdict_number} of {record.verdicts_allowed} allowed on this account for its life"
        f"{f', {record.verdicts_grant}' if record.verdicts_grant else ''}. Such decisions "
        f"can together multiply an attacker's chance of guessing any fact by at most 2 to their number."
    )
    found = [exact, "What stewards and officers see of the report is exact and not covered."]
    if plan.verdict is not None:
        found = [REPORT_NOT_COVERED, FAILURE_NOT_COVERED]
    if accounting.rdp(plan.event, 2) == math.inf:
        found.append("The epsilon is what the engine's own library claims; the gateway did not check it.")
    if plan.sizes.origin is SizeOrigin.COUNTED:
        found.append("The number of rows was counted and published exactly.")
    if record.sandbox:
        found.insert(0, "The account is a sandbox for public data: there is no privacy guarantee.")
    return tuple(found)


def versions() -> Mapping[str, str]:
    """The software that fits and judges."""
    return {name: version(name) for name in SOFTWARE} | {"python": platform.python_version()}
