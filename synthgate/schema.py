"""The files that a steward writes: a schema (what the columns are, who is protected, how large the table is) and a
policy, both YAML.

    columns:                       what the cells are; never inferred from rows
      - {name: visits, kind: integer, low: 0, high: 200, role: sensitive, secret: true}
      - {name: age, kind: integer, low: 0, high: 99, bins: [18, 65], protected: true}   its groups are compared
    target: visits                 optional: the column that users will predict
    other_targets: [age]           optional: up to nine more columns that they will predict
    ordered: [[age, visits]]       optional: columns whose cells never fall from one to the next
    link: [[age, sex], [region]]   optional: the two halves that a linkability attack joins
    unit: {column: person, max_rows: 5}     or `unit: row`
    rows: 20000                    after the cut to max_rows rows a unit; a public constant
    units: 5900                    privacy units; may be left out where a unit has one row
    sizes: counted                 instead of rows and units: publish the exact counts, which no budget covers

Reading is safe: at most 1 MiB, no aliases, tags or duplicate keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synthgate.dataset import PrivacyUnit, PublicSizes
from synthgate.domain import Domain, Kind, Role
from synthgate.errors import InvalidArgument, InvalidDomain, InvalidPolicy
from synthgate.fitness import check_audience, check_senses
from synthgate.policy import Policy

MAX_BYTES = 2**20
KEYS = ("columns", "target", "other_targets", "link", "ordered", "unit", "rows", "units", "sizes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a steward declares of a table. ``sizes`` is None where they are to be counted at ingest."""

    domain: Domain
    unit: PrivacyUnit
    sizes: PublicSizes | None

    def __post_init__(self) -> None:
        named = [c for c in self.domain.columns if c.name == self.unit.column]
        if named and named[0].role is not Role.IDENTIFIER:
            raise InvalidDomain(
                f"column {self.unit.column}: it names the units, so declare it with role identifier or leave it out of "
                "columns"
            )

    @property
    def uploaded(self) -> frozenset[str]:
        """The names of the columns that leave the steward's machine: the modelled ones and the unit's."""
        return frozenset(c.name for c in self.domain.modelled) | ({self.unit.column} if self.unit.column else set())


def read_schema(path: Path) -> Declaration:
    """Read a schema file. Raises InvalidDomain, naming the column and what to do."""
    document = _load(path, InvalidDomain)
    if unknown := set(map(str, document)) - set(KEYS):
        raise InvalidDomain(f"unknown key {sorted(unknown)[0]!r} in the schema; known are {', '.join(KEYS)}")
    columns = document.get("columns")
    if not isinstance(columns, list) or not columns:
        raise InvalidDomain("columns is a non-empty list; `synthgate schema draft FILE` writes a first one")
    domain = Domain.from_dict({**document, "columns": [_column(c) for c in columns]})
    unit = _unit(document.get("unit"))
    return Declaration(domain=domain, unit=unit, sizes=_sizes(document, unit))


def read_policy(path: Path) -> Policy:
    """Read a policy file; what it leaves out is as in the default policy. Raises InvalidPolicy."""
    document = _load(path, InvalidPolicy)
    try:
        policy = Policy.from_dict(document)
        check_audience(policy)
        check_senses(policy)
        return policy
    except (TypeError, OverflowError):
        raise InvalidPolicy("the policy has values of the wrong type; compare it with the default policy") from None


def _column(document: Any) -> Any:
    """A column as the vocabulary reads it: blanks refused by name, bounds of float columns as floats, so that 0 and 0.0
    declare the same and have the same digest."""
    if not isinstance(document, Mapping):
        return document
    column = dict(document)
    name = column.get("name")
    for key, value in column.items():
        if value is None:
            raise InvalidDomain(f"column {name}: {key} is blank; declare it from public knowledge, or remove the line")
    if column.get("role") == Role.IDENTIFIER and {"categories", "low", "high", "bins"} & set(column):
        raise InvalidDomain(f"column {name}: an identifier is never modelled; remove its categories, bounds and bins")
    for category in column.get("categories") or () if isinstance(column.get("categories"), list) else ():
        if not isinstance(category, str):
            raise InvalidDomain(f'column {name}: put every category in quotes, for instance "1" or "yes"')
        if not _encodable(category):
            raise InvalidDomain(f"column {name}: a category is not valid Unicode")
    for key in ("low", "high"):
        if key in column:
            column[key] = _point(name, column.get("kind"), column[key])
    if isinstance(column.get("bins"), list):
        column["bins"] = [_point(name, column.get("kind"), b) for b in column["bins"]]
    return column


def _point(name: Any, kind: Any, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if abs(value) > 10**300:
        raise InvalidDomain(f"column {name}: bounds and bins must not be beyond 2^53 (integers) or 1e300 (floats)")
    return float(value) if kind == Kind.FLOAT else value


def _unit(document: Any) -> PrivacyUnit:
    if document == "row":
        return PrivacyUnit()
    if not isinstance(document, Mapping):
        raise InvalidDomain("unit says what is protected: `unit: row`, or `unit: {column: NAME, max_rows: K}`")
    if set(document) - {"column", "max_rows"} or not isinstance(document.get("column"), str):
        raise InvalidDomain("unit has the keys column (a name) and max_rows (the most rows of one unit that are kept)")
    if "max_rows" not in document:
        raise InvalidDomain("unit needs max_rows, the most rows of one unit that are kept; 1 protects best")
    return PrivacyUnit(column=document["column"], max_rows=document["max_rows"])


def _sizes(document: Mapping[str, Any], unit: PrivacyUnit) -> PublicSizes | None:
    if "sizes" in document:
        if document["sizes"] != "counted" or "rows" in document or "units" in document:
            raise InvalidDomain(
                "declare either rows (and units), or `sizes: counted`, which publishes the exact counts"
            )
        return None
    rows, units = document.get("rows"), document.get("units")
    if type(rows) is not int:
        raise InvalidDomain(
            "rows is missing or no whole number; round it from public knowledge, or say `sizes: counted`"
        )
    if units is None and unit.max_rows > 1:
        raise InvalidDomain("units is missing; how many privacy units the table has cannot follow from its rows")
    return PublicSizes(rows=rows, units=rows if units is None else units, max_rows=unit.max_rows)


def _load(path: Path, error: type[InvalidArgument]) -> Mapping[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError:
        raise error(f"{path} cannot be read") from None
    if len(data) > MAX_BYTES:
        raise error(f"{path} is larger than {MAX_BYTES:,} bytes")
    try:
        document = yaml.load(data, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader that refuses even more
    except yaml.MarkedYAMLError as fault:
        where = f"line {fault.problem_mark.line + 1}: " if fault.problem_mark else ""
        raise error(f"{path}: {where}{fault.problem or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError):
        raise error(f"{path} is not YAML in UTF-8 with sensible nesting and numbers") from None
    if not isinstance(document, Mapping):
        raise error(f"{path} is not a mapping of keys to values")
    return document


class _Loader(yaml.SafeLoader):
    """Without aliases (a small file could unfold to gigabytes) and without duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                problem = "a key stands there twice, or is no plain word"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
