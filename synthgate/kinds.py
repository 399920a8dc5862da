"""`Kind` and `Role`, which every column has, and how parts of a declaration are read and checked."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from synthgate.errors import InvalidDomain

MAX_BINS = 32
MAX_ORDERED = 100
MAX_TARGETS = 10


class Kind(StrEnum):
    """What the cells of a column are."""

    CATEGORICAL = "categorical"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATETIME = "datetime"


NUMERIC = frozenset({Kind.INTEGER, Kind.FLOAT, Kind.DATETIME})


class Role(StrEnum):
    """What an attacker is taken to know. Identifiers are never modelled and never released."""

    IDENTIFIER = "identifier"
    AUXILIARY = "auxiliary"
    SENSITIVE = "sensitive"


def plain(value: Any) -> Any:
    """A bound as JSON takes it."""
    return value.isoformat() if isinstance(value, datetime) else value


def moment(value: Any) -> Any:
    """A declared bound as a datetime: YAML reads unquoted dates itself; JSON brings strings. Raises InvalidDomain."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise InvalidDomain("datetime bounds and bins are ISO 8601, for instance 2024-01-31") from None
    if value is not None and not isinstance(value, datetime) and hasattr(value, "isoformat"):
        return datetime.fromisoformat(value.isoformat())
    return value


def names(document: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The list of column names under ``key``, empty where there is none. Raises InvalidDomain."""
    found = document.get(key) or ()
    if not isinstance(found, (list, tuple)) or not all(isinstance(name, str) for name in found):
        raise InvalidDomain(f"{key} is a list of column names")
    return tuple(found)


def groups(document: Mapping[str, Any], key: str) -> tuple[tuple[str, ...], ...]:
    """The lists of column names under ``key``, empty where there are none. Raises InvalidDomain."""
    found = document.get(key) or ()
    if not isinstance(found, (list, tuple)):
        raise InvalidDomain(f"{key} is a list of lists of column names")
    return tuple(names({key: group}, key) for group in found)


def check_orders(ordered: Sequence[tuple[str, ...]], kinds: Mapping[str, Kind]) -> None:
    """Hold groups of ordered columns to the kinds of the modelled ones. Raises InvalidDomain."""
    if len(ordered) > MAX_ORDERED:
        raise InvalidDomain(f"at most {MAX_ORDERED} groups of ordered columns, got {len(ordered)}")
    for group in ordered:
        if len(group) < 2 or len(set(group)) != len(group) or not set(group) <= set(kinds):
            raise InvalidDomain("a group of ordered names two or more declared columns, each once, and no identifier")
        found = {kinds[name] for name in group}
        if not found <= NUMERIC or (Kind.DATETIME in found and len(found) > 1):
            raise InvalidDomain("a group of ordered holds numbers alone or datetimes alone")


def cut_points(points: Sequence[float], *, whole: bool) -> tuple[float, ...]:
    """``points`` themselves where there are more than two bounds; else equal widths between them: 32, or one a value of
    ``whole`` numbers where there are at most 32."""
    low, high = points[0], points[-1]
    if len(points) > 2:
        return tuple(points)
    if whole:
        values = int(high - low) + 1
        if values <= MAX_BINS:
            return (*(low + i for i in range(values)), high)
        cuts = sorted({math.ceil(low + i * values / MAX_BINS) for i in range(1, MAX_BINS)})
        return (low, *map(float, cuts), high)
    return (*(low + (high - low) * i / MAX_BINS for i in range(MAX_BINS)), high)
