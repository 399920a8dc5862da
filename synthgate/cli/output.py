"""How values are shown: rich tables for people, JSON for programs, one line for an error, and an exit code for both.

0    done
1    another failure (the gateway cannot be reached, ran out of time, or has a fault)
2    the command or its input is invalid
3    refused: budget, quota, policy, state, name taken, too large; nothing was charged
4    not found, or not visible to the role
5    no valid token, or the role may not do this
6    verification failed, or bytes are corrupt
7    the release that was waited for was closed without data
130  interrupted
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from synthgate import errors
from synthgate.budget import PrivacyBudget
from synthgate.derivation import REPLICATE, Derivation

CLOSED = 7
INTERRUPTED = 130
EXIT_CODES: tuple[tuple[type[errors.SynthgateError], int], ...] = (
    (errors.InvalidArgument, 2),
    (errors.FailedPrecondition, 3),
    (errors.AlreadyExists, 3),
    (errors.QuotaExhausted, 3),
    (errors.TooLarge, 3),
    (errors.NotFound, 4),
    (errors.Unauthenticated, 5),
    (errors.PermissionDenied, 5),
    (errors.VerificationFailed, 6),
    (errors.DataCorrupted, 6),
)


def exit_code(error: errors.SynthgateError) -> int:
    """The exit code of an error, by the table above."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def error_line(error: errors.SynthgateError, *, as_json: bool) -> str:
    """An error on one line, or as a JSON document."""
    if as_json:
        body = {"reason": error.reason, "message": error.message, "facts": error.facts}
        return json.dumps({"error": body}, ensure_ascii=False)
    return f"error: {printable(error.message)} [{error.reason}]"


def printable(text: str) -> str:
    """Text on one line, without anything that would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def plain(value: Any) -> Any:
    """A value as JSON-ready values: enums by name, moments in ISO 8601, budgets as epsilon and delta."""
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, PrivacyBudget):
        return {"epsilon": value.epsilon, "delta": value.delta}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (StrEnum, Path)):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value


def percent(ppm: int) -> str:
    """A share in millionths, in per cent. What takes anything is never shown as nothing."""
    return f"{ppm / 10_000:.1f} %" if ppm == 0 or ppm >= 500 else "< 0.1 %"


def asked_of_model(derivation: Derivation) -> dict[str, str]:
    """What a derived sample was asked to be, as names and values."""
    conditions = [f"{c.column}={c.value}" if c.value else f"{c.column} is null" for c in derivation.conditions]
    balance = derivation.rebalance
    shares = [f"{s.value or 'null'} {s.share:g}" for s in balance.shares] if balance else []
    return {
        "condition": " and ".join(conditions),
        "rebalanced": f"{balance.column}: {', '.join(shares) or 'equal shares'}" if balance else "",
        "rows asked": f"{derivation.rows:,}" if derivation.rows else "",
        "replicates": f"{derivation.replicates}, numbered in column {REPLICATE}" if derivation.replicates else "",
    }


def moment(at: datetime) -> str:
    """A moment in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def listing(console: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table with a header; cells are shown as they are, never read as markup."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console.print(table)


def facts(console: Console, title: str, rows: Mapping[str, object]) -> None:
    """Print names and values, without those that are empty."""
    table = Table(title=title, show_header=False, title_justify="left", title_style="bold")
    table.add_column(style="cyan")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value not in ("", None):
            table.add_row(name, Text(printable(str(value))))
    console.print(table)
