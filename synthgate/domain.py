"""`Domain` and `Column`: the attributes as the steward declared them, never as the rows show them.

Everything that depends on values (categories, bounds, bin edges, codes) derives from here, so that none of it can
leak. A cell that the declaration does not cover has a place too: `null` where the column is nullable, else `other`.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from synthgate.errors import InvalidDomain
from synthgate.kinds import MAX_BINS as MAX_BINS
from synthgate.kinds import MAX_TARGETS as MAX_TARGETS
from synthgate.kinds import NUMERIC as NUMERIC
from synthgate.kinds import Kind as Kind
from synthgate.kinds import Role as Role
from synthgate.kinds import check_orders, cut_points, groups, moment, names, plain

MAX_COLUMNS = 300
MAX_CATEGORIES = 1_000
MAX_NAME = 128
MAX_INTEGER = 2**53
LEAST_WIDTH = 1e-290
"""What the bounds of a float column are apart at least, so that its smallest steps are numbers too."""

OTHER = "\x00other"
"""How a stored private row marks a categorical cell whose value is not declared. No declared category can equal it."""

UNIT_COLUMN = "\x00unit"
"""The column of a stored private table that numbers the privacy units 0, 1, ... within its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One declared attribute.

    Categorical columns declare ``categories``; integer, float and datetime columns declare the bounds ``low`` and
    ``high`` (datetimes as ISO 8601 without a zone), to which cells are clamped, and may declare ``bins``: increasing
    cut points strictly inside the bounds. Without them a column is cut in at most 32 bins of equal width.
    ``secret`` columns are the ones that inference attacks try to guess; ``protected`` ones say whom a release must not
    treat worse, and the evaluation compares their groups.
    """

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    low: float | int | datetime | None = None
    high: float | int | datetime | None = None
    bins: tuple[float | int | datetime, ...] = ()
    nullable: bool = False
    role: Role = Role.AUXILIARY
    secret: bool = False
    protected: bool = False

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > MAX_NAME or not self.name.isprintable():
            raise InvalidDomain(
                f"a column's name is 1 to {MAX_NAME} printable characters, unlike {ascii(self.name)[:60]}"
            )
        if self.role is Role.IDENTIFIER:
            if self.secret or self.protected:
                raise InvalidDomain(
                    f"column {self.name}: an identifier is never released, so it is neither secret nor protected"
                )
            return
        if self.kind is Kind.CATEGORICAL:
            self._check_categories()
        elif self.categories:
            raise InvalidDomain(f"column {self.name}: only categorical columns declare categories")
        if self.kind in NUMERIC:
            self._check_bounds()
        elif self.low is not None or self.high is not None or self.bins:
            raise InvalidDomain(f"column {self.name}: only integer, float and datetime columns have bounds and bins")

    def _check_categories(self) -> None:
        if not 1 <= len(self.categories) <= MAX_CATEGORIES:
            raise InvalidDomain(
                f"column {self.name}: declare 1 to {MAX_CATEGORIES} categories, got {len(self.categories)}"
            )
        if len(set(self.categories)) != len(self.categories):
            raise InvalidDomain(f"column {self.name}: a category is declared twice")
        if not all(isinstance(c, str) and c and c == c.strip() and "\x00" not in c for c in self.categories):
            raise InvalidDomain(f"column {self.name}: categories are non-empty strings without surrounding blanks")

    def _check_bounds(self) -> None:
        for bound in (self.low, self.high, *self.bins):
            self._check_number(bound)
        if self.kind is Kind.FLOAT:  # 0 and 0.0 declare the same, and have the same digest
            for name in ("low", "high"):
                object.__setattr__(self, name, self.number(getattr(self, name)))
            object.__setattr__(self, "bins", tuple(map(self.number, self.bins)))
        low, high = self.low, self.high
        if not self.number(low) < self.number(high):
            raise InvalidDomain(f"column {self.name}: low must be less than high")
        if self.kind is Kind.FLOAT and self.number(high) - self.number(low) < LEAST_WIDTH:
            raise InvalidDomain(f"column {self.name}: the bounds must be {LEAST_WIDTH:g} apart; declare a larger unit")
        points = [self.number(p) for p in (low, *self.bins, high)]
        if any(a >= b for a, b in itertools.pairwise(points)):
            raise InvalidDomain(f"column {self.name}: bins are increasing cut points strictly inside the bounds")
        if len(self.bins) >= MAX_BINS:
            raise InvalidDomain(f"column {self.name}: at most {MAX_BINS - 1} cut points, that is {MAX_BINS} bins")

    def _check_number(self, value: Any) -> None:
        wanted: Any = {Kind.INTEGER: int, Kind.FLOAT: (int, float), Kind.DATETIME: datetime}[self.kind]
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise InvalidDomain(f"column {self.name}: bounds and bins of a {self.kind} column must be declared as such")
        if isinstance(value, datetime):
            if value.tzinfo is not None:
                raise InvalidDomain(f"column {self.name}: datetimes are declared without a zone")
        elif not abs(value) <= (MAX_INTEGER if self.kind is Kind.INTEGER else 1e300):
            raise InvalidDomain(f"column {self.name}: bounds and bins must be finite and not beyond 2^53 (integers)")

    @staticmethod
    def number(value: Any) -> float:
        """A bound as a number: datetimes become seconds since 1970-01-01."""
        return (value - datetime(1970, 1, 1)).total_seconds() if isinstance(value, datetime) else float(value)

    @property
    def edges(self) -> tuple[float, ...]:
        """The cut points of the bins with both bounds, as numbers: bin i is [edges[i], edges[i+1]), the last closed.

        Declared bins, else equal widths: 32, or one bin a value where an integer column has at most 32 values.
        """
        points = [self.number(p) for p in (self.low, *self.bins, self.high)]
        return cut_points(points, whole=self.kind is Kind.INTEGER)

    def to_dict(self) -> dict[str, Any]:
        """The declaration as JSON-ready values, without defaults."""
        out: dict[str, Any] = {"name": self.name, "kind": str(self.kind)}
        if self.categories:
            out["categories"] = list(self.categories)
        if self.low is not None:
            out |= {"low": plain(self.low), "high": plain(self.high)}
        if self.bins:
            out["bins"] = [plain(b) for b in self.bins]
        out |= {"nullable": self.nullable, "role": str(self.role), "secret": self.secret}
        return out | ({"protected": True} if self.protected else {})

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Column":
        """Read a column. Raises InvalidDomain for unknown keys, missing kinds and faulty values."""
        if not isinstance(document, Mapping):
            raise InvalidDomain("a column is a mapping with at least name and kind")
        known = {"name", "kind", "categories", "low", "high", "bins", "nullable", "role", "secret", "protected"}
        if unknown := set(map(str, document)) - known:
            raise InvalidDomain(f"unknown key {sorted(unknown)[0]!r} in a column; known are {', '.join(sorted(known))}")
        name = document.get("name")
        if not isinstance(name, str):
            raise InvalidDomain("every column needs a name")
        for key in ("nullable", "secret", "protected"):
            if not isinstance(document.get(key, False), bool):
                raise InvalidDomain(f"column {name}: {key} is true or false")
        for key in ("categories", "bins"):
            if not isinstance(document.get(key) or [], (list, tuple)):
                raise InvalidDomain(f"column {name}: {key} is a list")
        try:
            role = Role(document.get("role", "auxiliary"))
            kind = Kind(document.get("kind", "categorical" if role is Role.IDENTIFIER else ""))
        except ValueError:
            raise InvalidDomain(
                f"column {name}: kind is one of {', '.join(Kind)}; role is one of {', '.join(Role)}"
            ) from None
        point = moment if kind is Kind.DATETIME else (lambda value: value)
        return cls(
            name=name,
            kind=kind,
            categories=tuple(document.get("categories") or ()),
            low=point(document.get("low")),
            high=point(document.get("high")),
            bins=tuple(point(b) for b in document.get("bins") or ()),
            nullable=document.get("nullable", False),
            role=role,
            secret=document.get("secret", False),
            protected=document.get("protected", False),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The declared columns, in order, with the prediction ``target`` and the two halves that linkability joins.

    ``link`` holds two disjoint groups of column names known to two different attackers; left empty, the auxiliary
    columns are dealt alternately. ``other_targets`` will be predicted too: engines favour ``target`` alone, the
    evaluation tries them all. A group of ``ordered`` names numeric columns whose cells, where filled, never fall from
    one to the next.
    """

    columns: tuple[Column, ...]
    target: str | None = None
    link: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    other_targets: tuple[str, ...] = ()
    ordered: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        declared = [c.name for c in self.columns]
        if len(set(declared)) != len(declared):
            raise InvalidDomain("a column name is declared twice")
        if not self.modelled:
            raise InvalidDomain("declare at least one column that is not an identifier")
        if len(declared) > MAX_COLUMNS:
            raise InvalidDomain(f"at most {MAX_COLUMNS} columns, got {len(declared)}")
        modelled = {c.name for c in self.modelled}
        if self.target is not None and self.target not in modelled:
            raise InvalidDomain("the target must be one of the declared columns, and no identifier")
        if len(self.link) != 2 or bool(self.link[0]) != bool(self.link[1]):
            raise InvalidDomain("link is two groups of column names, both of them non-empty")
        linked = [name for half in self.link for name in half]
        if len(set(linked)) != len(linked) or not set(linked) <= modelled:
            raise InvalidDomain("link names declared columns, each in one half only, and no identifier")
        if self.other_targets and self.target is None:
            raise InvalidDomain("declare the first target as target, the others as other_targets")
        if len(self.targets) > MAX_TARGETS:
            raise InvalidDomain(f"at most {MAX_TARGETS} targets in all, got {len(self.targets)}")
        if len(set(self.targets)) != len(self.targets) or not set(self.targets) <= modelled:
            raise InvalidDomain("other_targets are declared columns, each once, and neither identifiers nor the target")
        check_orders(self.ordered, {c.name: c.kind for c in self.modelled})

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def modelled(self) -> tuple[Column, ...]:
        """The columns that a synthesizer models and a release holds: all but identifiers."""
        return tuple(c for c in self.columns if c.role is not Role.IDENTIFIER)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the columns that inference attacks guess."""
        return tuple(c.name for c in self.columns if c.secret)

    @property
    def protected(self) -> tuple[str, ...]:
        """The names of the columns whose groups the evaluation compares."""
        return tuple(c.name for c in self.columns if c.protected)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of all columns that will be predicted, ``target`` first."""
        return (() if self.target is None else (self.target,)) + self.other_targets

    @property
    def auxiliary(self) -> tuple[str, ...]:
        """The names of the columns that an attacker is taken to know."""
        return tuple(c.name for c in self.columns if c.role is Role.AUXILIARY)

    @property
    def halves(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The two groups that linkability joins: ``link``, else the auxiliary columns dealt alternately."""
        return self.link if self.link[0] else self.dealt

    @property
    def dealt(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The auxiliary columns in two groups, alternately."""
        return self.auxiliary[::2], self.auxiliary[1::2]

    def to_dict(self) -> dict[str, Any]:
        """The declaration as JSON-ready values; what came later stands there where it is declared alone, so that the
        digests of earlier declarations stay."""
        out: dict[str, Any] = {
            "columns": [c.to_dict() for c in self.columns],
            "target": self.target,
            "link": [list(half) for half in self.link],
        }
        if self.other_targets:
            out["other_targets"] = list(self.other_targets)
        if self.ordered:
            out["ordered"] = [list(group) for group in self.ordered]
        return out

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Domain":
        """Read a domain. Raises InvalidDomain."""
        columns = document.get("columns")
        if not isinstance(columns, (list, tuple)) or not columns:
            raise InvalidDomain("columns is a non-empty list of declared columns")
        if len(columns) > MAX_COLUMNS:
            raise InvalidDomain(f"at most {MAX_COLUMNS} columns, got {len(columns)}")
        link = document.get("link") or ((), ())
        target = document.get("target")
        if not (isinstance(link, (list, tuple)) and all(isinstance(half, (list, tuple)) for half in link)):
            raise InvalidDomain("link is two lists of column names")
        if target is not None and not isinstance(target, str):
            raise InvalidDomain("target is the name of a column")
        return cls(
            columns=tuple(map(Column.from_dict, columns)),
            target=target,
            link=tuple(tuple(map(str, half)) for half in link),  # type: ignore[arg-type]
            other_targets=names(document, "other_targets"),
            ordered=groups(document, "ordered"),
        )

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, in hex. Public: it holds nothing but declarations."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()
