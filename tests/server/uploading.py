"""Uploads of people with ids to a composed gateway, ingested by its own worker, without the queue."""

import contextlib
import hashlib

from server import accounts, datasets, ingestion
from server.catalog.base import DatasetRecord
from server.gateway import Gateway
from server.identity import Office, Principal
from synthgate.dataset import PrivacyUnit, PublicSizes
from synthgate.errors import AlreadyExists
from synthgate.policy import EXACT_POLICY
from tests.server.composed import DOMAIN, STEWARD, call, leased

OFFICER = Principal("officer", Office.OFFICER)
COLLEAGUE = Principal("colleague", Office.STEWARD)
FOREIGNER = Principal("steward", Office.STEWARD, "abroad")


def people(first: int, last: int) -> bytes:
    """A table of the people with these numbers, one row each."""
    lines = (f"p{i},{i % 90},{'fm'[i % 2]},{'yn'[i % 7 == 0]}\n" for i in range(first, last))
    return b"who,age,sex,ill\n" + "".join(lines).encode()


def declared(gateway: Gateway, name: str, account: str, by: Principal = STEWARD) -> None:
    """Register a dataset of people, on an account that is opened where it does not exist."""
    with contextlib.suppress(AlreadyExists):
        accounts.open_account(gateway, call(by), name=account, epsilon=3.0, delta=1e-6, sandbox=False)
    datasets.register(
        gateway, call(by), name=name, domain=DOMAIN, unit=PrivacyUnit(column="who"),
        sizes=PublicSizes(rows=6_000, units=6_000), account=account, policy=EXACT_POLICY,
    )  # fmt: skip


def sent(gateway: Gateway, name: str, content: bytes, by: Principal = STEWARD) -> None:
    """Upload it, so that it is INGESTING."""
    upload = datasets.Upload(gateway, name)
    upload.begin(total_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    upload.append(0, content)
    upload.finish(by)


def ingested(gateway: Gateway, name: str) -> DatasetRecord:
    """The record after its ingest ran once."""
    job = ingestion.ingest_job(name)
    leased(gateway, job)
    ingestion.ingest(gateway, name)
    gateway.running.pop(job)
    gateway.leases.release(gateway.store, job)
    with gateway.store.begin() as tx:
        return tx.datasets.get(name)


def uploaded(gateway: Gateway, name: str, account: str, content: bytes, by: Principal = STEWARD) -> DatasetRecord:
    """Declared, sent and ingested."""
    declared(gateway, name, account, by)
    sent(gateway, name, content, by)
    return ingested(gateway, name)
