"""With ``--guarantee-table`` a run ends with the promises of `docs/guarantees.md` and the figures that it reached.

Tests of a promise carry ``@pytest.mark.guarantee(name)`` and say what they reached with ``record_property("reached",
...)``. A promise without a test in the run, or with one that did not pass, does not stand.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("shared", deadline=None)  # machines are shared: no test fails for being slow
settings.load_profile("shared")
GUARANTEES = Path(__file__).parents[1] / "docs" / "guarantees.md"
_ROW = re.compile(r"^\| `([a-z-]+)` \| ([^|]+) \|", re.MULTILINE)


def promises() -> dict[str, str]:
    """The promises that the document makes, by name."""
    return {name: promise.strip() for name, promise in _ROW.findall(GUARANTEES.read_text(encoding="utf-8"))}


@dataclass(slots=True)
class _Proof:
    """What a run showed of one promise."""

    passed: int = 0
    other: int = 0
    seconds: float = 0.0
    reached: list[str] = field(default_factory=list)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--guarantee-table", action="store_true", help="end with the promises and what this run reached")


def pytest_itemcollected(item: pytest.Item) -> None:
    for mark in item.iter_markers("guarantee"):
        (name,) = mark.args
        item.user_properties.append(("guarantee", name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--guarantee-table"):
        return
    proofs = _proofs(terminalreporter)
    terminalreporter.section("what is guaranteed, and what this run reached")
    for name, promise in promises().items():
        proof = proofs[name]
        stands = "stands" if proof.passed and not proof.other else "NOT SHOWN"
        terminalreporter.write_line(
            f"{stands:<9}  {name}: {promise} ({proof.passed} of {proof.passed + proof.other} tests passed, "
            f"{proof.seconds:.0f} s)"
        )
        for figure in sorted(set(proof.reached)):
            terminalreporter.write_line(f"{'':<11}- {figure}")


def _proofs(terminalreporter: pytest.TerminalReporter) -> defaultdict[str, _Proof]:
    proofs: defaultdict[str, _Proof] = defaultdict(_Proof)
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            properties = getattr(report, "user_properties", ())
            for name in (value for key, value in properties if key == "guarantee"):
                proof = proofs[str(name)]
                proof.passed += outcome == "passed"
                proof.other += outcome != "passed"
                proof.seconds += report.duration
                proof.reached += [str(value) for key, value in properties if key == "reached" and outcome == "passed"]
    return proofs
