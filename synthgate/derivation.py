"""`Derivation`: what somebody asks of the model behind a RELEASED release: conditions, shares, rows.

A derived sample is post-processing of a model that has passed: no charge, no verdict of its own. Everything here is
checked against the declared domain alone, so that a refusal says everything. Replicates are several samples, each of
another population that the noisy tables behind the model leave plausible (`synthgate.inference` combines them).

A condition's ``value`` is text, read by the kind of its column, so that names of categories need no escape:

    categorical, boolean        a category as declared; true or false
    integer, float, datetime    one value, or LOW..HIGH with both ends in it; an end left out is the declared bound
    any nullable column         empty: the cell is null
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import fsum, isfinite
from typing import Any

from synthgate.domain import NUMERIC, Column, Domain, Kind
from synthgate.errors import InvalidArgument

MAX_TIMES = 10
"""A derived sample has at most so many times the rows of its source."""
MAX_REPLICATES = 100
REPLICATE = "_replicate"
"""The column of a release with replicates that numbers them 1, 2, ...; a domain that declares it has none."""
NULL = ""
_TRUTH = {"true": True, "false": False}
Number = int | float | datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Every row's cell of ``column`` is what ``value`` says."""

    column: str
    value: str

    def __str__(self) -> str:
        return f"{self.column}={self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """``share`` of the rows, 0 to 1, have ``value`` (a category, a truth value, or empty for null)."""

    value: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    """The shares of a categorical or boolean ``column``; without ``shares`` its declared values get equal ones."""

    column: str
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """A condition read by its column: null, or ``value`` (a category or truth value), or ``low`` to ``high``, which lie
    within the declared bounds."""

    column: Column
    null: bool = False
    value: str | bool | None = None
    low: Number | None = None
    high: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """``source`` is the RELEASED release whose model is sampled; all ``conditions`` hold for every row, at most one a
    column; ``rows`` 0 stands for as many as the source has. With ``replicates`` (2 to 100, and no conditions or shares)
    it has so many tables of ``rows`` rows each; 0 stands for one sample of the model."""

    source: str
    conditions: tuple[Condition, ...] = ()
    rebalance: Rebalance | None = None
    rows: int = 0
    replicates: int = 0

    def __post_init__(self) -> None:
        if self.replicates and not 2 <= self.replicates <= MAX_REPLICATES:
            raise InvalidArgument(f"ask for 2 to {MAX_REPLICATES} replicates")
        if self.replicates and (self.conditions or self.rebalance is not None):
            raise InvalidArgument(
                "replicates are samples of whole populations; leave conditions and shares out, and condition the"
                " analysis instead"
            )
        named = [c.column for c in self.conditions]
        if self.rebalance is not None:
            named.append(self.rebalance.column)
        if len(set(named)) != len(named):
            raise InvalidArgument("a column takes one condition, or is rebalanced; name each once")

    def check(self, domain: Domain, *, source_rows: int) -> None:
        """Hold the request to the declaration and to the source's public size. Raises InvalidArgument."""
        for condition in self.conditions:
            allowed(condition, domain)
        if self.rebalance is not None:
            strata(self.rebalance, domain)
        most = MAX_TIMES * source_rows // max(self.replicates, 1)
        if not 0 <= self.rows <= most or (not self.rows and most < source_rows):
            each = f" of each of the {self.replicates} replicates" if self.replicates else ""
            raise InvalidArgument(f"ask for 1 to {most:,} rows{each}: {MAX_TIMES} times the source's in all")
        if self.replicates and REPLICATE in {c.name for c in domain.columns}:
            raise InvalidArgument(f"the dataset declares a column {REPLICATE!r}, so its replicates cannot be numbered")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; `from_dict` reads them back."""
        shares = None
        if self.rebalance is not None:
            rows = [{"value": s.value, "share": s.share} for s in self.rebalance.shares]
            shares = {"column": self.rebalance.column, "shares": rows}
        conditions = [{"column": c.column, "value": c.value} for c in self.conditions]
        asked = {"source": self.source, "conditions": conditions, "rebalance": shares, "rows": self.rows}
        return asked | ({"replicates": self.replicates} if self.replicates else {})

    @property
    def total_rows(self) -> int:
        """How many rows all tables have together."""
        return self.rows * max(self.replicates, 1)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Derivation":
        """Read what `to_dict` wrote. Raises KeyError, TypeError, ValueError, InvalidArgument."""
        found = document["rebalance"]
        return cls(
            source=document["source"],
            conditions=tuple(Condition(**c) for c in document["conditions"]),
            rebalance=found and Rebalance(column=found["column"], shares=tuple(Share(**s) for s in found["shares"])),
            rows=document["rows"],
            replicates=document.get("replicates", 0),
        )


def allowed(condition: Condition, domain: Domain) -> Allowed:
    """What a condition lets through. Raises InvalidArgument for what the column does not declare."""
    column, text = _column(condition.column, domain), condition.value
    if text == NULL:
        if not column.nullable:
            raise InvalidArgument(f"column {column.name} is never null; give a value")
        return Allowed(column=column, null=True)
    if column.kind not in NUMERIC:
        return Allowed(column=column, value=_declared(column, text))
    first, between, second = text.partition("..")
    low = _number(column, first) if first or not between else column.low
    high = low if not between else _number(column, second) if second else column.high
    assert low is not None and high is not None  # noqa: S101  numeric columns declare bounds
    if column.number(low) > column.number(high):
        raise InvalidArgument(f"column {column.name}: a range goes from the lower to the higher value")
    if column.number(high) < column.number(column.low) or column.number(low) > column.number(column.high):
        raise InvalidArgument(f"column {column.name}: declared are values from {column.low} to {column.high}")
    low, high = max(low, column.low, key=column.number), min(high, column.high, key=column.number)
    return Allowed(column=column, low=low, high=high)


def strata(rebalance: Rebalance, domain: Domain) -> tuple[tuple[Allowed, float], ...]:
    """What each share lets through, with the share. Raises InvalidArgument for a column that is not categorical or
    boolean, for values that are not declared, and for shares that are not positive or do not add up to 1."""
    column = _column(rebalance.column, domain)
    if column.kind in NUMERIC:
        raise InvalidArgument(f"column {column.name}: only categorical and boolean columns are rebalanced")
    if not rebalance.shares:
        values: tuple[str | bool, ...] = column.categories or (False, True)
        return tuple((Allowed(column=column, value=value), 1 / len(values)) for value in values)
    if len({s.value for s in rebalance.shares}) != len(rebalance.shares):
        raise InvalidArgument(f"column {column.name}: name each value's share once")
    shares = [s.share for s in rebalance.shares]
    if not all(isfinite(s) and s > 0 for s in shares) or abs(fsum(shares) - 1) > 1e-9:
        raise InvalidArgument(f"column {column.name}: shares are positive and add up to 1")
    return tuple(
        (allowed(Condition(column=column.name, value=s.value), domain), s.share / fsum(shares))
        for s in rebalance.shares
    )


def _column(name: str, domain: Domain) -> Column:
    found = next((c for c in domain.modelled if c.name == name), None)
    if found is None:
        raise InvalidArgument(f"there is no released column {name!r}; see the dataset's declaration")
    return found


def _declared(column: Column, text: str) -> str | bool:
    if column.kind is Kind.BOOLEAN:
        if text not in _TRUTH:
            raise InvalidArgument(f"column {column.name}: a truth value is true or false")
        return _TRUTH[text]
    if text not in column.categories:
        raise InvalidArgument(f"column {column.name} does not declare the category {text!r}")
    return text


def _number(column: Column, text: str) -> Number:
    try:
        if column.kind is Kind.DATETIME:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                return moment
        else:
            number = int(text) if column.kind is Kind.INTEGER else float(text)
            if isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    kinds = {Kind.INTEGER: "whole numbers", Kind.FLOAT: "numbers", Kind.DATETIME: "ISO 8601 moments without a zone"}
    raise InvalidArgument(f"column {column.name} takes {kinds[column.kind]}: VALUE or LOW..HIGH")
