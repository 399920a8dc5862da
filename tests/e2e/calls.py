"""Every RPC with a request that names one release and one dataset, and the roles that the contract allows it to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from synthgate.v1 import audit_service_pb2 as audit
from synthgate.v1 import dataset_service_pb2 as datasets
from synthgate.v1 import ledger_service_pb2 as ledger
from synthgate.v1 import release_service_pb2 as releases

STEWARD, ANALYST, OFFICER, AUDITOR = "steward", "analyst", "officer", "auditor"
EVERYONE = frozenset({STEWARD, ANALYST, OFFICER, AUDITOR})


@dataclass(frozen=True, slots=True)
class Rpc:
    """``request(release, dataset)`` is what is sent; nothing that it names needs to exist."""

    service: str
    name: str
    allowed: frozenset[str]
    request: Callable[[str, str], Any]

    def __str__(self) -> str:
        return self.name


def _upload(dataset: str) -> Iterator[datasets.UploadRowsRequest]:
    yield datasets.UploadRowsRequest(header=datasets.UploadHeader(dataset=dataset, total_bytes=1, sha256="0" * 64))


def _rpc(service: str, name: str, allowed: set[str] | frozenset[str], request: Callable[[str, str], Any]) -> Rpc:
    return Rpc(service, name, frozenset(allowed), request)


RPCS = (
    _rpc("datasets", "CreateDataset", {STEWARD}, lambda r, d: datasets.CreateDatasetRequest(name=d)),
    _rpc("datasets", "GetDataset", EVERYONE, lambda r, d: datasets.GetDatasetRequest(name=d)),
    _rpc("datasets", "ListDatasets", EVERYONE, lambda r, d: datasets.ListDatasetsRequest()),
    _rpc(
        "datasets", "DeleteDataset", {STEWARD, OFFICER},
        lambda r, d: datasets.DeleteDatasetRequest(request_id="x", name=d),
    ),
    _rpc(
        "datasets", "LinkDataset", {STEWARD, OFFICER}, lambda r, d: datasets.LinkDatasetRequest(request_id="x", name=d)
    ),
    _rpc("datasets", "UploadRows", {STEWARD}, lambda r, d: _upload(d)),
    _rpc("datasets", "GetUpload", {STEWARD}, lambda r, d: datasets.GetUploadRequest(dataset=d)),
    _rpc("releases", "CreateRelease", {ANALYST, STEWARD}, lambda r, d: releases.CreateReleaseRequest(dataset=d)),
    _rpc(
        "releases", "QuoteRelease", {ANALYST, STEWARD, OFFICER},
        lambda r, d: releases.QuoteReleaseRequest(dataset=d, epsilon=1.0),
    ),
    _rpc("releases", "GetRelease", EVERYONE, lambda r, d: releases.GetReleaseRequest(id=r)),
    _rpc("releases", "ListReleases", EVERYONE, lambda r, d: releases.ListReleasesRequest(dataset=d)),
    _rpc("releases", "WatchRelease", EVERYONE, lambda r, d: releases.WatchReleaseRequest(id=r)),
    _rpc(
        "releases", "CancelRelease", {ANALYST, STEWARD},
        lambda r, d: releases.CancelReleaseRequest(request_id=f"cancel {r}", id=r),
    ),
    _rpc(
        "releases", "DownloadRelease", {ANALYST, STEWARD, OFFICER}, lambda r, d: releases.DownloadReleaseRequest(id=r)
    ),
    _rpc("releases", "GetReport", {STEWARD, OFFICER}, lambda r, d: releases.GetReportRequest(id=r)),
    _rpc("releases", "GetAttestation", EVERYONE, lambda r, d: releases.GetAttestationRequest(id=r)),
    _rpc(
        "releases", "ApproveRelease", {OFFICER},
        lambda r, d: releases.ApproveReleaseRequest(request_id=f"approve {r}", id=r, binding="0" * 64, reason="looked"),
    ),
    _rpc(
        "releases", "RejectRelease", {OFFICER},
        lambda r, d: releases.RejectReleaseRequest(request_id=f"reject {r}", id=r, reason="looked"),
    ),
    _rpc(
        "releases", "RevokeRelease", {OFFICER},
        lambda r, d: releases.RevokeReleaseRequest(request_id=f"revoke {r}", id=r, reason="looked"),
    ),
    _rpc("releases", "GetRevocations", EVERYONE, lambda r, d: releases.GetRevocationsRequest()),
    _rpc("ledger", "OpenAccount", {STEWARD, OFFICER}, lambda r, d: ledger.OpenAccountRequest(name=d)),
    _rpc("ledger", "AmendAccount", {OFFICER}, lambda r, d: ledger.AmendAccountRequest(name=d, reason="why")),
    _rpc("ledger", "ListAccounts", EVERYONE, lambda r, d: ledger.ListAccountsRequest()),
    _rpc("ledger", "GetBalance", EVERYONE, lambda r, d: ledger.GetBalanceRequest(name=d)),
    _rpc("audit", "ListAuditRecords", {STEWARD, OFFICER, AUDITOR}, lambda r, d: audit.ListAuditRecordsRequest()),
    _rpc("audit", "GetCheckpoint", {STEWARD, OFFICER, AUDITOR}, lambda r, d: audit.GetCheckpointRequest()),
    _rpc("ledger", "ListEntries", {STEWARD, OFFICER, AUDITOR}, lambda r, d: ledger.ListEntriesRequest(account=d)),
)  # fmt: skip
