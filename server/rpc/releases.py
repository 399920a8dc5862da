"""ReleaseService: quotes, releases, what the gate let pass, and officers' decisions."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from functools import partial

from server import approvals, derived, releases, requests, revocation, serving
from server.catalog.base import ReleaseRecord
from server.gateway import Call, Gateway
from server.identity import Office, Principal, Principals
from server.rpc.guard import NOT_OF_PAGES, Guarded, answers, page_size, streams
from server.rpc.looks import Looks
from synthgate.client import convert
from synthgate.errors import InvalidArgument, NotFound
from synthgate.v1 import release_service_pb2 as pb
from synthgate.v1.release_service_pb2_grpc import ReleaseServiceServicer

STEWARD, ANALYST, OFFICER = Office.STEWARD, Office.ANALYST, Office.OFFICER
REPORT_KINDS = {
    pb.REPORT_FORMAT_UNSPECIFIED: "report_json",
    pb.REPORT_FORMAT_JSON: "report_json",
    pb.REPORT_FORMAT_HTML: "report_html",
    pb.REPORT_FORMAT_DECISION: "report_decision",
}
HEARTBEAT_S = 30.0
MARGIN_S = 0.05


def shown(record: ReleaseRecord) -> pb.Release:
    """The message of a record that was already cut to what the caller may see."""
    return convert.release_to_proto(record.release)


class ReleaseRpc(Guarded, ReleaseServiceServicer):
    """Convert in, call, convert out."""

    def __init__(self, gateway: Gateway, principals: Principals) -> None:
        super().__init__(gateway, principals)
        self.looks = Looks()

    @answers(ANALYST, STEWARD)
    def CreateRelease(self, request: pb.CreateReleaseRequest, call: Call) -> pb.CreateReleaseResponse:  # noqa: N802
        """Reserve the charge and queue the work, or queue a sample of a released model."""
        if request.HasField("derivation"):
            record = self._derive(request, call)
            return pb.CreateReleaseResponse(release=shown(releases.seen(self.gateway, record, call.principal)))
        record = requests.create(
            self.gateway, call, dataset=request.dataset, engine=request.engine, epsilon=request.epsilon,
            delta=request.delta if request.HasField("delta") else None,
        )  # fmt: skip
        return pb.CreateReleaseResponse(release=shown(releases.seen(self.gateway, record, call.principal)))

    def _derive(self, request: pb.CreateReleaseRequest, call: Call) -> ReleaseRecord:
        if request.dataset or request.engine or request.epsilon or request.HasField("delta"):
            raise InvalidArgument(
                "a derived release takes dataset and engine of its source and charges nothing: leave out dataset,"
                " engine, epsilon and delta"
            )
        return derived.create(self.gateway, call, convert.derivation_from_proto(request.derivation))

    @answers(ANALYST, STEWARD, OFFICER)
    def QuoteRelease(self, request: pb.QuoteReleaseRequest, call: Call) -> pb.QuoteReleaseResponse:  # noqa: N802
        """Price a request."""
        quote = requests.quote(
            self.gateway, call.principal, dataset=request.dataset, engine=request.engine, epsilon=request.epsilon,
            delta=request.delta if request.HasField("delta") else None,
        )  # fmt: skip
        return convert.quote_to_proto(quote)

    @answers()
    def GetRelease(self, request: pb.GetReleaseRequest, call: Call) -> pb.GetReleaseResponse:  # noqa: N802
        """Read one release."""
        return pb.GetReleaseResponse(release=shown(releases.read(self.gateway, call.principal, request.id)))

    @answers()
    def ListReleases(self, request: pb.ListReleasesRequest, call: Call) -> pb.ListReleasesResponse:  # noqa: N802
        """Read releases in the order of creation."""
        size = page_size(request.page_size)
        try:
            found = releases.read_some(
                self.gateway, call.principal, request.dataset, after=request.page_token, most=size + 1
            )
        except NotFound:
            raise InvalidArgument(NOT_OF_PAGES) from None
        token = found[size - 1].release.id if len(found) > size else ""
        return pb.ListReleasesResponse(releases=map(shown, found[:size]), next_page_token=token)

    @streams()
    async def WatchRelease(  # noqa: N802
        self, request: pb.WatchReleaseRequest, principal: Principal
    ) -> AsyncIterator[pb.WatchReleaseResponse]:
        """Send the release now and at every change that the caller may see, until it is at rest."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def told(_name: str) -> None:
            loop.call_soon_threadsafe(changed.set)

        last: pb.Release | None = None
        with self.gateway.news.listening(request.id, told):
            while True:
                changed.clear()
                look = partial(releases.watch, self.gateway, principal, request.id)
                record, due = await self.looks.of((principal, request.id), look)
                message = shown(record)
                if message != last:
                    yield pb.WatchReleaseResponse(release=message)
                last = message
                if record.release.state.terminal:
                    return
                await self._change(changed, principal, due=due)

    async def _change(self, changed: asyncio.Event, principal: Principal, *, due: bool) -> None:
        """Wait for news. An analyst's are told on a tick: the next where more is ``due``, else that after the news;
        whether there were any is asked without the store."""
        if principal.sees_stages:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), HEARTBEAT_S * random.uniform(0.5, 1.5))  # noqa: S311 (spreads load)
            return
        tick_s, quiet_s = self.gateway.settings.verdict_tick_s, 0.0
        patience_s = HEARTBEAT_S * random.uniform(1.0, 5.0)  # noqa: S311 (spreads load)
        while True:
            timeout_s = tick_s - self.gateway.now().timestamp() % tick_s + MARGIN_S
            await asyncio.sleep(timeout_s)
            quiet_s += timeout_s
            if due or changed.is_set():
                return
            if quiet_s > patience_s:  # news may have been lost: look, but not with every other watcher at one moment
                await asyncio.sleep(tick_s * random.uniform(0.0, 0.9))  # noqa: S311 (spreads load)
                return

    @answers(ANALYST, STEWARD)
    def CancelRelease(self, request: pb.CancelReleaseRequest, call: Call) -> pb.CancelReleaseResponse:  # noqa: N802
        """Stop the work."""
        return pb.CancelReleaseResponse(release=shown(releases.cancel(self.gateway, call, request.id)))

    @streams(ANALYST, STEWARD, OFFICER)
    async def DownloadRelease(  # noqa: N802
        self, request: pb.DownloadReleaseRequest, principal: Principal
    ) -> AsyncIterator[pb.DownloadReleaseResponse]:
        """Send the canonical Parquet from an offset, as `serving` lets it leave."""
        found = serving.pieces(self.gateway, principal, request.id, offset=request.offset)
        while (piece := await asyncio.to_thread(next, found, None)) is not None:
            yield pb.DownloadReleaseResponse(
                offset=piece.offset, data=piece.data, total_bytes=piece.total_bytes, sha256=piece.sha256
            )

    @answers(STEWARD, OFFICER)
    def GetReport(self, request: pb.GetReportRequest, call: Call) -> pb.GetReportResponse:  # noqa: N802
        """Read the report; exact and private."""
        if request.format not in REPORT_KINDS:
            raise InvalidArgument("this gateway knows no such form of a report; ask for JSON, HTML or DECISION")
        kind = REPORT_KINDS[request.format]
        content = releases.report(self.gateway, call.principal, request.id, kind=kind)
        media_type = "application/json" if kind == "report_json" else "text/html"
        return pb.GetReportResponse(content=content, media_type=media_type)

    @answers()
    def GetAttestation(self, request: pb.GetAttestationRequest, call: Call) -> pb.GetAttestationResponse:  # noqa: N802
        """Read the attestation of what was released."""
        envelope = releases.attestation(self.gateway, call.principal, request.id)
        return pb.GetAttestationResponse(envelope=envelope, public_key=self.gateway.signer.public_pem.decode())

    @answers(OFFICER)
    def ApproveRelease(self, request: pb.ApproveReleaseRequest, call: Call) -> pb.ApproveReleaseResponse:  # noqa: N802
        """Approve a release AWAITING_APPROVAL."""
        record = approvals.approve(self.gateway, call, request.id, binding=request.binding, reason=request.reason)
        return pb.ApproveReleaseResponse(release=shown(record))

    @answers(OFFICER)
    def RejectRelease(self, request: pb.RejectReleaseRequest, call: Call) -> pb.RejectReleaseResponse:  # noqa: N802
        """Reject a release AWAITING_APPROVAL."""
        record = approvals.reject(self.gateway, call, request.id, reason=request.reason)
        return pb.RejectReleaseResponse(release=shown(record))

    @answers(OFFICER)
    def RevokeRelease(self, request: pb.RevokeReleaseRequest, call: Call) -> pb.RevokeReleaseResponse:  # noqa: N802
        """Take a RELEASED release back."""
        record = revocation.revoke(self.gateway, call, request.id, reason=request.reason)
        return pb.RevokeReleaseResponse(release=shown(record))

    @answers()
    def GetRevocations(self, request: pb.GetRevocationsRequest, call: Call) -> pb.GetRevocationsResponse:  # noqa: N802
        """Read the signed list of what is revoked."""
        envelope = revocation.signed_list(self.gateway)
        return pb.GetRevocationsResponse(envelope=envelope, public_key=self.gateway.signer.public_pem.decode())
