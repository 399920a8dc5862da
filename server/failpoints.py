"""`Step`: the durable steps of a release in the order in which they come, then those of what people decide of it, of a
dataset, and of the gateway itself.

Each is announced through ``gateway.at`` where it is reached: just before a write (``*_WRITING``: a transaction that is
about to end; ``*_MAKING``, ``*_GOING``: a file that is about to come or go) or just after it. Every transaction that
writes anything but leases, which run out by themselves, names one before it ends. In a gateway that serves nobody
listens, and an announcement is one call of an empty function. Whoever composes a gateway can pass a listener that stops
it at a step, and so find out what a crash, a full disk or a fault there leaves behind.
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
    OVERDUE_WRITING = auto()
    OVERDUE = auto()
    CANCEL_WRITING = auto()
    CANCEL_ASKED = auto()
    DERIVE_WRITING = auto()
    DERIVE_ASKED = auto()
    DATA_GOING = auto()
    DATA_GONE = auto()
    OPEN_WRITING = auto()
    OPENED = auto()
    AMEND_WRITING = auto()
    AMENDED = auto()
    REGISTER_WRITING = auto()
    REGISTERED = auto()
    PROMISED = auto()
    ARRIVED = auto()
    UPLOAD_WRITING = auto()
    UPLOADED = auto()
    INGESTING_WRITING = auto()
    INGESTING = auto()
    ROWS_STORED = auto()
    INGEST_WRITING = auto()
    WAIT_WRITING = auto()
    INGEST_FAILED_WRITING = auto()
    INGESTED = auto()
    UPLOAD_GONE = auto()
    LINK_WRITING = auto()
    LINKED = auto()
    DISTINGUISH_WRITING = auto()
    DISTINGUISHED = auto()
    DELETE_WRITING = auto()
    DELETED = auto()
    ROWS_GOING = auto()
    ROWS_GONE = auto()
    PROVISION_WRITING = auto()
    PROVISIONED = auto()
    CHECKPOINT_MAKING = auto()
    CHECKPOINT_KEPT = auto()
    ACCEPT_WRITING = auto()
    ACCEPTED = auto()


def passed(_step: Step) -> None:
    """What a gateway that serves does at a step."""
