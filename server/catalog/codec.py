"""Catalog records as canonical JSON texts and back. Both stores keep these texts, so both give back the same values.

Mappings (plan, artifacts, what ingest found) come back as JSON has them: tuples become lists. Invariant:
``read(write(record)) == record`` for records whose mappings hold JSON values.
"""

import json
from dataclasses import asdict, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from server.catalog.base import DatasetRecord, ReleaseRecord
from server.ledger import chain
from synthgate.accounted import NoisyMargin
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
    return chain.canonical({
        "dataset": document,
        "policy": record.policy.to_dict(),
        "found": dict(record.found),
        "tenant": record.tenant,
        "fingerprint": record.fingerprint,
        "taken": record.taken,
        "overlaps": record.overlaps,
        "distinct_from": record.distinct_from,
        "registrar_names": record.registrar_names,
    })  # fmt: skip


@lru_cache(maxsize=256)
def read_dataset(text: str) -> DatasetRecord:
    """The record that `write_dataset` wrote. A text is read once: records are values, and nobody changes their
    mappings."""
    document = json.loads(text)
    stored = document["dataset"]
    dataset = Dataset(**stored | {
        "domain": Domain.from_dict(stored["domain"]),
        "unit": PrivacyUnit(**stored["unit"]),
        "sizes": _sizes(stored["sizes"]),
        "state": DatasetState(stored["state"]),
        "created_at": datetime.fromisoformat(stored["created_at"]),
        "warnings": tuple(stored["warnings"]),
    })  # fmt: skip
    names = {name: tuple(document.get(name, ())) for name in ("overlaps", "distinct_from", "registrar_names")}
    policy = Policy.from_stored(document["policy"])
    return DatasetRecord(**document | names | {"dataset": dataset, "policy": policy})


def write_release(record: ReleaseRecord) -> str:
    """The record as text, without the binding, which is made of the rest. Raises InvalidArgument for what JSON cannot
    hold."""
    release = {f.name: getattr(record.release, f.name) for f in fields(record.release) if f.name != "binding"}
    for name in ("derivation", "margin"):
        if (value := getattr(record.release, name)) is not None:
            release[name] = asdict(value)
    return chain.canonical({
        "release": release,
        "plan": dict(record.plan),
        "policy": record.policy.to_dict(),
        "verdict_number": record.verdict_number,
        "verdicts_allowed": record.verdicts_allowed,
        "verdicts_grant": record.verdicts_grant,
        "sandbox": record.sandbox,
        "statement": dict(record.statement),
        "artifacts": dict(record.artifacts),
        "failure": record.failure,
        "sampling": record.sampling,
        "replays": record.replays,
        "approvals": record.approvals,
        "requester_names": record.requester_names,
    })  # fmt: skip


def read_release(text: str) -> ReleaseRecord:
    """The record that `write_release` wrote."""
    document = json.loads(text)
    stored = document["release"]
    release = Release(**stored | {
        "state": ReleaseState(stored["state"]),
        "created_at": datetime.fromisoformat(stored["created_at"]),
        "updated_at": datetime.fromisoformat(stored["updated_at"]),
        "reasons": tuple(stored["reasons"]),
        "approvals": tuple(stored["approvals"]),
        "derivation": Derivation.from_dict(derivation) if (derivation := stored.get("derivation")) else None,
        "margin": NoisyMargin(**margin) if (margin := stored.get("margin")) else None,
    })  # fmt: skip
    return ReleaseRecord(**document | {
        "release": release,
        "policy": Policy.from_stored(document["policy"]),
        "approvals": tuple(document.get("approvals", ())),
        "requester_names": tuple(document.get("requester_names", ())),
    })  # fmt: skip


def _sizes(stored: dict[str, Any] | None) -> PublicSizes | None:
    return PublicSizes(**stored | {"origin": SizeOrigin(stored["origin"])}) if stored else None
