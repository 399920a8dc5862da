"""A gateway in this process, behind real gRPC on a loopback port: no privacy, no data, only answers."""

import contextlib
import hashlib
from collections import Counter
from concurrent import futures
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from synthgate.approval import Binding
from synthgate.budget import PrivacyBudget
from synthgate.client import convert
from synthgate.dataset import ColumnFindings, Dataset, DatasetState, DatasetView
from synthgate.errors import NotFound, SynthgateError, Unauthenticated, WrongState
from synthgate.ledger import Account, AccountView, Balance, Charge, Entry, EntryKind
from synthgate.release import Quote, Release, ReleaseState
from synthgate.report import Better, Report, Score
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

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOTHING = Charge(epsilon=0, delta=0, rdp=0)
BINDING = Binding(
    release="r1", dataset="demo", registrar="steward", domain="d" * 64, account="people", engine="tree",
    requester="analyst", data="ab" * 32, model="", report="e" * 64, report_page="f" * 64,
    decision_page="9" * 64, policy="two",
    policy_digest="c" * 64, plan="a" * 64, statement="b" * 64, verdict=1, verdicts_allowed=3, salt="0" * 64,
)  # fmt: skip


@dataclass
class Gateway:
    """What the fake remembers, and the faults that a test asks for by method name."""

    accounts: dict = field(default_factory=dict)
    entries: list = field(default_factory=list)
    plan_prices: tuple = ()
    records: tuple = ()
    datasets: dict = field(default_factory=dict)
    releases: dict = field(default_factory=dict)
    uploads: dict = field(default_factory=dict)
    linked: list = field(default_factory=list)
    answers: dict = field(default_factory=dict)
    faults: dict = field(default_factory=dict)
    calls: Counter = field(default_factory=Counter)
    deadlines: dict = field(default_factory=dict)
    artifact: bytes = b""
    envelope: bytes = b"{}"
    public_key: str = "PEM"
    states: tuple = (ReleaseState.TRAINING, ReleaseState.EVALUATING, ReleaseState.RELEASED)
    refusals: tuple = ()
    break_after: int | None = None
    page: int = 2
    address: str = ""
    tokens: tuple = ("s3cret",)

    def fail(self, method, *errors):
        """Let the next calls of a method fail, one error each."""
        self.faults.setdefault(method, []).extend(errors)


def abort(context, error):
    """End a call as the contract says: a status with ErrorInfo, or a bare status code."""
    if isinstance(error, grpc.StatusCode):
        context.abort(error, "foreign words")
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain="synthgate", metadata=error.facts))
    code = grpc.StatusCode.FAILED_PRECONDITION.value[0]
    context.abort_with_status(
        rpc_status.to_status(status_pb2.Status(code=code, message=error.message, details=[detail]))
    )


