"""AuditService: the audit log, and signed checkpoints of the books."""

from server import checkpoints
from server.gateway import Call
from server.identity import Office
from server.rpc.guard import Guarded, answers, numbered
from synthgate.client import convert
from synthgate.v1 import audit_service_pb2 as pb
from synthgate.v1.audit_service_pb2_grpc import AuditServiceServicer

STEWARD, OFFICER, AUDITOR = Office.STEWARD, Office.OFFICER, Office.AUDITOR


class AuditRpc(Guarded, AuditServiceServicer):
    """Convert in, call, convert out."""

    @answers(STEWARD, OFFICER, AUDITOR)
    def ListAuditRecords(self, request: pb.ListAuditRecordsRequest, call: Call) -> pb.ListAuditRecordsResponse:  # noqa: N802
        """Read the log, in order."""
        size, after = numbered(request.page_size, request.page_token)
        with self.gateway.store.begin() as tx:
            found = tx.audit.records(after=after, limit=size + 1)
        token = str(found[size - 1].sequence) if len(found) > size else ""
        records = map(convert.record_to_proto, found[:size])
        return pb.ListAuditRecordsResponse(records=records, next_page_token=token)

    @answers(STEWARD, OFFICER, AUDITOR)
    def GetCheckpoint(self, request: pb.GetCheckpointRequest, call: Call) -> pb.GetCheckpointResponse:  # noqa: N802
        """Sign the books as they are; a gateway that only reads gives what it signed last."""
        taken = checkpoints.newest_file if self.gateway.doubt.reason else checkpoints.take
        return pb.GetCheckpointResponse(
            envelope=taken(self.gateway), public_key=self.gateway.signer.public_pem.decode()
        )
