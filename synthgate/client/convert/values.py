"""Declared values to and from protobuf: domain, unit, sizes, policy.

Reading checks: what cannot be a value raises the vocabulary's own error, naming the column. Bounds travel in the type
of their column, so a domain has one form on the wire and one digest.
"""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from synthgate.attacker import Attacker
from synthgate.audience import Audience
from synthgate.dataset import PrivacyUnit, PublicSizes, SizeOrigin
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.errors import InvalidDomain, InvalidPolicy
from synthgate.policy import DEFAULT_POLICY, Policy, Rule, VerdictKind
from synthgate.v1 import dataset_service_pb2 as datasets
from synthgate.v1 import types_pb2 as types

KINDS = {
    Kind.CATEGORICAL: types.KIND_CATEGORICAL,
    Kind.INTEGER: types.KIND_INTEGER,
    Kind.FLOAT: types.KIND_FLOAT,
    Kind.BOOLEAN: types.KIND_BOOLEAN,
    Kind.DATETIME: types.KIND_DATETIME,
}
ROLES = {
    Role.IDENTIFIER: types.ROLE_IDENTIFIER,
    Role.AUXILIARY: types.ROLE_AUXILIARY,
    Role.SENSITIVE: types.ROLE_SENSITIVE,
}
ORIGINS = {SizeOrigin.DECLARED: types.SIZE_ORIGIN_DECLARED, SizeOrigin.COUNTED: types.SIZE_ORIGIN_COUNTED}
VERDICTS = {
    VerdictKind.ACCOUNTED: types.VERDICT_KIND_ACCOUNTED,
    VerdictKind.EXACT: types.VERDICT_KIND_EXACT,
}
_VERDICT_OF = {n: kind for kind, n in VERDICTS.items()} | {types.VERDICT_KIND_UNSPECIFIED: VerdictKind.ACCOUNTED}
_KIND_OF = {number: kind for kind, number in KINDS.items()}
_ROLE_OF = {number: role for role, number in ROLES.items()} | {types.ROLE_UNSPECIFIED: Role.AUXILIARY}
_ORIGIN_OF = {number: o for o, number in ORIGINS.items()} | {types.SIZE_ORIGIN_UNSPECIFIED: SizeOrigin.DECLARED}
_POINT_OF = {Kind.INTEGER: "integer", Kind.FLOAT: "real", Kind.DATETIME: "moment"}