class Checks(grpc.ServerInterceptor):
    """Counts calls, checks the token, and raises the faults that a test asked for."""

    def __init__(self, gateway):
        self.gateway = gateway

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        name = details.method.rsplit("/", 1)[-1]
        metadata = dict(details.invocation_metadata)

        def checked(behaviour, streams):
            def call(request, context):
                self.gateway.calls[name] += 1
                self.gateway.deadlines[name] = context.time_remaining()
                if metadata.get("authorization") not in {f"Bearer {t}" for t in self.gateway.tokens}:
                    abort(context, Unauthenticated("no such token"))
                if self.gateway.faults.get(name):
                    abort(context, self.gateway.faults[name].pop(0))
                return behaviour(request, context)

            def caught(request, context):
                try:
                    return call(request, context)
                except SynthgateError as error:
                    abort(context, error)

            def caught_stream(request, context):
                try:
                    yield from call(request, context)
                except SynthgateError as error:
                    abort(context, error)

            return caught_stream if streams else caught

        kinds = {
            (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
        }
        make, behaviour = kinds[(handler.request_streaming, handler.response_streaming)]
        return make(
            checked(behaviour, handler.response_streaming),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class Ledger(ledger_service_pb2_grpc.LedgerServiceServicer):
    def __init__(self, gateway):
        self.g = gateway

    def OpenAccount(self, request, context):  # noqa: N802
        if request.request_id not in self.g.answers:
            cap = PrivacyBudget.cap(request.epsilon, request.delta)
            account = Account(
                name=request.name,
                cap=cap,
                order=9,
                capacity=1_578_800_000_000,
                sandbox=request.sandbox,
                opened_by="steward",
                opened_at=NOW,
            )
            balance = Balance(account=account, committed=NOTHING, reserved=NOTHING)
            self.g.accounts[request.name] = AccountView(balance=balance, taken_ppm=0, largest_epsilon=3.0, verdicts=0)
            self.g.answers[request.request_id] = request.name
            self.note(EntryKind.OPEN, account, "")
        return ledger_service_pb2.OpenAccountResponse(balance=self.seen(request.name))

    def AmendAccount(self, request, context):  # noqa: N802
        view = self.g.accounts[request.name]
        account = view.balance.account
        cap = PrivacyBudget.cap(
            request.epsilon if request.HasField("epsilon") else account.cap.epsilon,
            request.delta if request.HasField("delta") else account.cap.delta,
        )
        account = replace(account, cap=cap, verdicts_granted=request.verdicts_granted)
        self.g.accounts[request.name] = replace(view, balance=replace(view.balance, account=account))
        self.note(EntryKind.AMEND, account, request.reason)
        return ledger_service_pb2.AmendAccountResponse(balance=self.seen(request.name))

    def ListAccounts(self, request, context):  # noqa: N802
        return ledger_service_pb2.ListAccountsResponse(balances=map(convert.balance_to_proto, self.g.accounts.values()))

    def GetBalance(self, request, context):  # noqa: N802
        return ledger_service_pb2.GetBalanceResponse(balance=self.seen(request.name))

    def ListEntries(self, request, context):  # noqa: N802
        start = int(request.page_token or 0)
        some = self.g.entries[start : start + self.g.page]
        more = str(start + self.g.page) if start + self.g.page < len(self.g.entries) else ""
        named = {e.reservation for e in some if e.kind is EntryKind.RESERVE} if request.price_plans else ()
        prices = [convert.plan_price_to_proto(p) for p in self.g.plan_prices if p.release in named]
        return ledger_service_pb2.ListEntriesResponse(
            entries=map(convert.entry_to_proto, some), next_page_token=more, plan_prices=prices
        )

    def seen(self, name):
        if name not in self.g.accounts:
            raise NotFound("no such account")
        return convert.balance_to_proto(self.g.accounts[name])

    def note(self, kind, account, reason):
        self.g.entries.append(
            Entry(
                sequence=len(self.g.entries) + 1,
                account=account.name,
                kind=kind,
                principal="steward",
                reason=reason,
                at=NOW,
                previous="0" * 64,
                digest="1" * 64,
                cap=account.cap,
            )
        )


class Audit(audit_service_pb2_grpc.AuditServiceServicer):
    def __init__(self, gateway):
        self.g = gateway

    def ListAuditRecords(self, request, context):  # noqa: N802 - gRPC names it
        after = int(request.page_token or 0)
        found = self.g.records[after : after + self.g.page]
        token = str(after + self.g.page) if after + self.g.page < len(self.g.records) else ""
        return audit_service_pb2.ListAuditRecordsResponse(
            records=map(convert.record_to_proto, found), next_page_token=token
        )

    def GetCheckpoint(self, request, context):  # noqa: N802
        return audit_service_pb2.GetCheckpointResponse(envelope=self.g.envelope, public_key=self.g.public_key)


class Datasets(dataset_service_pb2_grpc.DatasetServiceServicer):
    def __init__(self, gateway):
        self.g = gateway

    def CreateDataset(self, request, context):  # noqa: N802
        unit, policy = convert.unit_from_proto(request.unit), convert.requested_policy(request)
        dataset = Dataset(
            name=request.name, domain=convert.domain_from_proto(request.domain), unit=unit,
            sizes=convert.sizes_from_proto(request.sizes, unit), account=request.account, policy=policy.name,
            state=DatasetState.CREATED, registered_by="steward", created_at=NOW, warnings=("below 5,000 units",),
        )  # fmt: skip
        self.g.datasets[request.name] = DatasetView(dataset=dataset, policy=policy)
        return dataset_service_pb2.CreateDatasetResponse(dataset=self.seen(request.name))

    def GetDataset(self, request, context):  # noqa: N802
        return dataset_service_pb2.GetDatasetResponse(dataset=self.seen(request.name))

    def ListDatasets(self, request, context):  # noqa: N802
        return dataset_service_pb2.ListDatasetsResponse(datasets=[self.seen(name) for name in self.g.datasets])

    def DeleteDataset(self, request, context):  # noqa: N802
        self.seen(request.name)
        self.move(request.name, state=DatasetState.DELETED)
        return dataset_service_pb2.DeleteDatasetResponse(dataset=self.seen(request.name))

    def LinkDataset(self, request, context):  # noqa: N802
        self.seen(request.name)
        self.g.linked.append((request.name, request.distinct, request.reason))
        self.move(request.name, state=DatasetState.INGESTING)
        return dataset_service_pb2.LinkDatasetResponse(dataset=self.seen(request.name))

    def GetUpload(self, request, context):  # noqa: N802
        self.seen(request.dataset)
        return dataset_service_pb2.GetUploadResponse(upload=self.upload(request.dataset))

    def UploadRows(self, requests, context):  # noqa: N802
        header = next(requests).header
        state = self.g.uploads.setdefault(header.dataset, {"data": b""})
        state["header"] = header
        for request in requests:
            assert request.chunk.offset == len(state["data"])
            state["data"] += request.chunk.data
            if self.g.break_after is not None and len(state["data"]) >= self.g.break_after:
                self.g.break_after = None
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        assert hashlib.sha256(state["data"]).hexdigest() == header.sha256
        found = (ColumnFindings(column="a", clamped=2),)
        self.g.datasets[header.dataset] = replace(self.g.datasets[header.dataset], findings=found)
        self.move(header.dataset, state=DatasetState.READY)
        return dataset_service_pb2.UploadRowsResponse(upload=self.upload(header.dataset))

    def upload(self, name):
        state = self.g.uploads.get(name)
        if state is None:
            return dataset_service_pb2.Upload(dataset=name)
        header = state["header"]
        return dataset_service_pb2.Upload(
            dataset=name, received_bytes=len(state["data"]), total_bytes=header.total_bytes, sha256=header.sha256
        )

    def move(self, name, **change):
        view = self.g.datasets[name]
        self.g.datasets[name] = replace(view, dataset=replace(view.dataset, **change))

    def seen(self, name):
        if name not in self.g.datasets:
            raise NotFound("no such dataset")
        view = self.g.datasets[name]
        return convert.dataset_to_proto(view.dataset, policy=view.policy, findings=view.findings)


class Releases(release_service_pb2_grpc.ReleaseServiceServicer):
    def __init__(self, gateway):
        self.g = gateway

    def CreateRelease(self, request, context):  # noqa: N802
        if request.request_id not in self.g.answers:
            release = Release(
                id=f"r{len(self.g.releases) + 1}",
                dataset=request.dataset,
                account="people",
                engine=request.engine or "tree",
                derivation=convert.derivation_from_proto(request.derivation)
                if request.HasField("derivation")
                else None,
                because="few columns",
                epsilon=request.epsilon,
                delta=request.delta if request.HasField("delta") else 5e-8,
                share_ppm=123_000,
                state=ReleaseState.PENDING,
                requested_by="analyst",
                created_at=NOW,
                updated_at=NOW,
            )
            self.g.releases[release.id] = release
            self.g.answers[request.request_id] = release.id
        return release_service_pb2.CreateReleaseResponse(release=self.seen(self.g.answers[request.request_id]))

    def QuoteRelease(self, request, context):  # noqa: N802
        return convert.quote_to_proto(
            Quote(
                engine="tree",
                because="few columns",
                epsilon=request.epsilon,
                delta=5e-8,
                plan_epsilon=0.99,
                share_ppm=123_000,
                taken_ppm=100_000,
                after_ppm=223_000,
                largest_epsilon=2.5,
                refusals=self.g.refusals,
                rows=1_000,
            )
        )

    def GetRelease(self, request, context):  # noqa: N802
        return release_service_pb2.GetReleaseResponse(release=self.seen(request.id))

    def ListReleases(self, request, context):  # noqa: N802
        return release_service_pb2.ListReleasesResponse(
            releases=[self.seen(r.id) for r in self.g.releases.values() if request.dataset in ("", r.dataset)]
        )

    def WatchRelease(self, request, context):  # noqa: N802
        yield release_service_pb2.WatchReleaseResponse(release=self.seen(request.id))
        for state in self.g.states:
            if self.g.faults.get("within"):
                abort(context, self.g.faults["within"].pop(0))
            self.move(request.id, state=state, stage=state.lower())
            yield release_service_pb2.WatchReleaseResponse(release=self.seen(request.id))

    def CancelRelease(self, request, context):  # noqa: N802
        self.move(request.id, state=ReleaseState.CANCELLED)
        return release_service_pb2.CancelReleaseResponse(release=self.seen(request.id))

    def DownloadRelease(self, request, context):  # noqa: N802
        data, sha256 = self.g.artifact, hashlib.sha256(self.g.artifact).hexdigest()
        self.seen(request.id)
        for start in range(request.offset, len(data), 1_000):
            if self.g.break_after is not None and start >= self.g.break_after:
                self.g.break_after = None
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            piece = data[start : start + 1_000]
            yield release_service_pb2.DownloadReleaseResponse(
                offset=start, data=piece, total_bytes=len(data), sha256=sha256
            )

    def GetReport(self, request, context):  # noqa: N802
        if request.format == release_service_pb2.REPORT_FORMAT_HTML:
            return release_service_pb2.GetReportResponse(content=b"<html></html>", media_type="text/html")
        if request.format == release_service_pb2.REPORT_FORMAT_DECISION:
            return release_service_pb2.GetReportResponse(content=b"<html>decide</html>", media_type="text/html")
        score = Score(name="risk.copies", value=0.0, low=0.0, high=0.004, better=Better.LOWER)
        content = convert_json(Report(scores=(score,)).to_dict())
        return release_service_pb2.GetReportResponse(content=content, media_type="application/json")

    def GetAttestation(self, request, context):  # noqa: N802
        return release_service_pb2.GetAttestationResponse(envelope=self.g.envelope, public_key=self.g.public_key)

    def ApproveRelease(self, request, context):  # noqa: N802
        binding = self.g.releases[request.id].binding
        if binding is None or request.binding != binding.digest:
            raise WrongState("look at it first")
        self.move(request.id, state=ReleaseState.RELEASED, approvals=("officer",))
        return release_service_pb2.ApproveReleaseResponse(release=self.seen(request.id))

    def RejectRelease(self, request, context):  # noqa: N802
        self.move(request.id, state=ReleaseState.REJECTED)
        return release_service_pb2.RejectReleaseResponse(release=self.seen(request.id))

    def RevokeRelease(self, request, context):  # noqa: N802
        self.move(request.id, state=ReleaseState.REVOKED)
        return release_service_pb2.RevokeReleaseResponse(release=self.seen(request.id))

    def GetRevocations(self, request, context):  # noqa: N802
        return release_service_pb2.GetRevocationsResponse(envelope=self.g.envelope, public_key=self.g.public_key)

    def move(self, name, **change):
        self.g.releases[name] = replace(self.g.releases[name], **change)

    def seen(self, name):
        if name not in self.g.releases:
            raise NotFound("no such release")
        return convert.release_to_proto(self.g.releases[name])


def convert_json(document):
    import json

    return json.dumps(document).encode()


@contextlib.contextmanager
def serving(gateway):
    """The fake on an ephemeral port; its address is on ``gateway.address``."""
    server = grpc.server(futures.ThreadPoolExecutor(8), interceptors=[Checks(gateway)])
    audit_service_pb2_grpc.add_AuditServiceServicer_to_server(Audit(gateway), server)
    ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server(Ledger(gateway), server)
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(Datasets(gateway), server)
    release_service_pb2_grpc.add_ReleaseServiceServicer_to_server(Releases(gateway), server)
    gateway.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield gateway
    finally:
        server.stop(None).wait()
