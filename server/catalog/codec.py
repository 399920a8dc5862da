"""Catalog records as canonical JSON texts and back. Both stores keep these texts, so both give back the same values.

Mappings (plan, artifacts, what ingest found) come back as JSON has them: tuples become lists. Invariant:
``read(write(record)) == record`` for records whose mappings hold JSON values.
"""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from server.catalog.base import DatasetRecord, ReleaseRecord
from server.ledger import chain
from synthgate.dataset import Dataset, DatasetState, PrivacyUnit, PublicSizes, SizeOrigin
from synthgate.derivation import Derivation
from synthgate.domain import Domain
from synthgate.policy import Policy
from synthgate.release import Release, ReleaseState


def write_dataset(record: DatasetRecord) -> str:
    """The record as text. Raises InvalidArgument for what JSON cannot hold."""
    dataset = record.dataset
    document = {
        "name": dataset.name,
        "domain": dataset.domain.to_dict(),
        "unit": asdict(dataset.unit),
        "sizes": asdict(dataset.sizes) if dataset.sizes else None,
        "account": dataset.account,
        "policy": dataset.policy,
        "state": dataset.state,
        "registered_by": dataset.registered_by,
        "created_at": dataset.created_at,
        "failure": dataset.failure,
        "warnings": dataset.warnings,
    }
    return chain.canonical({"dataset": document, "policy": record.policy.to_dict(), "found": dict(record.found)})


def read_dataset(text: str) -> DatasetRecord:
    """The record that `write_dataset` wrote."""
    document = json.loads(text)
    fields = document["dataset"]
    dataset = Dataset(**fields | {
        "domain": Domain.from_dict(fields["domain"]),
        "unit": PrivacyUnit(**fields["unit"]),
        "sizes": _sizes(fields["sizes"]),
        "state": DatasetState(fields["state"]),
        "created_at": datetime.fromisoformat(fields["created_at"]),
        "warnings": tuple(fields["warnings"]),
    })  # fmt: skip
    return DatasetRecord(dataset=dataset, policy=Policy.from_dict(document["policy"]), found=document["found"])


def write_release(record: ReleaseRecord) -> str:
    """The record as text. Raises InvalidArgument for what JSON cannot hold."""
    return chain.canonical({
        "release": asdict(record.release),
        "plan": dict(record.plan),
        "policy": record.policy.to_dict(),
        "verdict_number": record.verdict_number,
        "verdicts_allowed": record.verdicts_allowed,
        "sandbox": record.sandbox,
        "statement": dict(record.statement),
        "artifacts": dict(record.artifacts),
        "failure": record.failure,
        "sampling": record.sampling,
    })  # fmt: skip


def read_release(text: str) -> ReleaseRecord:
    """The record that `write_release` wrote."""
    document = json.loads(text)
    fields = document["release"]
    release = Release(**fields | {
        "state": ReleaseState(fields["state"]),
        "created_at": datetime.fromisoformat(fields["created_at"]),
        "updated_at": datetime.fromisoformat(fields["updated_at"]),
        "reasons": tuple(fields["reasons"]),
        "approvals": tuple(fields["approvals"]),
        "derivation": Derivation.from_dict(derivation) if (derivation := fields.get("derivation")) else None,
    })  # fmt: skip
    return ReleaseRecord(**document | {"release": release, "policy": Policy.from_dict(document["policy"])})


def _sizes(fields: dict[str, Any] | None) -> PublicSizes | None:
    return PublicSizes(**fields | {"origin": SizeOrigin(fields["origin"])}) if fields else None
