"""The composition root: put the parts together, recover, listen, and go down in order.

``serve`` writes ``<state>/endpoint`` and the tokens, and prints the address and the key's fingerprint once the gateway
answers.
"""

import asyncio
import contextlib
import fcntl
import logging
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from server import checkpoints
from server.artifacts import Artifacts
from server.attestation import Signer
from server.config import MESSAGE_BYTES, Settings
from server.following import Follower
from server.gateway import Gateway
from server.heartbeat import Heartbeat
from server.identity import Office, Principals, authenticate, on_disk, provision
from server.keys import Keys
from server.leases import Leases
from server.preflight import check
from server.queue import Queue
from server.recovery import recover
from server.restore import Accepted, accept
from server.rpc.audit import AuditRpc
from server.rpc.datasets import DatasetRpc
from server.rpc.ledger import LedgerRpc
from server.rpc.releases import ReleaseRpc
from server.sealed import Sealed
from server.storage import storage_at
from server.store_sql import SqlStore
from synthgate.errors import PermissionDenied, Unavailable
from synthgate.v1 import (
    audit_service_pb2,
    audit_service_pb2_grpc,
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    ledger_service_pb2,
    ledger_service_pb2_grpc,
    release_service_pb2,
    release_service_pb2_grpc,
)

GRACE_S = 5.0
LOCK_S = 3.0
"""How long a starting gateway waits for the lock of its state folder."""
CONCURRENT_RPCS = 4_096
THREADS = 32
"""Threads for calls that block; more than cores, since most of them wait for the store."""
REQUEST_BYTES = 8 * 2**20
SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (dataset_service_pb2, "DatasetService"),
        (release_service_pb2, "ReleaseService"),
        (ledger_service_pb2, "LedgerService"),
        (audit_service_pb2, "AuditService"),
    )
)
WRITES = "synthgate.writes"
"""The health service that says whether the gateway changes anything, or only reads."""
log = structlog.get_logger()


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Lock the state folder for this process, or, where gateways share a database and with it the folder, this
    gateway's name in it. Raises Unavailable where the lock stays taken: a gateway that was killed while it started a
    worker leaves it to that child until the child has begun its program."""
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.state.chmod(0o700)
    settings.instances.mkdir(mode=0o700, exist_ok=True)
    place = settings.instances / f"{instance(settings)}.lock" if settings.shared else settings.state / "lock"
    with place.open("w") as lock:
        until = time.monotonic() + LOCK_S
        while not _taken(lock):
            if time.monotonic() > until:
                other = "--instance" if settings.shared else "--state"
                raise Unavailable(f"another gateway serves this state folder; stop it, or choose another {other}")
            time.sleep(LOCK_S / 50)
        yield


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def instance(settings: Settings) -> str:
    """The gateway's name: as set, else the host's where a database is shared. Alone, it is the same on every host."""
    return settings.instance or (socket.gethostname() if settings.shared else "gateway")


def compose(settings: Settings) -> Gateway:
    """The parts, on disk under ``settings.state``; artifacts where the settings say."""
    keys = Keys(settings.keys)
    storage = storage_at(settings.artifacts_url, default=settings.artifacts)
    artifacts = Artifacts(storage, keys.artifacts(settings.artifact_keys))
    return Gateway(
        settings=settings, store=SqlStore(settings.database), artifacts=artifacts, keys=keys,
        signer=Signer(keys.signing()), sealed=Sealed(settings.attempts, keys),
        leases=Leases(
            instance=instance(settings), ttl_s=settings.lease_s, margin_s=settings.heartbeat_s,
            alone=not settings.shared,
        ),
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[Gateway, int]]:
    """A gateway that answers; yields it and its port."""
    with only_one(settings):
        gateway = compose(settings)
        principals = await asyncio.to_thread(opened, gateway)
        queue, heartbeat, follower = Queue(gateway), Heartbeat(gateway), Follower(gateway)
        server, port, checks = await _listen(gateway, principals)
        await server.start()
        heartbeat.start()
        queue.start()
        if settings.shared:
            follower.start()
        (settings.state / "endpoint").write_text(f"{settings.host}:{port}")
        beside = [asyncio.create_task(work) for work in (checkpoints.keep_taking(gateway), _tell(gateway, checks))]
        try:
            yield gateway, port
        finally:
            for task in beside:
                task.cancel()
            await server.stop(GRACE_S)
            await asyncio.to_thread(queue.stop)
            await asyncio.to_thread(follower.stop)
            await asyncio.to_thread(heartbeat.stop)
            await asyncio.to_thread(_last_checkpoint, gateway)
            gateway.store.close()


def _last_checkpoint(gateway: Gateway) -> None:
    """What a gateway that goes down leaves; a store that fails then is no reason not to go down."""
    if gateway.doubt.reason:
        return
    try:
        checkpoints.take(gateway)
    except Exception:
        log.exception("the last checkpoint was not taken")


def opened(gateway: Gateway) -> Principals:
    """Verify the books, and begin to write only where they contain their newest checkpoint. Returns who may call."""
    check(gateway.store)
    with gateway.store.begin() as tx:
        checkpoints.compare(gateway, tx, starting=True)
    if gateway.doubt.reason:
        log.error("read-only", why=gateway.doubt.reason)
        return on_disk(gateway.settings.tokens, gateway.settings.principals)
    principals = provision(gateway.store, gateway.settings.tokens, gateway.settings.principals, at=gateway.at)
    for release in recover(gateway):
        log.warning("closed after a restart", release=release)
    checkpoints.take(gateway)
    return principals


async def _tell(gateway: Gateway, checks: health.aio.HealthServicer) -> None:
    """Say by `WRITES`, every second, whether the gateway changes anything."""
    status = health_pb2.HealthCheckResponse
    while True:
        await checks.set(WRITES, status.NOT_SERVING if gateway.doubt.reason else status.SERVING)
        await asyncio.sleep(1.0)


async def _listen(gateway: Gateway, principals: Principals) -> tuple[grpc.aio.Server, int, health.aio.HealthServicer]:
    options = (
        ("grpc.max_receive_message_length", REQUEST_BYTES),
        ("grpc.max_send_message_length", MESSAGE_BYTES),
        ("grpc.so_reuseport", 0),
    )
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=CONCURRENT_RPCS)
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(DatasetRpc(gateway, principals), server)  # type: ignore[no-untyped-call]
    release_service_pb2_grpc.add_ReleaseServiceServicer_to_server(ReleaseRpc(gateway, principals), server)  # type: ignore[no-untyped-call]
    ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server(LedgerRpc(gateway, principals), server)  # type: ignore[no-untyped-call]
    audit_service_pb2_grpc.add_AuditServiceServicer_to_server(AuditRpc(gateway, principals), server)  # type: ignore[no-untyped-call]
    checks = health.aio.HealthServicer()
    for name in ("", *SERVICES):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    status = health_pb2.HealthCheckResponse
    await checks.set(WRITES, status.NOT_SERVING if gateway.doubt.reason else status.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    if gateway.settings.reflection:
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return server, server.add_insecure_port(f"{gateway.settings.host}:{gateway.settings.port}"), checks


def accept_restore(settings: Settings, *, token: str, reason: str) -> Accepted:
    """Accept a restored database, while no gateway serves it, as the officer whose token this is. Raises Unavailable,
    Unauthenticated, PermissionDenied, and what `server.restore.accept` raises."""
    with only_one(settings):
        gateway = compose(settings)
        try:
            principal = authenticate(on_disk(settings.tokens, settings.principals), f"Bearer {token}")
            if principal.office is not Office.OFFICER:
                raise PermissionDenied(
                    f"the role {principal.office} may not accept a restored database; an officer may"
                )
            check(gateway.store)
            return accept(gateway, by=principal.name, reason=reason)
        finally:
            gateway.store.close()


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="rpc"))
    async with running(settings) as (gateway, port):
        sys.stdout.write(f"listening on {settings.host}:{port}\nkey {gateway.signer.fingerprint}\n")
        if gateway.doubt.reason:
            sys.stdout.write(f"read-only: {gateway.doubt.reason}\n")
        sys.stdout.flush()
        await stop.wait()


def configure_logging() -> None:
    """One JSON line an event, on standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
