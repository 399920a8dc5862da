"""Texts that no store keeps: a control character in any field of any method is the caller's fault, on every store."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.message import Message

from server import accounts, datasets, releases, requests
from server.app import compose
from server.config import Settings
from server.gateway import Gateway
from server.rpc import guard
from synthgate.errors import InvalidArgument, NotFound, SynthgateError
from tests import postgres
from tests.e2e.calls import RPCS, Rpc
from tests.server.composed import ANALYST, STEWARD, call
from tests.server.test_nothing_leaves import PRINCIPALS, SERVICES, Context, Refused
from tests.server.uploading import OFFICER

NUL, BELL = "r-\0x", "r-\x07x"
REFUSED = {"INVALID_ARGUMENT", "NOT_FOUND"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    url = postgres.database() if request.param == "postgresql" else ""
    gateway = compose(Settings(state=tmp_path_factory.mktemp("texts"), database_url=url))
    accounts.open_account(gateway, call(STEWARD), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
    yield gateway
    gateway.store.close()


def texts(message: Message, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every text of a message, those of what it holds included; one level of what repeats."""
    for field in message.DESCRIPTOR.fields:
        path = (*at, field.name)
        if field.type == field.TYPE_STRING:
            yield path
        elif field.type == field.TYPE_MESSAGE and len(at) < 3:
            yield from texts(field.message_type._concrete_class(), path)


def put(message: Message, path: tuple[str, ...], text: str) -> None:
    """Set the text at a path; of what repeats, one."""
    name, *rest = path
    repeated = message.DESCRIPTOR.fields_by_name[name].is_repeated
    value = getattr(message, name)
    if not rest:
        value.append(text) if repeated else setattr(message, name, text)
    else:
        put(value.add() if repeated else value, tuple(rest), text)


def plain(rpc: Rpc) -> Message:
    made = rpc.request("r-0", "table")
    first: Message = next(made) if isinstance(made, Iterator) else made
    return first


def sent(rpc: Rpc, path: tuple[str, ...], text: str) -> Message:
    request = plain(rpc)
    put(request, path, text)
    return request


class Coded(Context):
    """Keeps the code too."""

    code = "OK"

    async def abort(self, code: Any, details: str, metadata: Any) -> None:
        self.code = code.name
        await super().abort(code, details, metadata)


def answer(gateway: Gateway, rpc: Rpc, request: Message, text: str) -> str:
    """The code of the answer."""
    context = Coded(min(rpc.allowed))
    method = getattr(SERVICES[rpc.service](gateway, PRINCIPALS), rpc.name)

    async def run() -> None:
        if rpc.name == "UploadRows":

            async def stream() -> Any:
                yield request

            await method(stream(), context)
            return
        found = method(request, context)
        if hasattr(found, "__aiter__"):
            async for _ in found:
                return
        else:
            await found

    try:
        asyncio.run(run())
    except Refused:
        assert text.encode() not in context.told
    return context.code


CASES = [(rpc, path) for rpc in RPCS for path in texts(type(plain(rpc))())]


def test_every_text_of_every_method_may_be_wrong(opened: Gateway) -> None:
    assert len(CASES) > 2 * len(RPCS)
    for rpc, path in CASES:
        assert answer(opened, rpc, sent(rpc, path, NUL), NUL) == "INVALID_ARGUMENT", (rpc.name, path)
        found = answer(opened, rpc, sent(rpc, path, BELL), BELL)
        name = len(path) == 1 and path != ("reason",)
        assert found == "INVALID_ARGUMENT" if name else found not in ("DATA_LOSS", "INTERNAL"), (rpc.name, path)


def test_a_method_that_does_not_look_is_convicted(opened: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "check_texts", lambda request: None)
    with pytest.raises(AssertionError):
        test_every_text_of_every_method_may_be_wrong(opened)


READS: dict[str, Callable[[Gateway], object]] = {
    "a release": lambda g: releases.read(g, ANALYST, NUL),
    "an account": lambda g: accounts.view(g, NUL),
    "a dataset": lambda g: datasets.read(g, ANALYST, NUL),
    "a request": lambda g: requests.create(
        g, call(ANALYST), dataset=NUL, engine="independent", epsilon=0.1, delta=None
    ),
    "a number beyond the column": lambda g: accounts.amend_account(
        g, call(OFFICER), name="people", epsilon=None, delta=None, verdicts_granted=2**31, reason="many"
    ),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_the_store_itself_says_that_the_caller_is_at_fault(opened: Gateway, read: Callable[[Gateway], object]) -> None:
    """What gets by the methods is never told as a database that is to be restored."""
    try:
        read(opened)
    except SynthgateError as error:
        assert isinstance(error, InvalidArgument | NotFound), error
