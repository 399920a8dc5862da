import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from server.ledger import chain, rules
from synthgate.budget import PrivacyBudget
from synthgate.errors import DataCorrupted, InvalidArgument
from synthgate.ledger import Entry
from synthgate.record import AuditRecord
from tests.server.stores import EPOCH, EPS1, account


def book() -> list[Entry]:
    opening = rules.opened(account(), taken=False, reason="first")
    balance = rules.balance_of("people", [opening])
    lines: list[Entry] = []
    for line in (opening, *(rules.reserved(balance, name, EPS1, taken=False, by="a", at=EPOCH) for name in "abc")):
        lines.append(chain.seal(line, after=lines[-1] if lines else None))
    return lines


def test_a_chain_verifies_whole_and_in_pages() -> None:
    lines = book()
    assert chain.verify(lines) == lines[-1]
    assert chain.verify(lines[2:], after=chain.verify(lines[:2])) == lines[-1]
    assert chain.verify([]) is None


TAMPERING: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "a cheaper charge": lambda b: [b[0], replace(b[1], charge=replace(EPS1, epsilon=1)), *b[2:]],
    "an opaque charge made measurable": lambda b: [b[0], replace(b[1], charge=replace(EPS1, rdp=None)), *b[2:]],
    "another principal": lambda b: [replace(b[0], principal="thief"), *b[1:]],
    "another time": lambda b: [replace(b[0], at=EPOCH + timedelta(microseconds=1)), *b[1:]],
    "a larger cap": lambda b: [replace(b[0], cap=PrivacyBudget.cap(9.0, 1e-6)), *b[1:]],
    "a dropped line": lambda b: [b[0], *b[2:]],
    "a dropped first line": lambda b: b[1:],
    "swapped lines": lambda b: [b[0], b[2], b[1], b[3]],
    "a repeated line": lambda b: [*b, b[-1]],
    "a line resealed without its successors": lambda b: [
        b[0], chain.seal(replace(b[1], charge=replace(EPS1, epsilon=1)), after=b[0]), *b[2:],
    ],
    "another digest": lambda b: [*b[:-1], replace(b[-1], digest="f" * 64)],
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_convicted(name: str) -> None:
    with pytest.raises(DataCorrupted):
        chain.verify(TAMPERING[name](book()))


def test_a_digest_is_what_another_program_computes() -> None:
    """The format is a promise to auditors: this text, hashed with any sha256, gives this digest."""
    record = AuditRecord(
        sequence=1, at=EPOCH, principal="p", action="open", resource="ä", detail={"b": "2", "a": "1"},
        previous=chain.GENESIS, digest="",
    )  # fmt: skip
    text = (
        '{"action":"open","at":"2026-01-02T03:04:05.678901+00:00","detail":{"a":"1","b":"2"},"previous":"'
        + "0" * 64
        + '","principal":"p","resource":"ä","sequence":1}'
    )
    assert chain.canonical(json.loads(text)) == text
    assert chain.digest(record) == hashlib.sha256(text.encode()).hexdigest()


def test_times_are_utc_whatever_zone_they_came_in() -> None:
    elsewhere = EPOCH.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert chain.moment(elsewhere) == chain.moment(EPOCH) == "2026-01-02T03:04:05.678901+00:00"
    with pytest.raises(InvalidArgument):
        chain.moment(datetime(2026, 1, 1))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_documents_hold_json_alone(value: object) -> None:
    with pytest.raises(InvalidArgument):
        chain.canonical({"x": value})
