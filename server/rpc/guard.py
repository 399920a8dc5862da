"""What every method does before and after its one line of work: authenticate, authorise, convert errors.

`answers` makes a unary gRPC method out of a plain function ``(self, request, call) -> response`` that may block; it
names the offices that may call it. Anybody else is told PERMISSION_DENIED before anything is read. A method whose
request carries a request id changes something, and is refused while the gateway only reads.
"""

import asyncio
import functools
import hashlib
import unicodedata
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from server.gateway import Call, Gateway
from server.identity import Office, Principal, Principals, authenticate
from server.rpc import errors
from synthgate.errors import InvalidArgument, PermissionDenied

REQUEST_ID = "request_id"
"""The field that makes a method a mutating one."""

EVERYONE = frozenset(Office)
PAGE_DEFAULT, PAGE_MAX = 100, 1_000
TOKEN_MAX = 18
"""Digits of a sequence number; what is longer is no number of a line and would overflow the store's integers."""
NOT_OF_PAGES = "page_token is not from the page before; start again without it"
Item = TypeVar("Item")


class Guarded:
    """The base of every servicer: the gateway it serves and the principals it knows."""

    def __init__(self, gateway: Gateway, principals: Principals) -> None:
        self.gateway = gateway
        self.principals = principals

    async def admit(self, context: Any, method: str, offices: frozenset[Office]) -> Principal:
        """The caller, if one of ``offices``. Raises Unauthenticated, PermissionDenied."""
        metadata = dict(context.invocation_metadata() or ())
        principal = authenticate(self.principals, metadata.get("authorization"))
        if principal.office not in offices:
            raise PermissionDenied(f"the role {principal.office} may not call {method}")
        return principal


async def refuse(context: Any, error: Exception, method: str) -> NoReturn:
    """End the call with what the caller may know of ``error``."""
    told = errors.status(errors.public(error, method))
    await context.abort(told.code, told.details, told.trailing_metadata)
    raise error


def answers(*offices: Office) -> Callable[[Callable[[Any, Any, Call], Message]], Any]:
    """A unary method for ``offices`` (everyone where none is named)."""
    allowed = frozenset(offices) or EVERYONE

    def decorate(work: Callable[[Any, Any, Call], Message]) -> Any:
        @functools.wraps(work)
        async def method(self: Guarded, request: Message, context: Any) -> Message:
            try:
                principal = await self.admit(context, work.__name__, allowed)
                check_texts(request)
                if REQUEST_ID in request.DESCRIPTOR.fields_by_name:
                    self.gateway.doubt.check()
                return await asyncio.to_thread(work, self, request, _call(principal, work.__name__, request))
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                await refuse(context, error, work.__name__)

        method.offices = allowed  # type: ignore[attr-defined]
        return method

    return decorate


def streams(*offices: Office) -> Callable[[Callable[[Any, Any, Principal], AsyncIterator[Message]]], Any]:
    """A server-streaming method for ``offices`` out of an async generator ``(self, request, principal)``."""
    allowed = frozenset(offices) or EVERYONE

    def decorate(work: Callable[[Any, Any, Principal], AsyncIterator[Message]]) -> Any:
        @functools.wraps(work)
        async def method(self: Guarded, request: Message, context: Any) -> AsyncIterator[Message]:
            try:
                principal = await self.admit(context, work.__name__, allowed)
                check_texts(request)
                async for message in work(self, request, principal):
                    yield message
            except (grpc.aio.AbortError, GeneratorExit):
                raise
            except Exception as error:
                await refuse(context, error, work.__name__)

        method.offices = allowed  # type: ignore[attr-defined]
        return method

    return decorate


def check_texts(request: Message, *, nested: bool = False) -> None:
    """Raise InvalidArgument for a text that cannot be kept: with NUL anywhere, and with any control character where
    it is an id or a name, that is, in a field of the request itself but its reason."""
    for field, value in request.ListFields():
        values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)
        for each in values:
            if isinstance(each, Message):
                check_texts(each, nested=True)
            elif isinstance(each, str):
                names = not nested and field.name != "reason"
                if "\0" in each or (names and any(unicodedata.category(c) == "Cc" for c in each)):
                    raise InvalidArgument(
                        f"{field.name} has a control character, which no text of ours has; leave it out"
                    )


def _call(principal: Principal, method: str, request: Message) -> Call:
    plain = type(request)()
    plain.CopyFrom(request)
    if REQUEST_ID in plain.DESCRIPTOR.fields_by_name:
        plain.ClearField(REQUEST_ID)
    payload = hashlib.sha256(plain.SerializeToString(deterministic=True)).hexdigest()
    return Call(principal, method, getattr(request, "request_id", ""), payload)


def page(items: tuple[Item, ...], key: Callable[[Item], str], size: int, token: str) -> tuple[tuple[Item, ...], str]:
    """One page of ``items`` and the token of the next. Raises InvalidArgument for a faulty size or token."""
    most, start = page_size(size), 0
    if token:
        found = [i for i, item in enumerate(items) if key(item) == token]
        if not found:
            raise InvalidArgument(NOT_OF_PAGES)
        start = found[0] + 1
    end = start + most
    return items[start:end], key(items[end - 1]) if end < len(items) else ""


def page_size(asked: int) -> int:
    """The size of a page. Raises InvalidArgument."""
    if not 0 <= asked <= PAGE_MAX:
        raise InvalidArgument(f"page_size lies between 1 and {PAGE_MAX}, or is 0 for {PAGE_DEFAULT}")
    return asked or PAGE_DEFAULT


def numbered(size: int, token: str) -> tuple[int, int]:
    """The size of a page of numbered lines, and the number that it comes after. Raises InvalidArgument."""
    after = token or "0"
    if not 0 <= size <= PAGE_MAX or len(after) > TOKEN_MAX or not (after.isascii() and after.isdecimal()):
        raise InvalidArgument(f"page_size is at most {PAGE_MAX}, and page_token comes from the page before")
    return size or PAGE_DEFAULT, int(after)
