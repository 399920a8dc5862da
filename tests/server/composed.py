"""A composed gateway with real stores and no queue; the clock is a number that the tests set."""

import itertools
import threading
from dataclasses import replace
from datetime import UTC, datetime

from server import datasets, requests
from server.catalog.base import DatasetRecord
from server.gateway import Call, Gateway
from server.identity import Office, Principal
from synthgate.dataset import DatasetState, PrivacyUnit, PublicSizes
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.policy import EXACT_POLICY, Policy

TICK_S = 15.0
START = datetime(2026, 1, 1, tzinfo=UTC)
STEWARD, ANALYST = Principal("steward", Office.STEWARD), Principal("analyst", Office.ANALYST)
DOMAIN = Domain(
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=0, high=99),
        Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m")),
        Column(name="ill", kind=Kind.BOOLEAN, role=Role.SENSITIVE, secret=True),
    )
)
SIZES = PublicSizes(rows=6_000, units=6_000)
_ids = itertools.count()


class Clock:
    """Seconds since START, as the tests say."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(START.timestamp() + self.seconds, UTC)


def call(principal: Principal) -> Call:
    return Call(principal, "test", f"r{next(_ids)}", "payload")


def registered(
    gateway: Gateway,
    name: str = "table",
    state: DatasetState = DatasetState.READY,
    *,
    policy: Policy = EXACT_POLICY,
    domain: Domain = DOMAIN,
    sizes: PublicSizes = SIZES,
) -> DatasetRecord:
    datasets.register(
        gateway, call(STEWARD), name=name, domain=domain, unit=PrivacyUnit(), sizes=sizes, account="people",
        policy=policy,
    )  # fmt: skip
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
        found = {datasets.READY_AT: gateway.now().isoformat()}
        tx.datasets.replace(
            replace(record, dataset=replace(record.dataset, state=state), found=found), expected=DatasetState.CREATED
        )
        return tx.datasets.get(name)


def asked(gateway: Gateway, dataset: str = "table") -> str:
    return requests.create(
        gateway, call(ANALYST), dataset=dataset, engine="independent", epsilon=0.1, delta=None
    ).release.id


def leased(gateway: Gateway, name: str) -> None:
    """Give the gateway the lease of a job, as its queue does."""
    since = gateway.leases.monotonic()
    with gateway.store.begin() as tx:
        lease = gateway.leases.take(tx, name)
    assert lease is not None
    gateway.leases.own(lease, since=since)
    gateway.running[name] = threading.Event()
