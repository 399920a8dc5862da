"""A dataset and a release with every field set, to be written and read back."""

from dataclasses import replace
from datetime import datetime

from server.catalog.base import DatasetRecord, ReleaseRecord
from synthgate.dataset import Dataset, DatasetState, PrivacyUnit, PublicSizes, SizeOrigin
from synthgate.derivation import Condition, Derivation, Rebalance, Share
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.policy import EXACT_POLICY, Rule
from synthgate.release import Release, ReleaseState
from tests.server.stores import EPOCH

DOMAIN = Domain(
    columns=(
        Column(name="id", kind=Kind.CATEGORICAL, role=Role.IDENTIFIER),
        Column(name="größe", kind=Kind.FLOAT, low=0, high=2.5, bins=(0.1, 1.25), nullable=True),
        Column(name="visits", kind=Kind.INTEGER, low=0, high=200, bins=(1, 5)),
        Column(name="since", kind=Kind.DATETIME, low=datetime(2000, 1, 1), high=datetime(2024, 12, 31, 23, 59, 59)),
        Column(name="plan", kind=Kind.CATEGORICAL, categories=("a", "b"), role=Role.SENSITIVE, secret=True),
        Column(name="sick", kind=Kind.BOOLEAN),
    ),
    target="plan",
    link=(("größe",), ("visits", "sick")),
)


DERIVATION = Derivation(
    source="r0",
    conditions=(Condition(column="sick", value="true"), Condition(column="größe", value="")),
    rebalance=Rebalance(column="plan", shares=(Share(value="a", share=0.25), Share(value="b", share=0.75))),
    rows=500,
)


def dataset(name: str = "randhie", **changes: object) -> DatasetRecord:
    made = Dataset(
        name=name, domain=DOMAIN, unit=PrivacyUnit(column="id", max_rows=2),
        sizes=PublicSizes(rows=200, units=100, max_rows=2, origin=SizeOrigin.COUNTED), account="people",
        policy="default", state=DatasetState.CREATED, registered_by="steward", created_at=EPOCH, warnings=("small",),
    )  # fmt: skip
    policy = replace(EXACT_POLICY, rules=(*EXACT_POLICY.rules, Rule(score="utility.tstr", at_least=0.5)))
    return DatasetRecord(
        dataset=replace(made, **changes),
        policy=policy,
        found={"größe": {"clamped": 3, "share": 0.1}},
        registrar_names=("stéphane", "steward"),
    )  # type: ignore[arg-type]


def release(id: str = "r1", **changes: object) -> ReleaseRecord:  # noqa: A002
    made = Release(
        id=id, dataset="randhie", account="people", engine="tree", because="asked", epsilon=1.0, delta=5e-8,
        share_ppm=123_240, state=ReleaseState.PENDING, requested_by="analyst", created_at=EPOCH, updated_at=EPOCH,
        reasons=("risk.copies ABOVE_THRESHOLD",), approvals=("officer",), sha256="ab", bytes=2**40, rows=1000,
    )  # fmt: skip
    return ReleaseRecord(
        release=replace(made, **changes),  # type: ignore[arg-type]
        plan={"version": 1, "parameters": {"sigma": 1.5440000000000003, "order": [1, 2]}},
        policy=EXACT_POLICY, verdict_number=2, statement={"epsilon": 1.0},
        artifacts={"data": "cd"}, failure="out of memory", approvals=('{"payload":"größe"}', "another"),
        requester_names=("analyst", "ann"),
    )  # fmt: skip
