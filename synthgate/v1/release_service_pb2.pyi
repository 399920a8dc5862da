import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReleaseState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_STATE_UNSPECIFIED: _ClassVar[ReleaseState]
    RELEASE_STATE_PENDING: _ClassVar[ReleaseState]
    RELEASE_STATE_TRAINING: _ClassVar[ReleaseState]
    RELEASE_STATE_EVALUATING: _ClassVar[ReleaseState]
    RELEASE_STATE_AWAITING_APPROVAL: _ClassVar[ReleaseState]
    RELEASE_STATE_RELEASED: _ClassVar[ReleaseState]
    RELEASE_STATE_REJECTED: _ClassVar[ReleaseState]
    RELEASE_STATE_REVOKED: _ClassVar[ReleaseState]
    RELEASE_STATE_FAILED: _ClassVar[ReleaseState]
    RELEASE_STATE_CANCELLED: _ClassVar[ReleaseState]
    RELEASE_STATE_CLOSED: _ClassVar[ReleaseState]
    RELEASE_STATE_SAMPLING: _ClassVar[ReleaseState]

class ReportFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_FORMAT_UNSPECIFIED: _ClassVar[ReportFormat]
    REPORT_FORMAT_JSON: _ClassVar[ReportFormat]
    REPORT_FORMAT_HTML: _ClassVar[ReportFormat]
    REPORT_FORMAT_DECISION: _ClassVar[ReportFormat]
RELEASE_STATE_UNSPECIFIED: ReleaseState
RELEASE_STATE_PENDING: ReleaseState
RELEASE_STATE_TRAINING: ReleaseState
RELEASE_STATE_EVALUATING: ReleaseState
RELEASE_STATE_AWAITING_APPROVAL: ReleaseState
RELEASE_STATE_RELEASED: ReleaseState
RELEASE_STATE_REJECTED: ReleaseState
RELEASE_STATE_REVOKED: ReleaseState
RELEASE_STATE_FAILED: ReleaseState
RELEASE_STATE_CANCELLED: ReleaseState
RELEASE_STATE_CLOSED: ReleaseState
RELEASE_STATE_SAMPLING: ReleaseState
REPORT_FORMAT_UNSPECIFIED: ReportFormat
REPORT_FORMAT_JSON: ReportFormat
REPORT_FORMAT_HTML: ReportFormat
REPORT_FORMAT_DECISION: ReportFormat

