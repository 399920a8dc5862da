"""Hash chains: every line of the ledger and of the audit log names the digest of the line before it.

A digest is sha256 over the canonical JSON (sorted keys, no blanks, UTF-8, times as ISO 8601 in UTC with microseconds)
of every field of the line but the digest itself. So no line can be edited, dropped or moved without breaking every
later digest. What a chain alone cannot show is a cut at its end: keep the head elsewhere (attestations carry it).
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from synthgate.budget import PrivacyBudget
from synthgate.errors import DataCorrupted, InvalidArgument
from synthgate.ledger import Charge, Entry
from synthgate.record import AuditRecord

GENESIS = "0" * 64
"""What the first line names as the digest before it."""

Line = TypeVar("Line", Entry, AuditRecord)
_NESTED = (Charge, PrivacyBudget)
"""What a line holds that has fields itself."""
_NAMES = {kind: tuple(f.name for f in dataclasses.fields(kind)) for kind in (Entry, AuditRecord, *_NESTED)}


def canonical(document: Mapping[str, Any]) -> str:
    """The one JSON text of a document. Raises InvalidArgument for what JSON cannot hold (NaN, foreign types)."""
    try:
        return _ENCODER.encode(document)
    except (TypeError, ValueError) as error:
        raise InvalidArgument("a stored document holds JSON values only: finite numbers, texts, lists, maps") from error


def moment(at: datetime) -> str:
    """A time as text: UTC, ISO 8601, microseconds. Raises InvalidArgument for a time without a zone."""
    if at.tzinfo is None:
        raise InvalidArgument("times carry a zone; this one has none")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def digest(line: Entry | AuditRecord) -> str:
    """The digest that ``line`` must carry, in hex."""
    fields = {name: _nested(value) for name, value in _fields(line).items() if name != "digest"}
    return hashlib.sha256(canonical(fields).encode()).hexdigest()


def seal(line: Line, *, after: Line | None) -> Line:
    """``line`` with the sequence number and digests that make it the successor of ``after`` (None: the first)."""
    sequence, previous = (after.sequence + 1, after.digest) if after else (1, GENESIS)
    placed = dataclasses.replace(line, sequence=sequence, previous=previous, digest="")
    return dataclasses.replace(placed, digest=digest(placed))


def verify(lines: Iterable[Line], *, after: Line | None = None) -> Line | None:
    """Check that ``lines`` continue the chain after ``after`` without a gap; returns the last one.

    Raises DataCorrupted naming the first line that does not hold.
    """
    last = after
    for line in lines:
        place = (last.sequence + 1, last.digest) if last else (1, GENESIS)
        if (line.sequence, line.previous) != place or line.digest != digest(line):
            raise DataCorrupted(
                f"line {line.sequence} does not continue the hash chain; restore the database from a backup and "
                "compare its head with the one in the newest attestation",
                facts={"sequence": str(line.sequence)},
            )
        last = line
    return last


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return moment(value)
    raise TypeError(type(value).__name__)


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
)  # fmt: skip


def _fields(value: Any) -> dict[str, Any]:
    """As `dataclasses.asdict` gives them, without its deep copies: a start looks at every line there is."""
    return {name: getattr(value, name) for name in _NAMES[type(value)]}


def _nested(value: Any) -> Any:
    return _fields(value) if isinstance(value, _NESTED) else value
