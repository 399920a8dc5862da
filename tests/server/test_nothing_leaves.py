"""No byte of what is not released leaves: every RPC, in every state of a release, to every caller."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.message import Message

from server.gateway import Gateway
from server.identity import Office, Principal, digest
from server.rpc.audit import AuditRpc
from server.rpc.datasets import DatasetRpc
from server.rpc.ledger import LedgerRpc
from server.rpc.releases import ReleaseRpc
from synthgate.release import ReleaseState
from synthgate.v1 import audit_service_pb2, dataset_service_pb2, ledger_service_pb2, release_service_pb2
from synthgate.verify import read_revocations
from tests.e2e.calls import RPCS, Rpc
from tests.server.composed import ANALYST, STEWARD, TICK_S
from tests.server.released import DERIVED_PATHS, PATHS, Maker, charged, derived

OTHER, OFFICER = Principal("other", Office.ANALYST), Principal("officer", Office.OFFICER)
AUDITOR = Principal("auditor", Office.AUDITOR)
CALLERS: dict[str, Principal | None] = {
    "steward": STEWARD, "analyst": ANALYST, "other-analyst": OTHER, "officer": OFFICER, "auditor": AUDITOR,
    "no-token": None, "wrong-token": None,
}  # fmt: skip
PRINCIPALS = {digest(f"{p.name}-token"): p for p in CALLERS.values() if p is not None}
CONTENTS = {
    kind: f"marker of the {kind}, in every state".encode()
    for kind in ("data", "model", "report_json", "report_html", "report_decision")
}
REPORTS = {
    release_service_pb2.REPORT_FORMAT_UNSPECIFIED: "report_json",
    release_service_pb2.REPORT_FORMAT_HTML: "report_html",
    release_service_pb2.REPORT_FORMAT_DECISION: "report_decision",
}
PLANTED_ATTESTATION = b"marker of an attestation that nobody may read yet"
SERVICES = {"datasets": DatasetRpc, "releases": ReleaseRpc, "ledger": LedgerRpc, "audit": AuditRpc}


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker.under(tmp_path_factory.mktemp("leaving"))


@dataclass(frozen=True, slots=True)
class Cell:
    """A release in a state, derived or not, whose verdict an analyst may see by now or not."""

    state: ReleaseState
    is_derived: bool = False
    published: bool = True

    def made(self, maker: Maker) -> tuple[Gateway, str, dict[str, bytes]]:
        gateway, clock = maker.gateway()
        contents = CONTENTS | {"attestation": PLANTED_ATTESTATION}
        if self.is_derived:
            others = {kind: f"the source's {kind}".encode() for kind in CONTENTS}
            source = charged(gateway, ReleaseState.RELEASED, others)
            clock.seconds += 2 * TICK_S
            release = derived(gateway, source, self.state, contents)
        else:
            release = charged(gateway, self.state, contents)
        clock.seconds += 2 * TICK_S if self.published else 0.0
        with gateway.store.begin() as tx:
            stored = tx.releases.get(release).artifacts
        markers = {}
        for kind, sha256 in stored.items():
            with gateway.artifacts.open(sha256) as file:
                markers[kind] = file.read()
        return gateway, release, markers

    def entitled(self, caller: str) -> set[str]:
        """What the contract lets this caller have: the kinds of bytes."""
        kinds = set(REPORTS.values()) if caller in ("steward", "officer") else set()
        sees = caller in ("steward", "officer", "auditor") or (caller == "analyst" and self.published)
        if self.state is ReleaseState.RELEASED and sees:
            kinds |= {"attestation"} if caller == "auditor" else {"attestation", "data"}
        if self.state is ReleaseState.REVOKED and caller in ("steward", "officer", "auditor"):
            kinds |= {"attestation"}
        return kinds


CELLS = (
    *(Cell(state) for state in PATHS),
    *(Cell(state, is_derived=True) for state in DERIVED_PATHS),
    *(Cell(ReleaseState.RELEASED, is_derived=d, published=False) for d in (False, True)),
)


class Refused(Exception):
    """A call ended with a status."""


class Context:
    """What a servicer needs of gRPC's context; keeps every byte that a refusal would send."""

    def __init__(self, caller: str) -> None:
        principal = CALLERS[caller]
        token = f"{principal.name}-token" if principal else "guessed"
        self._metadata = () if caller == "no-token" else (("authorization", f"Bearer {token}"),)
        self.told = b""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    async def abort(self, code: object, details: str, metadata: Any) -> None:
        values = (v if isinstance(v, bytes) else v.encode() for _, v in metadata)
        self.told = details.encode() + b"".join(values)
        raise Refused


