"""The recount: every account computed a second time, from the entries of the ledger alone.

Whoever has the entries (`synthgate ledger export`) needs to trust nothing of the gateway that wrote them. Nothing is
shared with it either, neither its rules nor its values: entries are read as JSON objects, the chain is hashed again,
the order and the capacity of meter B come from `synthgate.renyi`, and both meters are summed here. One entry at a time
is taken in order; the first one that does not hold is named. What must hold (DESIGN 5.10):

    1. an entry has exactly its fields, in their types; its number, `previous` and digest continue the chain
    2. an open or amend carries a cap, the frozen order and the K of that cap; nothing amends order or sandbox
    3. a reserve has a new id; a commit or void has the amounts of a reserve that neither has followed yet
    4. after every reserve and amend at least one of the two meters holds

What a chain alone cannot show is that its end was cut off, or that all of it was written anew: `holds_head` and
`holds_commit` compare it with what an attestation carries.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from synthgate import renyi
from synthgate.errors import VerificationFailed

GENESIS = "0" * 64
PPM = 1_000_000
_KINDS = {"open", "amend", "reserve", "commit", "void"}
_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "sequence": int, "account": str, "kind": str, "principal": str, "reason": str, "at": str, "previous": str,
    "digest": str, "reservation": str, "charge": (dict, type(None)), "cap": (dict, type(None)), "order": int,
    "capacity": int, "sandbox": bool, "verdicts_granted": int, "salt": str,
}  # fmt: skip
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
_LIMITS = {"epsilon_units": (10**6, 10**11), "delta_units": (10**3, 10**16)}
"""What a cap may be: epsilon 0.001 to 100 in units of 1e-9, delta 1e-15 to 0.01 in units of 1e-18."""
_AMOUNT_MAX = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Charges added up: epsilon in 1e-9, delta in 1e-18, Rényi divergence in 1e-12. ``opaque`` counts the charges
    that meter B cannot hold."""

    epsilon: int = 0
    delta: int = 0
    rdp: int = 0
    opaque: int = 0

    def plus(self, other: "Sum", sign: int = 1) -> "Sum":
        """The sum with ``other`` added, or taken out for a ``sign`` of -1."""
        return Sum(
            epsilon=self.epsilon + sign * other.epsilon,
            delta=self.delta + sign * other.delta,
            rdp=self.rdp + sign * other.rdp,
            opaque=self.opaque + sign * other.opaque,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One account as its entries give it. ``epsilon`` and ``delta`` are the cap's, in 1e-9 and 1e-18."""

    name: str
    epsilon: int
    delta: int
    order: int
    capacity: int
    sandbox: bool
    verdicts_granted: int
    committed: Sum = Sum()
    reserved: Sum = Sum()
    entries: int = 1

    @property
    def live(self) -> Sum:
        """Committed and reserved."""
        return self.committed.plus(self.reserved)

    @property
    def _b_is_open(self) -> bool:
        return self.capacity > 0 and self.live.opaque == 0

    @property
    def holds(self) -> bool:
        """Whether at least one meter is within its cap."""
        a = self.live.epsilon <= self.epsilon and 2 * self.live.delta <= self.delta
        return a or (self._b_is_open and self.live.rdp <= self.capacity)

    @property
    def share_ppm(self) -> int:
        """What is taken, in millionths rounded up: the smaller over the open meters."""
        half = self.delta // 2
        a = max(-(-self.live.epsilon * PPM // self.epsilon), -(-self.live.delta * PPM // half))
        return min(a, -(-self.live.rdp * PPM // self.capacity)) if self._b_is_open else a


class Recount:
    """Takes the entries of a whole ledger, one after the other, and keeps what they add up to."""

    def __init__(self) -> None:
        self._digests = [GENESIS]
        self._accounts: dict[str, Tally] = {}
        self._reserved: dict[str, tuple[str, Any]] = {}
        """The account and charge of each reservation by id."""
        self._settled: dict[str, tuple[str, int]] = {}
        """The verb that settled a reservation, and the number of that entry."""

    @property
    def accounts(self) -> tuple[Tally, ...]:
        """Every account, in the order of opening."""
        return tuple(self._accounts.values())

    @property
    def head(self) -> str:
        """The digest of the last entry taken; 64 zeros before the first."""
        return self._digests[-1]

    @property
    def taken(self) -> int:
        """How many entries were taken."""
        return len(self._digests) - 1

    def take(self, entry: Mapping[str, Any]) -> Tally:
        """Check the next entry and count it; returns its account as it is then. Raises VerificationFailed, whose facts
        name the number (``sequence``) that the entry should have."""
        number = len(self._digests)
        if why := _malformed(entry) or self._off_chain(entry, number):
            raise _failed(number, why)
        counted: Tally | str = getattr(self, f"_{entry['kind']}")(entry)
        if isinstance(counted, str):
            raise _failed(number, counted)
        if entry["kind"] in ("reserve", "amend") and not counted.holds:
            raise _failed(
                number, f"account {counted.name!r} is above its cap on both meters after this {entry['kind']}"
            )
        self._digests.append(entry["digest"])
        if entry["kind"] in ("commit", "void"):
            self._settled[entry["reservation"]] = (entry["kind"], number)
        elif entry["kind"] == "reserve":
            self._reserved[entry["reservation"]] = (entry["account"], entry["charge"])
        self._accounts[counted.name] = counted
        return counted

    def holds_head(self, digest: str) -> None:
        """Raise VerificationFailed unless ``digest`` is that of an entry: else the ledger was cut or written anew."""
        if digest not in self._digests:
            raise VerificationFailed(
                "no entry has the digest of the given head: entries were removed at the end, or the ledger was written "
                "anew; compare with a copy made before"
            )

    def holds_commit(self, *, release: str, account: str, sequence: int, digest: str, head: str) -> None:
        """Raise VerificationFailed unless the entry that an attestation names is in its place, commits that release on
        that account, and the head at signing is in the chain, not before it."""
        self.holds_head(head)
        if not 0 < sequence < len(self._digests) or self._digests[sequence] != digest:
            raise _failed(sequence, f"it is not the entry that the attestation of {release!r} names")
        charged = self._reserved.get(release, ("", None))[0]
        if (charged, self._settled.get(release)) != (account, ("commit", sequence)):
            raise _failed(sequence, f"it does not commit release {release!r} on account {account!r}")
        if self._digests.index(head) < sequence:
            raise _failed(sequence, f"it stands behind the head that the attestation of {release!r} was signed at")

    def _off_chain(self, entry: Mapping[str, Any], number: int) -> str:
        if entry["sequence"] != number:
            return f"it has number {entry['sequence']}: entries were removed or moved"
        if entry["previous"] != self.head:
            return "it does not follow the entry before it: entries were removed, moved or edited"
        try:
            own = digest_of(entry)
        except UnicodeEncodeError:
            return "its texts are not UTF-8"
        return "" if entry["digest"] == own else "its digest is not that of its fields: it was edited"

    def _open(self, entry: Mapping[str, Any]) -> Tally | str:
        cap = entry["cap"]
        if entry["account"] in self._accounts:
            return f"account {entry['account']!r} was opened before"
        if entry["order"] not in renyi.best_orders(cap["epsilon_units"], cap["delta_units"]):
            return "its order is not the best one of its cap"
        if why := _wrong_capacity(entry):
            return why
        return Tally(
            name=entry["account"], epsilon=cap["epsilon_units"], delta=cap["delta_units"], order=entry["order"],
            capacity=entry["capacity"], sandbox=entry["sandbox"], verdicts_granted=entry["verdicts_granted"],
        )  # fmt: skip

    def _amend(self, entry: Mapping[str, Any]) -> Tally | str:
        tally, cap = self._accounts.get(entry["account"]), entry["cap"]
        if tally is None:
            return "it amends an account that was not opened"
        if (entry["order"], entry["sandbox"]) != (tally.order, tally.sandbox):
            return "it changes the order or the sandbox of an account, which are fixed at opening"
        if not entry["reason"].strip():
            return "it amends an account without a reason"
        if why := _wrong_capacity(entry):
            return why
        return replace(
            tally, epsilon=cap["epsilon_units"], delta=cap["delta_units"], capacity=entry["capacity"],
            verdicts_granted=entry["verdicts_granted"], entries=tally.entries + 1,
        )  # fmt: skip

    def _reserve(self, entry: Mapping[str, Any]) -> Tally | str:
        tally, release = self._accounts.get(entry["account"]), entry["reservation"]
        if tally is None:
            return "it reserves on an account that was not opened"
        if release in self._reserved:
            return f"{release!r} was reserved before"
        return replace(tally, reserved=tally.reserved.plus(_sum(entry["charge"])), entries=tally.entries + 1)

    def _commit(self, entry: Mapping[str, Any]) -> Tally | str:
        tally = self._taken_out(entry)
        if isinstance(tally, str):
            return tally
        return replace(tally, committed=tally.committed.plus(_sum(entry["charge"])))

    def _void(self, entry: Mapping[str, Any]) -> Tally | str:
        return self._taken_out(entry)

    def _taken_out(self, entry: Mapping[str, Any]) -> Tally | str:
        """The account without the reservation that this commit or void settles."""
        release, kind = entry["reservation"], entry["kind"]
        if release not in self._reserved:
            return f"this {kind} is of {release!r}, which was never reserved"
        if release in self._settled:
            before, at = self._settled[release]
            return f"this {kind} is of {release!r}, which had its {before} in entry {at}"
        if self._reserved[release] != (entry["account"], entry["charge"]):
            return f"this {kind} has another account or other amounts than the reserve of {release!r}"
        tally = self._accounts[entry["account"]]
        return replace(tally, reserved=tally.reserved.plus(_sum(entry["charge"]), -1), entries=tally.entries + 1)


def digest_of(entry: Mapping[str, Any]) -> str:
    """sha256, in hex, over the JSON of all fields but ``digest``: keys sorted, no blanks, UTF-8."""
    fields = {key: value for key, value in entry.items() if key != "digest"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _malformed(entry: Mapping[str, Any]) -> str:
    """What is wrong with an entry by itself; empty for nothing."""
    if entry.keys() != _FIELDS.keys() or not all(
        isinstance(entry[key], kind) and (kind is bool or not isinstance(entry[key], bool))
        for key, kind in _FIELDS.items()
    ):
        return "its fields are not those of an entry of this version; upgrade synthgate, or export the ledger again"
    if entry["kind"] not in _KINDS or not entry["account"] or not _MOMENT.fullmatch(entry["at"]):
        return "its verb, account or time is none"
    charge, cap = entry["charge"], entry["cap"]
    if entry["kind"] in ("open", "amend"):
        wrong = charge is not None or entry["reservation"] or not _is_cap(cap) or entry["verdicts_granted"] < 0
        return "an open or amend carries a cap within limits, a grant, and no charge" if wrong else ""
    beside = (cap, entry["order"], entry["capacity"], entry["sandbox"], entry["verdicts_granted"])
    if beside != (None, 0, 0, False, 0) or not entry["reservation"] or not _is_charge(charge):
        return "a reserve, commit or void carries an id, a charge of whole amounts that are not negative, and no cap"
    return ""


def _is_cap(cap: Any) -> bool:
    if not isinstance(cap, dict) or cap.keys() != _LIMITS.keys():
        return False
    return all(type(cap[key]) is int and low <= cap[key] <= high for key, (low, high) in _LIMITS.items())


def _is_charge(charge: Any) -> bool:
    if not isinstance(charge, dict) or charge.keys() != {"epsilon", "delta", "rdp"}:
        return False
    amounts = (charge["epsilon"], charge["delta"], 0 if charge["rdp"] is None else charge["rdp"])
    return all(type(a) is int and 0 <= a < _AMOUNT_MAX for a in amounts) and amounts[0] > 0


def _wrong_capacity(entry: Mapping[str, Any]) -> str:
    cap = entry["cap"]
    right = renyi.capacities(cap["epsilon_units"], cap["delta_units"], entry["order"])
    return "" if entry["capacity"] in right else f"meter B should hold {max(right)}e-12, which is the K of its cap"


def _sum(charge: Mapping[str, Any]) -> Sum:
    opaque = charge["rdp"] is None
    return Sum(epsilon=charge["epsilon"], delta=charge["delta"], rdp=charge["rdp"] or 0, opaque=int(opaque))


def _failed(number: int, why: str) -> VerificationFailed:
    return VerificationFailed(f"entry {number} does not hold: {why}", facts={"sequence": str(number)})
