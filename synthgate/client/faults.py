"""A gRPC status as the error that the gateway raised.

The gateway puts a google.rpc.ErrorInfo of the domain ``synthgate`` into the status details: its reason names the class,
its metadata are the facts. What comes without one (a proxy, a broken connection) is told by the status code alone.
"""

from collections.abc import Mapping

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from synthgate import errors

DOMAIN = "synthgate"
BY_STATUS: Mapping[grpc.StatusCode, type[errors.SynthgateError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidArgument,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED: errors.FailedPrecondition,
    grpc.StatusCode.DATA_LOSS: errors.DataCorrupted,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.TooLarge,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.CANCELLED: errors.Cancelled,
}
_HINTS: Mapping[type[errors.SynthgateError], str] = {
    errors.Unavailable: "the gateway cannot be reached; is it running? retry later",
    errors.DeadlineExceeded: "the call ran out of time; its outcome is unknown: retry with the same request id",
    errors.Cancelled: "the call was cancelled",
    errors.TooLarge: "the message is larger than the gateway or this client takes",
}


def error_of(failure: grpc.RpcError) -> errors.SynthgateError:
    """The error behind a failed call. Every reason of the tree maps to its class; an unknown one to the class of its
    status code, and an unknown status to InternalError."""
    if not isinstance(failure, grpc.Call):
        return errors.InternalError("the call failed without a status")
    kind = BY_STATUS.get(failure.code(), errors.InternalError)
    info = _info(failure)
    message = failure.details() or ""
    if info is None:
        return kind(_HINTS.get(kind, message or "the call failed without an explanation"))
    return errors.tree().get(info.reason, kind)(message, facts=dict(info.metadata))


def _info(call: grpc.Call) -> ErrorInfo | None:
    try:
        status = rpc_status.from_call(call)
    except ValueError:  # details that contradict the status are not the gateway's
        return None
    for detail in status.details if status else ():
        info = ErrorInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            return info
    return None
