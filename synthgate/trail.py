"""The trail: a hash chain, of the ledger or of the audit log, verified from its exported lines and a checkpoint alone.

Lines are read as JSON objects, as `synthgate ledger export` and `synthgate audit export` write them. Nothing is shared
with the gateway that wrote them: digests are computed again. What must hold of every line, in order:

    1. its fields are those of its kind, no more and no less
    2. its number is one more than that of the line before it, from 1 on
    3. `previous` is the digest of the line before it, 64 zeros for the first
    4. its digest is the sha256 of the canonical JSON of its other fields

An attacker who writes all later digests anew passes these; a checkpoint, signed and kept elsewhere, names the digest
that the line of a number had, and then a chain that was edited, cut or written anew does not hold any more.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from synthgate.checkpoint import Head
from synthgate.errors import VerificationFailed

GENESIS = "0" * 64
RECORD = frozenset({"sequence", "at", "principal", "action", "resource", "detail", "previous", "digest"})
"""The fields of an audit record."""
ENTRY = frozenset(
    {
        "sequence", "account", "kind", "principal", "reason", "at", "previous", "digest", "reservation", "charge",
        "cap", "order", "capacity", "sandbox", "verdicts_granted", "salt",
    }
)  # fmt: skip
"""The fields of a ledger's entry."""


class Trail:
    """Takes the lines of one chain in order. ``kind`` names it in errors, ``fields`` are what a line has."""

    def __init__(self, kind: str, fields: frozenset[str]) -> None:
        self._kind = kind
        self._fields = fields
        self._digests = [GENESIS]

    @property
    def head(self) -> Head:
        """The last line taken."""
        return Head(sequence=len(self._digests) - 1, digest=self._digests[-1])

    def take_all(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take each line. Raises VerificationFailed, whose facts name the number (``sequence``) that the first line
        that does not hold should have."""
        for line in lines:
            self.take(line)

    def take(self, line: Mapping[str, Any]) -> None:
        """Take the next line. Raises VerificationFailed."""
        number = len(self._digests)
        if line.keys() != self._fields:
            raise self._failed(number, "it has not the fields of this version; upgrade synthgate, or export it again")
        if type(line["sequence"]) is not int or line["sequence"] != number:
            raise self._failed(number, f"it has number {line['sequence']}: lines were removed, repeated or moved")
        if line["previous"] != self._digests[-1]:
            raise self._failed(number, "it does not follow the line before it: lines were removed, moved or edited")
        if line["digest"] != self.digest_of(line):
            raise self._failed(number, "its digest is not that of its fields: it was edited")
        self._digests.append(line["digest"])

    def digest_of(self, line: Mapping[str, Any]) -> str:
        """sha256, in hex, over the JSON of all fields but ``digest``: keys sorted, no blanks, UTF-8."""
        fields = {key: value for key, value in line.items() if key != "digest"}
        try:
            text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
            return hashlib.sha256(text.encode()).hexdigest()
        except (ValueError, UnicodeEncodeError):
            return ""

    def holds(self, head: Head) -> None:
        """Raise VerificationFailed unless the line that a checkpoint names is in its place."""
        if head.sequence >= len(self._digests):
            raise self._failed(
                len(self._digests),
                f"it is missing: the checkpoint has {head.sequence} lines, this {self._kind} was cut off at its end or "
                "restored from a backup",
            )
        if self._digests[head.sequence] != head.digest:
            raise self._failed(
                head.sequence, "it is another one than the checkpoint names: the chain was written anew at or before it"
            )

    def _failed(self, number: int, why: str) -> VerificationFailed:
        return VerificationFailed(
            f"line {number} of the {self._kind} does not hold: {why}", facts={"sequence": str(number)}
        )
