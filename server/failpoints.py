"""`Step`: the durable steps of a release in the order in which they come, then those of what people decide of it, and
of a dataset.

Each is announced through ``gateway.at`` where it is reached: just before a write (``*_WRITING``, ``*_GOING``: a
transaction that is about to end, a file that is about to go) or just after it. In a gateway that serves nobody listens,
and an announcement is one call of an empty function. Whoever composes a gateway can pass a listener that stops it at a
step, and so find out what a crash, a full disk or a fault there leaves behind.
"""

from enum import StrEnum, auto


class Step(StrEnum):
    """Where a gateway can be stopped."""

    RESERVE_WRITING = auto()
    RESERVED = auto()
    VOID_WRITING = auto()
    VOIDED = auto()
    SECRET_MAKING = auto()
    SECRET_MADE = auto()
    COMMIT_WRITING = auto()
    COMMITTED = auto()
    SECRET_OPENED = auto()
    WORK_MADE = auto()
    FITTED = auto()
    SAMPLING_WRITING = auto()
    SAMPLING = auto()
    DERIVED = auto()
    EVALUATING_WRITING = auto()
    EVALUATING = auto()
    EVALUATED = auto()
    RENDERED = auto()
    REPORT_STORED = auto()
    REPORT_PAGE_STORED = auto()
    REJECTED_WRITING = auto()
    REJECTED = auto()
    ANNOUNCE_WRITING = auto()
    ANNOUNCED = auto()
    DATA_STORED = auto()
    MODEL_STORED = auto()
    AWAITING_APPROVAL_WRITING = auto()
    AWAITING_APPROVAL = auto()
    ATTESTATION_STORED = auto()
    RELEASED_WRITING = auto()
    RELEASED = auto()
    FAILED_WRITING = auto()
    FAILED = auto()
    REPLAY_WRITING = auto()
    REPLAY = auto()
    WORK_GONE = auto()
    SECRET_GOING = auto()
    SECRET_GONE = auto()
    APPROVE_WRITING = auto()
    APPROVED = auto()
    REFUSE_WRITING = auto()
    REFUSED = auto()
    REVOKE_WRITING = auto()
    REVOKED = auto()
    UPLOAD_WRITING = auto()
    UPLOADED = auto()
    INGEST_WRITING = auto()
    INGESTED = auto()
    LINK_WRITING = auto()
    LINKED = auto()
    DISTINGUISH_WRITING = auto()
    DISTINGUISHED = auto()
    DELETE_WRITING = auto()
    DELETED = auto()


def passed(_step: Step) -> None:
    """What a gateway that serves does at a step."""
