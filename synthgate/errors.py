"""One tree of errors for the library, the gateway and the command line.

    SynthgateError
    ├── InvalidArgument              the request can never succeed as it is; nothing was charged
    │   ├── InvalidDomain            a declaration (schema file, domain, unit, sizes) is faulty or oversized
    │   ├── InvalidBudget            an epsilon or delta outside what a budget can hold
    │   ├── InvalidPolicy            a policy that cannot be read or that could never decide
    │   ├── InvalidTable             the structure of an upload: header, encoding, checksum, length, emptiness
    │   └── UnknownEngine            no synthesizer of that name is installed
    ├── Unauthenticated              no token, or one that is not known
    ├── PermissionDenied             the role may not call this method
    ├── NotFound                     absent, or not visible to the caller: the two are never told apart
    ├── AlreadyExists                the name is taken
    │   └── RequestIdReused          the same request id came with another payload
    ├── FailedPrecondition           valid, but not in the present state
    │   ├── BudgetExhausted          the account's meters do not admit the plan
    │   ├── PolicyRefused            the policy refuses the plan before any charge
    │   ├── EngineNotCertified       the engine is not on the operator's list
    │   ├── ReadOnly                 the gateway's books are in doubt: it only reads
    │   └── WrongState               the resource is in a state that does not allow the call
    ├── QuotaExhausted               the caller's own share, or number of requests, is used up for now
    ├── DataCorrupted                stored or transferred bytes do not have the promised digest
    ├── VerificationFailed           an attestation, its signature or its file does not hold
    ├── TooLarge                     a limit of the gateway was exceeded
    ├── Unavailable                  the gateway cannot be reached or is shutting down; retry later
    ├── DeadlineExceeded             the call ran out of time; its outcome is unknown, retry with the same request id
    ├── Cancelled                    the caller or the server cancelled the call
    └── InternalError                a fault of the gateway; carries an incident id and nothing else

Every class has a stable ``reason`` (the ``ErrorInfo.reason`` on the wire). Messages say what to do next and never
quote a private value. ``facts`` are public figures that a program may read (shares, limits, names of declared things).
"""

from collections.abc import Mapping
from typing import ClassVar


class SynthgateError(Exception):
    """The root of everything this project raises on purpose."""

    reason: ClassVar[str] = "SYNTHGATE_ERROR"

    def __init__(self, message: str, *, facts: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.facts: dict[str, str] = dict(facts or {})


class InvalidArgument(SynthgateError):
    """The request can never succeed as it is."""

    reason = "INVALID_ARGUMENT"


class InvalidDomain(InvalidArgument):
    """A declaration is faulty or oversized."""

    reason = "INVALID_DOMAIN"


class InvalidBudget(InvalidArgument):
    """An epsilon or a delta outside what a budget can hold."""

    reason = "INVALID_BUDGET"


class InvalidPolicy(InvalidArgument):
    """A policy that cannot be read or that could never decide."""

    reason = "INVALID_POLICY"


class InvalidTable(InvalidArgument):
    """The structure of an uploaded table is faulty; the content of cells never is."""

    reason = "INVALID_TABLE"


class UnknownEngine(InvalidArgument):
    """No synthesizer of that name is installed."""

    reason = "UNKNOWN_ENGINE"


class Unauthenticated(SynthgateError):
    """No token came with the call, or one that is not known."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(SynthgateError):
    """The caller's role may not call this method."""

    reason = "PERMISSION_DENIED"


class NotFound(SynthgateError):
    """Absent, or not visible to the caller."""

    reason = "NOT_FOUND"


class AlreadyExists(SynthgateError):
    """The name is taken."""

    reason = "ALREADY_EXISTS"


class RequestIdReused(AlreadyExists):
    """The same request id came before with another payload."""

    reason = "REQUEST_ID_REUSED"


class FailedPrecondition(SynthgateError):
    """A valid request that the present state does not allow."""

    reason = "FAILED_PRECONDITION"


class BudgetExhausted(FailedPrecondition):
    """No meter of the account admits the plan; no row was opened and nothing was charged."""

    reason = "BUDGET_EXHAUSTED"


class PolicyRefused(FailedPrecondition):
    """The policy refuses the plan on public facts; nothing was charged."""

    reason = "POLICY_REFUSED"


class EngineNotCertified(FailedPrecondition):
    """The engine is not on the operator's certified list and the account is no sandbox."""

    reason = "ENGINE_NOT_CERTIFIED"


class ReadOnly(FailedPrecondition):
    """The gateway's books do not contain what it signed before (a restored or edited database): it only reads."""

    reason = "READ_ONLY"


class WrongState(FailedPrecondition):
    """The resource is in a state that does not allow the call."""

    reason = "WRONG_STATE"


class QuotaExhausted(SynthgateError):
    """What the gateway allows one principal in a window of time is used up; nothing was charged."""

    reason = "QUOTA_EXHAUSTED"


class DataCorrupted(SynthgateError):
    """Stored or transferred bytes do not have the promised digest."""

    reason = "DATA_CORRUPTED"


class VerificationFailed(SynthgateError):
    """An attestation, its signature or its file does not hold."""

    reason = "VERIFICATION_FAILED"


class TooLarge(SynthgateError):
    """A limit of the gateway was exceeded."""

    reason = "TOO_LARGE"


class Unavailable(SynthgateError):
    """The gateway cannot be reached or is shutting down."""

    reason = "UNAVAILABLE"


class DeadlineExceeded(SynthgateError):
    """The call ran out of time; its outcome is unknown."""

    reason = "DEADLINE_EXCEEDED"


class Cancelled(SynthgateError):
    """The call was cancelled."""

    reason = "CANCELLED"


class InternalError(SynthgateError):
    """A fault of the gateway."""

    reason = "INTERNAL"


def tree(root: type[SynthgateError] = SynthgateError) -> dict[str, type[SynthgateError]]:
    """Every class of the tree under its stable reason."""
    found = {root.reason: root}
    for child in root.__subclasses__():
        found |= tree(child)
    return found