class Condition(_message.Message):
    __slots__ = ("column", "value")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    column: str
    value: str
    def __init__(self, column: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("value", "share")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    value: str
    share: float
    def __init__(self, value: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...

class Rebalance(_message.Message):
    __slots__ = ("column", "shares")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    column: str
    shares: _containers.RepeatedCompositeFieldContainer[Share]
    def __init__(self, column: _Optional[str] = ..., shares: _Optional[_Iterable[_Union[Share, _Mapping]]] = ...) -> None: ...

class Derivation(_message.Message):
    __slots__ = ("source", "conditions", "rebalance", "rows", "replicates")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    REBALANCE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    REPLICATES_FIELD_NUMBER: _ClassVar[int]
    source: str
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    rebalance: Rebalance
    rows: int
    replicates: int
    def __init__(self, source: _Optional[str] = ..., conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ..., rebalance: _Optional[_Union[Rebalance, _Mapping]] = ..., rows: _Optional[int] = ..., replicates: _Optional[int] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("id", "dataset", "account", "engine", "because", "epsilon", "delta", "share_ppm", "state", "requested_by", "create_time", "update_time", "stage", "reasons", "approvals", "approvals_needed", "sha256", "bytes", "rows", "derivation", "binding", "policy", "policy_version", "policy_digest", "margin")
    ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_NEEDED_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DERIVATION_FIELD_NUMBER: _ClassVar[int]
    BINDING_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    id: str
    dataset: str
    account: str
    engine: str
    because: str
    epsilon: float
    delta: float
    share_ppm: int
    state: ReleaseState
    requested_by: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    stage: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    approvals: _containers.RepeatedScalarFieldContainer[str]
    approvals_needed: int
    sha256: str
    bytes: int
    rows: int
    derivation: Derivation
    binding: Binding
    policy: str
    policy_version: int
    policy_digest: str
    margin: NoisyMargin
    def __init__(self, id: _Optional[str] = ..., dataset: _Optional[str] = ..., account: _Optional[str] = ..., engine: _Optional[str] = ..., because: _Optional[str] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., share_ppm: _Optional[int] = ..., state: _Optional[_Union[ReleaseState, str]] = ..., requested_by: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stage: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ..., approvals: _Optional[_Iterable[str]] = ..., approvals_needed: _Optional[int] = ..., sha256: _Optional[str] = ..., bytes: _Optional[int] = ..., rows: _Optional[int] = ..., derivation: _Optional[_Union[Derivation, _Mapping]] = ..., binding: _Optional[_Union[Binding, _Mapping]] = ..., policy: _Optional[str] = ..., policy_version: _Optional[int] = ..., policy_digest: _Optional[str] = ..., margin: _Optional[_Union[NoisyMargin, _Mapping]] = ...) -> None: ...

class NoisyMargin(_message.Message):
    __slots__ = ("value", "sigma")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SIGMA_FIELD_NUMBER: _ClassVar[int]
    value: int
    sigma: float
    def __init__(self, value: _Optional[int] = ..., sigma: _Optional[float] = ...) -> None: ...

class Binding(_message.Message):
    __slots__ = ("release", "dataset", "domain", "account", "engine", "requester", "data", "model", "report", "report_page", "policy", "policy_digest", "plan", "statement", "verdict", "verdicts_allowed", "salt", "registrar", "decision_page", "registrar_names", "requester_names")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    REPORT_PAGE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    REGISTRAR_FIELD_NUMBER: _ClassVar[int]
    DECISION_PAGE_FIELD_NUMBER: _ClassVar[int]
    REGISTRAR_NAMES_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_NAMES_FIELD_NUMBER: _ClassVar[int]
    release: str
    dataset: str
    domain: str
    account: str
    engine: str
    requester: str
    data: str
    model: str
    report: str
    report_page: str
    policy: str
    policy_digest: str
    plan: str
    statement: str
    verdict: int
    verdicts_allowed: int
    salt: str
    registrar: str
    decision_page: str
    registrar_names: _containers.RepeatedScalarFieldContainer[str]
    requester_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, release: _Optional[str] = ..., dataset: _Optional[str] = ..., domain: _Optional[str] = ..., account: _Optional[str] = ..., engine: _Optional[str] = ..., requester: _Optional[str] = ..., data: _Optional[str] = ..., model: _Optional[str] = ..., report: _Optional[str] = ..., report_page: _Optional[str] = ..., policy: _Optional[str] = ..., policy_digest: _Optional[str] = ..., plan: _Optional[str] = ..., statement: _Optional[str] = ..., verdict: _Optional[int] = ..., verdicts_allowed: _Optional[int] = ..., salt: _Optional[str] = ..., registrar: _Optional[str] = ..., decision_page: _Optional[str] = ..., registrar_names: _Optional[_Iterable[str]] = ..., requester_names: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateReleaseRequest(_message.Message):
    __slots__ = ("request_id", "dataset", "engine", "epsilon", "delta", "derivation")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    DERIVATION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    dataset: str
    engine: str
    epsilon: float
    delta: float
    derivation: Derivation
    def __init__(self, request_id: _Optional[str] = ..., dataset: _Optional[str] = ..., engine: _Optional[str] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., derivation: _Optional[_Union[Derivation, _Mapping]] = ...) -> None: ...

class CreateReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class QuoteReleaseRequest(_message.Message):
    __slots__ = ("dataset", "engine", "epsilon", "delta")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    engine: str
    epsilon: float
    delta: float
    def __init__(self, dataset: _Optional[str] = ..., engine: _Optional[str] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ...) -> None: ...

class QuoteReleaseResponse(_message.Message):
    __slots__ = ("engine", "because", "epsilon", "delta", "plan_epsilon", "share_ppm", "taken_ppm", "after_ppm", "largest_epsilon", "refusals", "rows")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    PLAN_EPSILON_FIELD_NUMBER: _ClassVar[int]
    SHARE_PPM_FIELD_NUMBER: _ClassVar[int]
    TAKEN_PPM_FIELD_NUMBER: _ClassVar[int]
    AFTER_PPM_FIELD_NUMBER: _ClassVar[int]
    LARGEST_EPSILON_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    engine: str
    because: str
    epsilon: float
    delta: float
    plan_epsilon: float
    share_ppm: int
    taken_ppm: int
    after_ppm: int
    largest_epsilon: float
    refusals: _containers.RepeatedScalarFieldContainer[str]
    rows: int
    def __init__(self, engine: _Optional[str] = ..., because: _Optional[str] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., plan_epsilon: _Optional[float] = ..., share_ppm: _Optional[int] = ..., taken_ppm: _Optional[int] = ..., after_ppm: _Optional[int] = ..., largest_epsilon: _Optional[float] = ..., refusals: _Optional[_Iterable[str]] = ..., rows: _Optional[int] = ...) -> None: ...

class GetReleaseRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class ListReleasesRequest(_message.Message):
    __slots__ = ("dataset", "page_size", "page_token")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    page_size: int
    page_token: str
    def __init__(self, dataset: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReleasesResponse(_message.Message):
    __slots__ = ("releases", "next_page_token")
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    next_page_token: str
    def __init__(self, releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchReleaseRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class CancelReleaseRequest(_message.Message):
    __slots__ = ("request_id", "id")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    id: str
    def __init__(self, request_id: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class CancelReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class DownloadReleaseRequest(_message.Message):
    __slots__ = ("id", "offset")
    ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    id: str
    offset: int
    def __init__(self, id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadReleaseResponse(_message.Message):
    __slots__ = ("offset", "data", "total_bytes", "sha256")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    total_bytes: int
    sha256: str
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ..., total_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class GetReportRequest(_message.Message):
    __slots__ = ("id", "format")
    ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    id: str
    format: ReportFormat
    def __init__(self, id: _Optional[str] = ..., format: _Optional[_Union[ReportFormat, str]] = ...) -> None: ...

class GetReportResponse(_message.Message):
    __slots__ = ("content", "media_type")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    media_type: str
    def __init__(self, content: _Optional[bytes] = ..., media_type: _Optional[str] = ...) -> None: ...

class GetAttestationRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetAttestationResponse(_message.Message):
    __slots__ = ("envelope", "public_key")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    envelope: bytes
    public_key: str
    def __init__(self, envelope: _Optional[bytes] = ..., public_key: _Optional[str] = ...) -> None: ...

class ApproveReleaseRequest(_message.Message):
    __slots__ = ("request_id", "id", "reason", "binding")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BINDING_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    id: str
    reason: str
    binding: str
    def __init__(self, request_id: _Optional[str] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ..., binding: _Optional[str] = ...) -> None: ...

class ApproveReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class RejectReleaseRequest(_message.Message):
    __slots__ = ("request_id", "id", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    id: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RejectReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class RevokeReleaseRequest(_message.Message):
    __slots__ = ("request_id", "id", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    id: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeReleaseResponse(_message.Message):
    __slots__ = ("release",)
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    release: Release
    def __init__(self, release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class GetRevocationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRevocationsResponse(_message.Message):
    __slots__ = ("envelope", "public_key")
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    envelope: bytes
    public_key: str
    def __init__(self, envelope: _Optional[bytes] = ..., public_key: _Optional[str] = ...) -> None: ...
