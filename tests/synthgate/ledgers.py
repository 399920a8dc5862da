"""Ledgers as lists of JSON objects, as `synthgate ledger export` writes them, and ways to cheat with one."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from synthgate.budget import PrivacyBudget
from synthgate.ledger import Charge, Entry, EntryKind
from synthgate.recount import GENESIS, Recount, Tally, digest_of

Line = dict[str, Any]
ORDER, K = 9, 1_578_853_890_507
"""The order and the K of a cap of epsilon 3 at delta 1e-6."""


def line(kind: str, **given: Any) -> Line:
    """An entry without its place; what is left out is as the ledger leaves it."""
    blank = {
        "account": "people", "principal": "analyst", "reason": "", "at": "2026-01-02T03:04:05.678901+00:00",
        "reservation": "", "charge": None, "cap": None, "order": 0, "capacity": 0, "sandbox": False,
        "verdicts_granted": 0, "salt": "00" * 16,
    }  # fmt: skip
    return {**blank, "kind": kind, **given}


def opened(epsilon: int = 3 * 10**9, **given: Any) -> Line:
    cap = {"epsilon_units": epsilon, "delta_units": 10**12}
    return line("open", cap=cap, **{"order": ORDER, "capacity": K, "reason": "first", **given})


def moved(kind: str, reservation: str, *, epsilon: int = 10**9, rdp: int | None = 194_580_000_000) -> Line:
    return line(kind, reservation=reservation, charge={"epsilon": epsilon, "delta": 5 * 10**10, "rdp": rdp})


def chained(lines: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The lines numbered, linked and hashed anew: what a cheater does who can write the whole database."""
    found, previous = [], GENESIS
    for number, each in enumerate(lines, 1):
        placed = {**each, "sequence": number, "previous": previous}
        placed["digest"] = previous = digest_of(placed)
        found.append(placed)
    return found


HONEST = chained([
    opened(),
    moved("reserve", "r1"),
    moved("commit", "r1"),
    moved("reserve", "r2", epsilon=2 * 10**9, rdp=10**12),
    moved("void", "r2", epsilon=2 * 10**9, rdp=10**12),
    moved("reserve", "r3"),
    moved("commit", "r3"),
    moved("reserve", "r4"),
])  # fmt: skip


def recounted(lines: Sequence[Mapping[str, Any]]) -> Recount:
    recount = Recount()
    for each in lines:
        recount.take(each)
    return recount


def tally(lines: Sequence[Mapping[str, Any]], name: str = "people") -> Tally:
    (found,) = [t for t in recounted(lines).accounts if t.name == name]
    return found


def entry(fields: Mapping[str, Any]) -> Entry:
    """The same entry as the value that the client and the gateway exchange."""
    charge, cap = fields["charge"], fields["cap"]
    return Entry(**{
        **fields, "kind": EntryKind(fields["kind"]), "at": datetime.fromisoformat(fields["at"]),
        "charge": charge and Charge(**charge), "cap": cap and PrivacyBudget(**cap),
    })  # fmt: skip


Cheat = Callable[[list[Line]], Sequence[Mapping[str, Any]]]


def edited(number: int, *, anew: bool, **change: Any) -> Cheat:
    """One entry changed; ``anew`` hashes everything again, else its digest stays."""

    def cheat(lines: list[Line]) -> Sequence[Line]:
        lines[number - 1] = {**lines[number - 1], **change}
        return chained(lines) if anew else lines

    return cheat


def dropped(number: int, *, anew: bool) -> Cheat:
    def cheat(lines: list[Line]) -> Sequence[Line]:
        del lines[number - 1]
        return chained(lines) if anew else lines

    return cheat


def swapped(number: int, *, anew: bool) -> Cheat:
    def cheat(lines: list[Line]) -> Sequence[Line]:
        lines[number - 1 : number + 1] = lines[number], lines[number - 1]
        return chained(lines) if anew else lines

    return cheat


def added(*more: Line) -> Cheat:
    return lambda lines: chained([*lines, *more])
