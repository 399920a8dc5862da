"""Lines of the audit log, to and from protobuf."""

from synthgate.client.convert.values import time_from_proto, time_to_proto
from synthgate.record import AuditRecord
from synthgate.v1 import audit_service_pb2 as audit

_RECORD_SAME = ("sequence", "principal", "action", "resource", "previous", "digest")


def record_to_proto(record: AuditRecord) -> audit.AuditRecord:
    """A line of the audit log as a message."""
    return audit.AuditRecord(
        **{name: getattr(record, name) for name in _RECORD_SAME}, time=time_to_proto(record.at), detail=record.detail
    )


def record_from_proto(message: audit.AuditRecord) -> AuditRecord:
    """The line of the audit log in a message."""
    same = {name: getattr(message, name) for name in _RECORD_SAME}
    return AuditRecord(**same, at=time_from_proto(message.time), detail=dict(message.detail))
