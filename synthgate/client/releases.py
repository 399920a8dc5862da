"""What a `Client` does with releases: ask, price, follow, fetch, decide."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from synthgate.client import convert, transfer
from synthgate.client.transfer import Progress, quiet
from synthgate.client.wire import STREAM_TIMEOUT_S, Clock, Patience, Wire, chosen
from synthgate.derivation import Condition, Derivation, Rebalance
from synthgate.errors import DeadlineExceeded, InternalError, SynthgateError
from synthgate.release import Quote, Release
from synthgate.report import Report, ReportForm
from synthgate.v1 import release_service_pb2 as releases

REPORT_FORMATS = {
    ReportForm.JSON: releases.REPORT_FORMAT_JSON,
    ReportForm.HTML: releases.REPORT_FORMAT_HTML,
    ReportForm.DECISION: releases.REPORT_FORMAT_DECISION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAttestation:
    """A DSSE envelope (JSON), and the PEM of the key that the gateway says it signs with. Trust the fingerprint that
    the operator published, not this key."""

    envelope: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRevocations:
    """The same of a revocation list, for `synthgate.verify`."""

    envelope: bytes
    public_key: bytes


class ReleaseCalls:
    """The methods of `synthgate.Client` on releases."""

    _wire: Wire

    def create_release(
        self, dataset: str, *, epsilon: float, delta: float | None = None, engine: str = "", request_id: str = ""
    ) -> Release:
        """Reserve the charge and queue the work. Raises BudgetExhausted, PolicyRefused and others before any row is
        opened. ``delta`` None is a twentieth of the account's; ``engine`` "" is auto. Analysts, stewards."""
        request = releases.CreateReleaseRequest(
            request_id=chosen(request_id), dataset=dataset, engine=engine, epsilon=epsilon, delta=delta
        )
        return convert.release_from_proto(self._wire.call(self._wire.releases.CreateRelease, request).release)

    def derive_release(
        self,
        source: str,
        *,
        conditions: Mapping[str, str] | None = None,
        rebalance: Rebalance | None = None,
        rows: int = 0,
        replicates: int = 0,
        request_id: str = "",
    ) -> Release:
        """Ask for a sample of the model of a RELEASED release: no charge, no verdict of its own.

        ``conditions`` maps columns to what all rows have (`synthgate.derivation`: a value, ``LOW..HIGH``, or empty for
        null); ``rows`` 0 is as many as the source has, at most 10 times that. ``replicates`` (2 to 100)
        asks for so many tables of ``rows`` rows, to be combined by `synthgate.inference`. Raises WrongState,
        InvalidArgument and others; what the model cannot give is FAILED, and the release's ``stage`` says why.
        Analysts, stewards."""
        named = tuple(Condition(column=c, value=v) for c, v in (conditions or {}).items())
        derivation = Derivation(source=source, conditions=named, rebalance=rebalance, rows=rows, replicates=replicates)
        request = releases.CreateReleaseRequest(
            request_id=chosen(request_id), derivation=convert.derivation_to_proto(derivation)
        )
        return convert.release_from_proto(self._wire.call(self._wire.releases.CreateRelease, request).release)

    def quote_release(self, dataset: str, *, epsilon: float, delta: float | None = None, engine: str = "") -> Quote:
        """Price a request without touching data or budget. Analysts, stewards, officers."""
        request = releases.QuoteReleaseRequest(dataset=dataset, engine=engine, epsilon=epsilon, delta=delta)
        return convert.quote_from_proto(self._wire.call(self._wire.releases.QuoteRelease, request))

    def release(self, release: str) -> Release:
        """One release, as the caller may see it."""
        response = self._wire.call(self._wire.releases.GetRelease, releases.GetReleaseRequest(id=release))
        return convert.release_from_proto(response.release)

    def releases(self, dataset: str = "") -> tuple[Release, ...]:
        """The releases that the caller may see, of one dataset or of all, in the order of creation."""
        pages = self._wire.pages(self._wire.releases.ListReleases, releases.ListReleasesRequest(dataset=dataset))
        return tuple(convert.release_from_proto(r) for page in pages for r in page.releases)

    def watch(self, release: str, *, timeout_s: float = 3_600.0) -> Iterator[Release]:
        """The release now and after every change that the caller may see, until no decision is pending. Resumes over a
        restart of the gateway. Raises DeadlineExceeded after ``timeout_s``; the work goes on."""
        clock, patience = Clock(timeout_s), Patience(self._wire.retry)
        request, last = releases.WatchReleaseRequest(id=release), None
        while True:
            left_s = min(STREAM_TIMEOUT_S, clock.left_s(of="the release"))
            stream = self._wire.receive(self._wire.releases.WatchRelease, request, timeout_s=left_s)
            try:
                with contextlib.closing(stream):
                    for response in stream:
                        patience.heard()
                        seen = convert.release_from_proto(response.release)
                        if seen != last:
                            yield seen
                        last = seen
                        if seen.state.terminal:
                            return
                return
            except DeadlineExceeded:
                self._wire.retry.pause(1)  # the stream's limit; the clock knows whether it was the caller's too
            except SynthgateError as error:
                patience.spend(error)

    def cancel(self, release: str, *, request_id: str = "") -> Release:
        """Stop the work; a charge that was committed stays. The requester, stewards."""
        request = releases.CancelReleaseRequest(request_id=chosen(request_id), id=release)
        return convert.release_from_proto(self._wire.call(self._wire.releases.CancelRelease, request).release)

    def download(self, release: str, path: Path, *, progress: Progress = quiet) -> Path:
        """Write the attested Parquet to ``*.parquet``, or a CSV made from it to ``*.csv``; resumes what broke off,
        checks the sha256, and replaces ``path`` at the end. The requester, stewards, officers."""
        transfer.download(self._wire, release, path, progress)
        return path

    def report(self, release: str) -> Report:
        """The scores: exact comparisons with private records; not differentially private; do not forward. Stewards,
        officers."""
        content = self.report_file(release, form=ReportForm.JSON)
        try:
            return Report.from_dict(json.loads(content))
        except (ValueError, KeyError, TypeError):
            raise InternalError("the report is not of a version that this client reads; upgrade synthgate") from None

    def report_file(self, release: str, *, form: ReportForm = ReportForm.HTML) -> bytes:
        """The report as a page that opens offline, as a decision page for paper, or as JSON. As private as `report`."""
        kind = REPORT_FORMATS[form]
        response = self._wire.call(self._wire.releases.GetReport, releases.GetReportRequest(id=release, format=kind))
        return bytes(response.content)

    def attestation(self, release: str) -> SignedAttestation:
        """The attestation of a RELEASED release, for `synthgate.verify.verify`."""
        response = self._wire.call(self._wire.releases.GetAttestation, releases.GetAttestationRequest(id=release))
        return SignedAttestation(envelope=bytes(response.envelope), public_key=response.public_key.encode())

    def approve(self, release: str, *, binding: str, reason: str, request_id: str = "") -> Release:
        """Approve a release AWAITING_APPROVAL; ``binding`` is the digest of the ``binding`` that was looked at. Raises
        WrongState where that is another by now. Officers."""
        request = releases.ApproveReleaseRequest(
            request_id=chosen(request_id), id=release, binding=binding, reason=reason
        )
        return convert.release_from_proto(self._wire.call(self._wire.releases.ApproveRelease, request).release)

    def reject(self, release: str, *, reason: str, request_id: str = "") -> Release:
        """Reject a release AWAITING_APPROVAL; its rows are destroyed. Officers."""
        request = releases.RejectReleaseRequest(request_id=chosen(request_id), id=release, reason=reason)
        return convert.release_from_proto(self._wire.call(self._wire.releases.RejectRelease, request).release)

    def revoke(self, release: str, *, reason: str, request_id: str = "") -> Release:
        """Take a RELEASED release back, and all that was derived from it; their data are destroyed. Officers."""
        request = releases.RevokeReleaseRequest(request_id=chosen(request_id), id=release, reason=reason)
        return convert.release_from_proto(self._wire.call(self._wire.releases.RevokeRelease, request).release)

    def revocations(self) -> SignedRevocations:
        """The signed list of all releases that are revoked, for `synthgate.verify.verify`."""
        response = self._wire.call(self._wire.releases.GetRevocations, releases.GetRevocationsRequest())
        return SignedRevocations(envelope=bytes(response.envelope), public_key=response.public_key.encode())