def time_to_proto(moment: datetime) -> Timestamp:
    """A moment; one without a zone is read as UTC."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def time_from_proto(stamp: Timestamp) -> datetime:
    """A moment in UTC. Raises ValueError outside the years 1 to 9999."""
    return stamp.ToDatetime(tzinfo=UTC)


def domain_to_proto(domain: Domain) -> types.Domain:
    """The declaration as a message."""
    link = [types.ColumnGroup(columns=half) for half in domain.link] if domain.link[0] else []
    return types.Domain(
        columns=map(_column_to_proto, domain.columns),
        target=domain.target or "",
        link=link,
        other_targets=domain.other_targets,
        ordered=[types.ColumnGroup(columns=group) for group in domain.ordered],
    )


def domain_from_proto(message: types.Domain) -> Domain:
    """The declaration in a message. Raises InvalidDomain."""
    if len(message.link) not in (0, 2):
        raise InvalidDomain("link is two groups of column names, or none")
    halves = tuple(tuple(group.columns) for group in message.link) or ((), ())
    columns = tuple(map(_column_from_proto, message.columns))
    return Domain(
        columns=columns,
        target=message.target or None,
        link=halves,  # type: ignore[arg-type]
        other_targets=tuple(message.other_targets),
        ordered=tuple(tuple(group.columns) for group in message.ordered),
    )


def unit_to_proto(unit: PrivacyUnit) -> types.PrivacyUnit:
    """The privacy unit as a message."""
    return types.PrivacyUnit(column=unit.column or "", max_rows=unit.max_rows)


def unit_from_proto(message: types.PrivacyUnit) -> PrivacyUnit:
    """The privacy unit in a message. Raises InvalidDomain, also for an unset one (max_rows 0)."""
    return PrivacyUnit(column=message.column or None, max_rows=message.max_rows)


def sizes_to_proto(sizes: PublicSizes | None) -> types.PublicSizes:
    """The public sizes as a message; None asks for them to be counted."""
    if sizes is None:
        return types.PublicSizes(origin=types.SIZE_ORIGIN_COUNTED)
    return types.PublicSizes(rows=sizes.rows, units=sizes.units, origin=ORIGINS[sizes.origin])


def sizes_from_proto(message: types.PublicSizes, unit: PrivacyUnit) -> PublicSizes | None:
    """The public sizes in a message; None where they are still to be counted. Raises InvalidDomain."""
    origin = _ORIGIN_OF.get(message.origin)
    if origin is None:
        raise InvalidDomain("sizes: unknown origin; declare rows and units, or ask for them to be counted")
    if origin is SizeOrigin.COUNTED and message.rows == 0:
        return None
    return PublicSizes(rows=message.rows, units=message.units, max_rows=unit.max_rows, origin=origin)


def policy_to_proto(policy: Policy) -> types.Policy:
    """The policy as a message."""
    return types.Policy(
        name=policy.name,
        epsilon_max=policy.epsilon_max,
        certified_only=policy.certified_only,
        verdicts_max=policy.verdicts_max,
        approvals=policy.approvals,
        rules=[types.Rule(score=r.score, at_most=r.at_most, at_least=r.at_least) for r in policy.rules],
        version=policy.version,
        audience=str(policy.audience) if policy.audience else "",
        attacker=types.Attacker(**policy.attacker.to_dict()) if policy.attacker else None,
        verdict=VERDICTS[policy.verdict],
    )


def policy_from_proto(message: types.Policy) -> Policy:
    """The policy in a message. Raises InvalidPolicy, also for a rule without a bound."""
    verdict = _VERDICT_OF.get(message.verdict)
    if verdict is None:
        raise InvalidPolicy("unknown kind of verdict; choose accounted or exact")
    return Policy(
        name=message.name,
        epsilon_max=message.epsilon_max,
        certified_only=message.certified_only,
        verdicts_max=message.verdicts_max,
        approvals=message.approvals,
        rules=tuple(map(_rule_from_proto, message.rules)),
        version=message.version or 1,
        audience=_audience(message.audience),
        attacker=Attacker(
            also_knows=tuple(message.attacker.also_knows),
            also_secret=tuple(message.attacker.also_secret),
            also_joins=tuple(message.attacker.also_joins),
        ),
        verdict=verdict,
    )


def _audience(name: str) -> Audience | None:
    if name and name not in tuple(Audience):
        raise InvalidPolicy(f"audience is one of {', '.join(Audience)}, or left out")
    return Audience(name) if name else None


def requested_policy(request: datasets.CreateDatasetRequest) -> Policy:
    """The policy that a registration asks for; the default where it names none. Raises InvalidPolicy."""
    return policy_from_proto(request.policy) if request.HasField("policy") else DEFAULT_POLICY


def _rule_from_proto(message: types.Rule) -> Rule:
    bound = message.WhichOneof("bound")
    return Rule(score=message.score, **{bound: getattr(message, bound)} if bound else {})


def _column_to_proto(column: Column) -> types.Column:
    message = types.Column(
        name=column.name,
        kind=KINDS[column.kind],
        nullable=column.nullable,
        role=ROLES[column.role],
        secret=column.secret,
        protected=column.protected,
    )
    if column.role is Role.IDENTIFIER:
        return message
    message.categories.extend(column.categories)
    if column.low is not None:
        message.low.CopyFrom(_point_to_proto(column.kind, column.low))
    if column.high is not None:
        message.high.CopyFrom(_point_to_proto(column.kind, column.high))
    message.bins.extend(_point_to_proto(column.kind, b) for b in column.bins)
    return message


def _column_from_proto(message: types.Column) -> Column:
    kind, role = _KIND_OF.get(message.kind), _ROLE_OF.get(message.role)
    if role is Role.IDENTIFIER and message.kind == types.KIND_UNSPECIFIED:
        kind = Kind.CATEGORICAL
    if kind is None or role is None:
        raise InvalidDomain(
            f"column {_shown(message.name)}: kind is one of {', '.join(Kind)}; role is one of {', '.join(Role)}"
        )
    return Column(
        name=message.name,
        kind=kind,
        categories=tuple(message.categories),
        low=_point_from_proto(message.name, kind, message.low) if message.HasField("low") else None,
        high=_point_from_proto(message.name, kind, message.high) if message.HasField("high") else None,
        bins=tuple(_point_from_proto(message.name, kind, b) for b in message.bins),
        nullable=message.nullable,
        role=role,
        secret=message.secret,
        protected=message.protected,
    )


def _point_to_proto(kind: Kind, value: float | int | datetime) -> types.Point:
    if isinstance(value, datetime):
        return types.Point(moment=time_to_proto(value))
    return types.Point(integer=int(value)) if kind is Kind.INTEGER else types.Point(real=float(value))


def _point_from_proto(column: str, kind: Kind, message: types.Point) -> float | int | datetime:
    found = message.WhichOneof("value")
    if found is None or found != _POINT_OF.get(kind):
        raise InvalidDomain(
            f"column {_shown(column)}: bounds and bins are numbers of the column's own kind; categorical and "
            "boolean columns have none"
        )
    if found == "moment":
        try:
            return message.moment.ToDatetime()
        except (ValueError, OverflowError):
            raise InvalidDomain(f"column {_shown(column)}: datetimes lie in the years 1 to 9999") from None
    value: float | int = getattr(message, found)
    return value


def _shown(name: str) -> str:
    return repr(name[:128])
