"""DatasetService: declarations, uploads, deletion."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from server import datasets, erasure, populations
from server.catalog.base import DatasetRecord
from server.config import CHUNK_BYTES
from server.gateway import Call
from server.identity import Office
from server.rpc.guard import Guarded, answers, check_texts, page, refuse
from synthgate.client import convert
from synthgate.dataset import ColumnFindings
from synthgate.errors import InvalidTable, TooLarge
from synthgate.v1 import dataset_service_pb2 as pb
from synthgate.v1.dataset_service_pb2_grpc import DatasetServiceServicer

STEWARD, OFFICER = Office.STEWARD, Office.OFFICER
UPLOADERS = frozenset({STEWARD})


def shown(record: DatasetRecord) -> pb.Dataset:
    """The message of a record that was already cut to what the caller may see."""
    findings = [
        ColumnFindings(
            column=name, empty=cells["null"], unparsable=cells["unparsable"], clamped=cells["clamped"],
            undeclared=cells["other"],
        )
        for name, cells in record.found.get("columns", {}).items()
    ]  # fmt: skip
    return convert.dataset_to_proto(record.dataset, policy=record.policy, findings=findings)


class DatasetRpc(Guarded, DatasetServiceServicer):
    """Convert in, call, convert out."""

    @answers(STEWARD)
    def CreateDataset(self, request: pb.CreateDatasetRequest, call: Call) -> pb.CreateDatasetResponse:  # noqa: N802
        """Register a declaration."""
        unit = convert.unit_from_proto(request.unit)
        record = datasets.register(
            self.gateway, call, name=request.name, domain=convert.domain_from_proto(request.domain), unit=unit,
            sizes=convert.sizes_from_proto(request.sizes, unit), account=request.account,
            policy=convert.requested_policy(request),
        )  # fmt: skip
        return pb.CreateDatasetResponse(dataset=shown(record))

    @answers()
    def GetDataset(self, request: pb.GetDatasetRequest, call: Call) -> pb.GetDatasetResponse:  # noqa: N802
        """Read one dataset."""
        return pb.GetDatasetResponse(dataset=shown(datasets.read(self.gateway, call.principal, request.name)))

    @answers()
    def ListDatasets(self, request: pb.ListDatasetsRequest, call: Call) -> pb.ListDatasetsResponse:  # noqa: N802
        """Read all datasets."""
        records = datasets.read_all(self.gateway, call.principal)
        found, token = page(records, lambda r: r.dataset.name, request.page_size, request.page_token)
        return pb.ListDatasetsResponse(datasets=map(shown, found), next_page_token=token)

    @answers(STEWARD, OFFICER)
    def DeleteDataset(self, request: pb.DeleteDatasetRequest, call: Call) -> pb.DeleteDatasetResponse:  # noqa: N802
        """Destroy the rows."""
        deleted = erasure.delete(self.gateway, call, request.name)
        return pb.DeleteDatasetResponse(dataset=shown(datasets.seen(self.gateway, deleted, call.principal)))

    @answers(STEWARD, OFFICER)
    def LinkDataset(self, request: pb.LinkDatasetRequest, call: Call) -> pb.LinkDatasetResponse:  # noqa: N802
        """End the wait of a dataset that overlaps another account."""
        if request.distinct:
            populations.distinguish(self.gateway, call, request.name, reason=request.reason)
        else:
            populations.link(self.gateway, call, request.name)
        return pb.LinkDatasetResponse(dataset=shown(datasets.read(self.gateway, call.principal, request.name)))

    @answers(STEWARD)
    def GetUpload(self, request: pb.GetUploadRequest, call: Call) -> pb.GetUploadResponse:  # noqa: N802
        """Say how much has arrived."""
        datasets.read(self.gateway, call.principal, request.dataset)
        upload = datasets.upload(self.gateway, call.principal, request.dataset)
        return pb.GetUploadResponse(upload=_shown_upload(upload))

    async def UploadRows(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.UploadRowsRequest], context: Any
    ) -> pb.UploadRowsResponse:
        """Take the rows: a header, then chunks in order."""
        try:
            principal = await self.admit(context, "UploadRows", UPLOADERS)
            self.gateway.doubt.check()
            upload: datasets.Upload | None = None
            async for request in request_iterator:
                if upload is None:
                    check_texts(request.header)
                    if not request.HasField("header"):
                        raise InvalidTable("the first message of an upload is its header")
                    name = request.header.dataset
                    upload = await asyncio.to_thread(datasets.upload, self.gateway, principal, name)
                    total_bytes, sha256 = request.header.total_bytes, request.header.sha256
                    if not await asyncio.to_thread(upload.begin, total_bytes=total_bytes, sha256=sha256):
                        return pb.UploadRowsResponse(upload=_whole(upload, total_bytes, sha256))
                    continue
                if not request.HasField("chunk"):
                    raise InvalidTable("an upload has one header, and chunks after it")
                if len(request.chunk.data) > CHUNK_BYTES:
                    raise TooLarge(f"a chunk has at most {CHUNK_BYTES:,} bytes")
                await asyncio.to_thread(upload.append, request.chunk.offset, request.chunk.data)
            if upload is None:
                raise InvalidTable("the upload is empty; send a header and the file")
            message = _shown_upload(upload)
            await asyncio.to_thread(upload.finish, principal)
            message.received_bytes = message.total_bytes
            return pb.UploadRowsResponse(upload=message)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await refuse(context, error, "UploadRows")


def _whole(upload: datasets.Upload, total_bytes: int, sha256: str) -> pb.Upload:
    return pb.Upload(dataset=upload.dataset, received_bytes=total_bytes, total_bytes=total_bytes, sha256=sha256)


def _shown_upload(upload: datasets.Upload) -> pb.Upload:
    promise = upload.promise
    return pb.Upload(
        dataset=upload.dataset, received_bytes=upload.received_bytes, total_bytes=promise["total_bytes"],
        sha256=promise["sha256"],
    )  # fmt: skip
