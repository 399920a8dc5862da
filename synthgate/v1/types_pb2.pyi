import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    KIND_CATEGORICAL: _ClassVar[Kind]
    KIND_INTEGER: _ClassVar[Kind]
    KIND_FLOAT: _ClassVar[Kind]
    KIND_BOOLEAN: _ClassVar[Kind]
    KIND_DATETIME: _ClassVar[Kind]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_IDENTIFIER: _ClassVar[Role]
    ROLE_AUXILIARY: _ClassVar[Role]
    ROLE_SENSITIVE: _ClassVar[Role]

class SizeOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIZE_ORIGIN_UNSPECIFIED: _ClassVar[SizeOrigin]
    SIZE_ORIGIN_DECLARED: _ClassVar[SizeOrigin]
    SIZE_ORIGIN_COUNTED: _ClassVar[SizeOrigin]

class VerdictKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_KIND_UNSPECIFIED: _ClassVar[VerdictKind]
    VERDICT_KIND_ACCOUNTED: _ClassVar[VerdictKind]
    VERDICT_KIND_EXACT: _ClassVar[VerdictKind]
KIND_UNSPECIFIED: Kind
KIND_CATEGORICAL: Kind
KIND_INTEGER: Kind
KIND_FLOAT: Kind
KIND_BOOLEAN: Kind
KIND_DATETIME: Kind
ROLE_UNSPECIFIED: Role
ROLE_IDENTIFIER: Role
ROLE_AUXILIARY: Role
ROLE_SENSITIVE: Role
SIZE_ORIGIN_UNSPECIFIED: SizeOrigin
SIZE_ORIGIN_DECLARED: SizeOrigin
SIZE_ORIGIN_COUNTED: SizeOrigin
VERDICT_KIND_UNSPECIFIED: VerdictKind
VERDICT_KIND_ACCOUNTED: VerdictKind
VERDICT_KIND_EXACT: VerdictKind

class Point(_message.Message):
    __slots__ = ("integer", "real", "moment")
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    MOMENT_FIELD_NUMBER: _ClassVar[int]
    integer: int
    real: float
    moment: _timestamp_pb2.Timestamp
    def __init__(self, integer: _Optional[int] = ..., real: _Optional[float] = ..., moment: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "kind", "categories", "low", "high", "bins", "nullable", "role", "secret", "protected")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    BINS_FIELD_NUMBER: _ClassVar[int]
    NULLABLE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: Kind
    categories: _containers.RepeatedScalarFieldContainer[str]
    low: Point
    high: Point
    bins: _containers.RepeatedCompositeFieldContainer[Point]
    nullable: bool
    role: Role
    secret: bool
    protected: bool
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[Kind, str]] = ..., categories: _Optional[_Iterable[str]] = ..., low: _Optional[_Union[Point, _Mapping]] = ..., high: _Optional[_Union[Point, _Mapping]] = ..., bins: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., nullable: _Optional[bool] = ..., role: _Optional[_Union[Role, str]] = ..., secret: _Optional[bool] = ..., protected: _Optional[bool] = ...) -> None: ...

class ColumnGroup(_message.Message):
    __slots__ = ("columns",)
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, columns: _Optional[_Iterable[str]] = ...) -> None: ...

class Domain(_message.Message):
    __slots__ = ("columns", "target", "link", "other_targets", "ordered")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    OTHER_TARGETS_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    target: str
    link: _containers.RepeatedCompositeFieldContainer[ColumnGroup]
    other_targets: _containers.RepeatedScalarFieldContainer[str]
    ordered: _containers.RepeatedCompositeFieldContainer[ColumnGroup]
    def __init__(self, columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., target: _Optional[str] = ..., link: _Optional[_Iterable[_Union[ColumnGroup, _Mapping]]] = ..., other_targets: _Optional[_Iterable[str]] = ..., ordered: _Optional[_Iterable[_Union[ColumnGroup, _Mapping]]] = ...) -> None: ...

class PrivacyUnit(_message.Message):
    __slots__ = ("column", "max_rows")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    column: str
    max_rows: int
    def __init__(self, column: _Optional[str] = ..., max_rows: _Optional[int] = ...) -> None: ...

class PublicSizes(_message.Message):
    __slots__ = ("rows", "units", "origin")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    rows: int
    units: int
    origin: SizeOrigin
    def __init__(self, rows: _Optional[int] = ..., units: _Optional[int] = ..., origin: _Optional[_Union[SizeOrigin, str]] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("score", "at_most", "at_least")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    score: str
    at_most: float
    at_least: float
    def __init__(self, score: _Optional[str] = ..., at_most: _Optional[float] = ..., at_least: _Optional[float] = ...) -> None: ...

class Attacker(_message.Message):
    __slots__ = ("also_knows", "also_secret", "also_joins")
    ALSO_KNOWS_FIELD_NUMBER: _ClassVar[int]
    ALSO_SECRET_FIELD_NUMBER: _ClassVar[int]
    ALSO_JOINS_FIELD_NUMBER: _ClassVar[int]
    also_knows: _containers.RepeatedScalarFieldContainer[str]
    also_secret: _containers.RepeatedScalarFieldContainer[str]
    also_joins: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, also_knows: _Optional[_Iterable[str]] = ..., also_secret: _Optional[_Iterable[str]] = ..., also_joins: _Optional[_Iterable[int]] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("name", "epsilon_max", "certified_only", "verdicts_max", "approvals", "rules", "version", "audience", "attacker", "verdict")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EPSILON_MAX_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_ONLY_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_MAX_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    ATTACKER_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    name: str
    epsilon_max: float
    certified_only: bool
    verdicts_max: int
    approvals: int
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    version: int
    audience: str
    attacker: Attacker
    verdict: VerdictKind
    def __init__(self, name: _Optional[str] = ..., epsilon_max: _Optional[float] = ..., certified_only: _Optional[bool] = ..., verdicts_max: _Optional[int] = ..., approvals: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., version: _Optional[int] = ..., audience: _Optional[str] = ..., attacker: _Optional[_Union[Attacker, _Mapping]] = ..., verdict: _Optional[_Union[VerdictKind, str]] = ...) -> None: ...
