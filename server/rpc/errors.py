"""Errors on the wire: one frozen catalogue from class to status, ``ErrorInfo`` with the stable reason, nothing foreign.

An exception that is not of our tree becomes INTERNAL with an incident id; its text stays in the gateway's log.
"""

import itertools
import secrets
from collections.abc import Mapping
from types import MappingProxyType

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo, PreconditionFailure
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status

from synthgate import errors

DOMAIN = "synthgate"
MESSAGE_BYTES, FACTS_BYTES, VIOLATION_BYTES = 2_000, 1_200, 500
"""What a message, all facts together, and a violation may have. gRPC lets 8 KiB of metadata through, where the message
stands plainly and all of it in base64; a caller who sent a long name would otherwise be told RESOURCE_EXHAUSTED instead
of what was wrong."""
log = structlog.get_logger()

CATALOGUE: Mapping[type[errors.SynthgateError], grpc.StatusCode] = MappingProxyType(
    {
        errors.SynthgateError: grpc.StatusCode.INTERNAL,
        errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
        errors.InvalidDomain: grpc.StatusCode.INVALID_ARGUMENT,
        errors.InvalidBudget: grpc.StatusCode.INVALID_ARGUMENT,
        errors.InvalidPolicy: grpc.StatusCode.INVALID_ARGUMENT,
        errors.InvalidTable: grpc.StatusCode.INVALID_ARGUMENT,
        errors.UnknownEngine: grpc.StatusCode.INVALID_ARGUMENT,
        errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
        errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
        errors.NotFound: grpc.StatusCode.NOT_FOUND,
        errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
        errors.RequestIdReused: grpc.StatusCode.ALREADY_EXISTS,
        errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
        errors.BudgetExhausted: grpc.StatusCode.FAILED_PRECONDITION,
        errors.PolicyRefused: grpc.StatusCode.FAILED_PRECONDITION,
        errors.EngineNotCertified: grpc.StatusCode.FAILED_PRECONDITION,
        errors.ReadOnly: grpc.StatusCode.FAILED_PRECONDITION,
        errors.WrongState: grpc.StatusCode.FAILED_PRECONDITION,
        errors.QuotaExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.DataCorrupted: grpc.StatusCode.DATA_LOSS,
        errors.VerificationFailed: grpc.StatusCode.DATA_LOSS,
        errors.TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
        errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
        errors.Cancelled: grpc.StatusCode.CANCELLED,
        errors.InternalError: grpc.StatusCode.INTERNAL,
    }
)


def public(error: Exception, method: str) -> errors.SynthgateError:
    """What a caller may know of ``error``: itself where it is ours, else an incident id."""
    if isinstance(error, errors.SynthgateError) and not isinstance(error, errors.InternalError):
        return error
    incident = secrets.token_hex(6)
    log.error("incident", incident=incident, method=method, exc_info=error)
    return errors.InternalError(
        f"the gateway failed (incident {incident}); give this id to its operator", facts={"incident": incident}
    )


def status(error: errors.SynthgateError) -> grpc.Status:
    """The rich status of ``error``: code, message, ErrorInfo, and a PreconditionFailure for an exhausted budget."""
    code, message = CATALOGUE[type(error)], _cut(error.message, MESSAGE_BYTES)
    details = [_packed(ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=_first(error.facts)))]
    if isinstance(error, errors.BudgetExhausted):
        description = _cut(error.message, VIOLATION_BYTES)
        violation = PreconditionFailure.Violation(type="BUDGET", subject="account", description=description)
        details.append(_packed(PreconditionFailure(violations=[violation])))
    return to_status(Status(code=Code.Value(code.name), message=message, details=details))


def _first(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts that fit, whole, in their order."""
    kept: dict[str, str] = {}
    left = FACTS_BYTES
    for name, value in facts.items():
        left -= _bytes(name) + _bytes(value)
        if left < 0:
            break
        kept[name] = value
    return kept


def _cut(text: str, limit: int) -> str:
    """As much of ``text`` as fits."""
    if len(text) <= limit and _bytes(text) <= limit:
        return text
    sizes = itertools.accumulate(map(_bytes, text[:limit]))
    return text[: sum(size <= limit - 3 for size in sizes)] + "..."


def _bytes(text: str) -> int:
    """What ``text`` takes on the wire, where a byte beyond printable ASCII is written as three."""
    return sum(1 if " " <= c <= "~" else 3 * len(c.encode(errors="replace")) for c in text)


def _packed(message: ErrorInfo | PreconditionFailure) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