def requests(rpc: Rpc, release: str) -> Iterator[Any]:
    """What is sent: a report is asked for in all formats."""
    request = rpc.request(release, "table")
    yield request
    if rpc.name == "GetReport":
        yield release_service_pb2.GetReportRequest(id=release, format=release_service_pb2.REPORT_FORMAT_HTML)
        yield release_service_pb2.GetReportRequest(id=release, format=release_service_pb2.REPORT_FORMAT_DECISION)


async def answered(gateway: Gateway, rpc: Rpc, request: Any, caller: str) -> bytes:
    """Every byte that goes to the caller; of a watch the first message, which is all there is without a change."""
    context = Context(caller)
    method = getattr(SERVICES[rpc.service](gateway, PRINCIPALS), rpc.name)
    try:
        if isinstance(request, Iterator):

            async def sent() -> AsyncIterator[Message]:
                for message in request:
                    yield message

            return bytes((await method(sent(), context)).SerializeToString())
        answer = method(request, context)
        if not hasattr(answer, "__aiter__"):
            return bytes((await answer).SerializeToString())
        found = b""
        async for message in answer:
            found += message.SerializeToString()
            if rpc.name == "WatchRelease":
                break
        await answer.aclose()
        return found
    except Refused:
        return context.told


def test_the_table_of_calls_has_every_rpc() -> None:
    modules = {
        "audit": audit_service_pb2, "datasets": dataset_service_pb2, "releases": release_service_pb2,
        "ledger": ledger_service_pb2,
    }  # fmt: skip
    declared = {
        (service, method.name)
        for service, module in modules.items()
        for found in module.DESCRIPTOR.services_by_name.values()
        for method in found.methods
    }
    assert sorted(declared) == sorted((rpc.service, rpc.name) for rpc in RPCS)


@pytest.mark.guarantee("nothing-unreleased-leaves")
def test_every_rpc_in_every_state_gives_every_caller_what_is_theirs_and_no_more(
    maker: Maker, record_property: Callable[[str, object], None]
) -> None:
    async def run() -> int:
        tried = 0
        for cell in CELLS:
            gateway, release, markers = cell.made(maker)
            before = _held(gateway, release)
            for caller, rpc in itertools.product(CALLERS, RPCS):
                for request in requests(rpc, release):
                    _judge(maker, cell, caller, rpc, request, markers, await answered(gateway, rpc, request, caller))
                    tried += 1
                    if _held(gateway, release) != before:  # a call that was allowed: the next meets it anew
                        gateway, release, markers = cell.made(maker)
                        before = _held(gateway, release)
        return tried

    tried = asyncio.run(run())
    figure = f"{len(RPCS)} RPCs x {len(CELLS)} states x {len(CALLERS)} callers, reports in both forms: {tried} calls"
    record_property("reached", figure)


def _judge(
    maker: Maker, cell: Cell, caller: str, rpc: Rpc, request: Any, markers: dict[str, bytes], found: bytes
) -> None:
    """What left is what this call gives and this caller is entitled to; and whoever may not have the data is not told
    their digest either, except by the list of what is revoked, which names the data of that alone to everybody."""
    gives = {"DownloadRelease": {"data"}, "GetAttestation": {"attestation"}}.get(rpc.name, set())
    if rpc.name == "GetReport":
        gives = {REPORTS[request.format]}
    entitled = cell.entitled(caller)
    assert {kind for kind, marker in markers.items() if marker in found} == gives & entitled, (cell, caller, rpc.name)
    if rpc.name == "GetRevocations" and CALLERS[caller] is not None:
        envelope = release_service_pb2.GetRevocationsResponse.FromString(found).envelope
        known = read_revocations(envelope, maker.signer.public_pem)
        data = hashlib.sha256(markers["data"]).hexdigest() if "data" in markers else ""
        assert [e.sha256 for e in known.entries] == ([data] if cell.state is ReleaseState.REVOKED else []), cell
    if caller not in ("steward", "officer", "auditor") and not entitled:
        digests = [hashlib.sha256(marker).hexdigest().encode() for marker in markers.values()]
        assert not any(name in found for name in digests), (cell, caller, rpc.name)


def _held(gateway: Gateway, release: str) -> tuple[object, object]:
    with gateway.store.begin() as tx:
        return tx.releases.get(release).release.state, tx.datasets.get("table").dataset.state
