import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EntryKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTRY_KIND_UNSPECIFIED: _ClassVar[EntryKind]
    ENTRY_KIND_OPEN: _ClassVar[EntryKind]
    ENTRY_KIND_AMEND: _ClassVar[EntryKind]
    ENTRY_KIND_RESERVE: _ClassVar[EntryKind]
    ENTRY_KIND_COMMIT: _ClassVar[EntryKind]
    ENTRY_KIND_VOID: _ClassVar[EntryKind]
ENTRY_KIND_UNSPECIFIED: EntryKind
ENTRY_KIND_OPEN: EntryKind
ENTRY_KIND_AMEND: EntryKind
ENTRY_KIND_RESERVE: EntryKind
ENTRY_KIND_COMMIT: EntryKind
ENTRY_KIND_VOID: EntryKind

class Budget(_message.Message):
    __slots__ = ("epsilon_units", "delta_units")
    EPSILON_UNITS_FIELD_NUMBER: _ClassVar[int]
    DELTA_UNITS_FIELD_NUMBER: _ClassVar[int]
    epsilon_units: int
    delta_units: int
    def __init__(self, epsilon_units: _Optional[int] = ..., delta_units: _Optional[int] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("name", "cap", "order", "capacity", "sandbox", "opened_by", "open_time", "verdicts_granted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CAP_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    OPENED_BY_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_GRANTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    cap: Budget
    order: int
    capacity: int
    sandbox: bool
    opened_by: str
    open_time: _timestamp_pb2.Timestamp
    verdicts_granted: int
    def __init__(self, name: _Optional[str] = ..., cap: _Optional[_Union[Budget, _Mapping]] = ..., order: _Optional[int] = ..., capacity: _Optional[int] = ..., sandbox: _Optional[bool] = ..., opened_by: _Optional[str] = ..., open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., verdicts_granted: _Optional[int] = ...) -> None: ...

class Charge(_message.Message):
    __slots__ = ("epsilon", "delta", "rdp")
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    RDP_FIELD_NUMBER: _ClassVar[int]
    epsilon: int
    delta: int
    rdp: int
    def __init__(self, epsilon: _Optional[int] = ..., delta: _Optional[int] = ..., rdp: _Optional[int] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("account", "committed", "reserved", "taken_ppm", "largest_epsilon", "verdicts")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FIELD_NUMBER: _ClassVar[int]
    TAKEN_PPM_FIELD_NUMBER: _ClassVar[int]
    LARGEST_EPSILON_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    account: Account
    committed: Charge
    reserved: Charge
    taken_ppm: int
    largest_epsilon: float
    verdicts: int
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., committed: _Optional[_Union[Charge, _Mapping]] = ..., reserved: _Optional[_Union[Charge, _Mapping]] = ..., taken_ppm: _Optional[int] = ..., largest_epsilon: _Optional[float] = ..., verdicts: _Optional[int] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("sequence", "account", "kind", "principal", "reason", "time", "previous", "digest", "reservation", "charge", "cap", "order", "capacity", "sandbox", "verdicts_granted", "salt")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_FIELD_NUMBER: _ClassVar[int]
    CHARGE_FIELD_NUMBER: _ClassVar[int]
    CAP_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_GRANTED_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    account: str
    kind: EntryKind
    principal: str
    reason: str
    time: _timestamp_pb2.Timestamp
    previous: str
    digest: str
    reservation: str
    charge: Charge
    cap: Budget
    order: int
    capacity: int
    sandbox: bool
    verdicts_granted: int
    salt: str
    def __init__(self, sequence: _Optional[int] = ..., account: _Optional[str] = ..., kind: _Optional[_Union[EntryKind, str]] = ..., principal: _Optional[str] = ..., reason: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., previous: _Optional[str] = ..., digest: _Optional[str] = ..., reservation: _Optional[str] = ..., charge: _Optional[_Union[Charge, _Mapping]] = ..., cap: _Optional[_Union[Budget, _Mapping]] = ..., order: _Optional[int] = ..., capacity: _Optional[int] = ..., sandbox: _Optional[bool] = ..., verdicts_granted: _Optional[int] = ..., salt: _Optional[str] = ...) -> None: ...

class OpenAccountRequest(_message.Message):
    __slots__ = ("request_id", "name", "epsilon", "delta", "sandbox")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    epsilon: float
    delta: float
    sandbox: bool
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., sandbox: _Optional[bool] = ...) -> None: ...

class OpenAccountResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: Balance
    def __init__(self, balance: _Optional[_Union[Balance, _Mapping]] = ...) -> None: ...

class AmendAccountRequest(_message.Message):
    __slots__ = ("request_id", "name", "epsilon", "delta", "verdicts_granted", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_GRANTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    name: str
    epsilon: float
    delta: float
    verdicts_granted: int
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., name: _Optional[str] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., verdicts_granted: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class AmendAccountResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: Balance
    def __init__(self, balance: _Optional[_Union[Balance, _Mapping]] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("balances",)
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    balances: _containers.RepeatedCompositeFieldContainer[Balance]
    def __init__(self, balances: _Optional[_Iterable[_Union[Balance, _Mapping]]] = ...) -> None: ...

class GetBalanceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetBalanceResponse(_message.Message):
    __slots__ = ("balance",)
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    balance: Balance
    def __init__(self, balance: _Optional[_Union[Balance, _Mapping]] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("account", "page_size", "page_token", "price_plans")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PRICE_PLANS_FIELD_NUMBER: _ClassVar[int]
    account: str
    page_size: int
    page_token: str
    price_plans: bool
    def __init__(self, account: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., price_plans: _Optional[bool] = ...) -> None: ...

class PlanPrice(_message.Message):
    __slots__ = ("release", "epsilon", "delta", "accountant")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTANT_FIELD_NUMBER: _ClassVar[int]
    release: str
    epsilon: float
    delta: float
    accountant: str
    def __init__(self, release: _Optional[str] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., accountant: _Optional[str] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token", "plan_prices")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PLAN_PRICES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    plan_prices: _containers.RepeatedCompositeFieldContainer[PlanPrice]
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., plan_prices: _Optional[_Iterable[_Union[PlanPrice, _Mapping]]] = ...) -> None: ...
