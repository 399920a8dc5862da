"""The connection: one channel on the loopback interface, a token on every call, a deadline on every call, and retries
where the gateway could not be reached. Every mutating call carries a request id, so that sending it twice acts once."""

import ipaddress
import random
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from synthgate.client.faults import error_of
from synthgate.errors import Cancelled, DeadlineExceeded, InvalidArgument, SynthgateError, Unavailable
from synthgate.v1 import (
    audit_service_pb2_grpc,
    dataset_service_pb2_grpc,
    ledger_service_pb2_grpc,
    release_service_pb2_grpc,
)

Message = TypeVar("Message")
STREAM_TIMEOUT_S = 3_600.0
MAX_MESSAGE_BYTES = 64 * 2**20
"""What the client accepts of one message; a report's page with its pictures is the largest."""

PAGE = 1_000

_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How long to insist while the gateway cannot be reached.

    A single call is tried ``attempts`` times, with pauses that double from ``first_s`` to ``most_s`` and are drawn
    from the upper half of each. A stream is resumed until nothing was heard for ``patience_s``.
    """

    attempts: int = 5
    first_s: float = 0.2
    most_s: float = 2.0
    patience_s: float = 60.0

    def pause(self, failures: int) -> None:
        """Wait after that many failures in a row."""
        longest = min(self.most_s, self.first_s * 2 ** min(failures - 1, 30))
        threading.Event().wait(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, hides nothing


class Patience:
    """Tells a stream that broke whether to resume: until nothing was heard for ``retry.patience_s``."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self.heard()

    def heard(self) -> None:
        """Something arrived; the gateway is there."""
        self._since, self._failures = time.monotonic(), 0

    def spend(self, error: SynthgateError) -> None:
        """Pause before the next try. Raises ``error`` where trying again cannot help or took too long."""
        if not isinstance(error, (Unavailable, Cancelled)):
            raise error
        if time.monotonic() - self._since > self._retry.patience_s:
            raise error
        self._failures += 1
        self._retry.pause(self._failures)


class Wire:
    """The services behind one channel."""

    def __init__(self, address: str, token: str, *, timeout_s: float, retry: Retry) -> None:
        check_loopback(address)
        if not token or not token.isascii() or not token.isprintable():
            raise InvalidArgument("a token is a line of printable ASCII; read it from the gateway's tokens folder")
        if not 0 < timeout_s < float("inf"):
            raise InvalidArgument("timeout_s is a positive number of seconds")
        self.retry = retry
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self.datasets: Any = dataset_service_pb2_grpc.DatasetServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.releases: Any = release_service_pb2_grpc.ReleaseServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self.ledger: Any = ledger_service_pb2_grpc.LedgerServiceStub(self._channel)  # type: ignore[no-untyped-call]

        self.audit: Any = audit_service_pb2_grpc.AuditServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        self._channel.close()

    def call(self, method: Callable[..., Message], request: object) -> Message:
        """One call with one answer, tried again while the gateway cannot be reached. Raises SynthgateError."""
        for failures in range(1, self.retry.attempts + 1):
            try:
                return method(request, timeout=self._timeout_s, metadata=self._metadata)
            except grpc.RpcError as failure:
                error = error_of(failure)
                if not isinstance(error, Unavailable) or failures == self.retry.attempts:
                    raise error from None
            self.retry.pause(failures)
        raise InvalidArgument("retry.attempts is at least 1")

    def pages(self, method: Any, request: Any) -> Iterator[Any]:
        """The answers of a listing, page by page."""
        request.page_size = PAGE
        while True:
            page = self.call(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def send(self, method: Callable[..., Message], requests: Iterator[object]) -> Message:
        """One call with a stream of requests and one answer, tried once. Raises SynthgateError."""
        try:
            return method(requests, timeout=STREAM_TIMEOUT_S, metadata=self._metadata)
        except grpc.RpcError as failure:
            raise error_of(failure) from None

    def receive(self, method: Callable[..., Any], request: object, *, timeout_s: float) -> Generator[Any, None, None]:
        """One call with a stream of answers, tried once; cancelled when the reader stops. Raises SynthgateError."""
        call = method(request, timeout=timeout_s, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as failure:
            raise error_of(failure) from None
        finally:
            call.cancel()


class Clock:
    """What is left of a time limit."""

    def __init__(self, limit_s: float) -> None:
        self._end = time.monotonic() + limit_s

    def left_s(self, *, of: str) -> float:
        """Seconds left. Raises DeadlineExceeded when none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"{of} took longer than this client was told to wait; it goes on in the gateway")
        return left


def check_loopback(address: str) -> None:
    """Raises InvalidArgument unless the address stays on this machine: the channel is not encrypted, and the token and
    the rows would be readable on the way."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise InvalidArgument("an address is HOST:PORT, for instance 127.0.0.1:50051")
    if host == "localhost":
        return
    try:
        local = ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        local = False
    if not local:
        raise InvalidArgument("only loopback addresses can be used without encryption; open a tunnel to the gateway")


def chosen(request_id: str) -> str:
    """The caller's request id, or a new one."""
    return request_id or str(uuid.uuid4())
