"""What the audit tells its reader: with ``--audit-table`` a line for every claim that was attacked."""

from collections.abc import Callable

import pytest

from dp_models.mechanisms.accounting import epsilon
from synthgate.events import DpEvent
from tests.audit.canaries import Guesses
from tests.audit.games import ALPHA, Verdict

Keep = Callable[[str, object], None]
Note = Callable[[str, DpEvent, Verdict], bool]
NoteRun = Callable[[str, DpEvent, Guesses], bool]
DELTA, DELTA_RUN = 1e-5, 1e-9
_LINE = "{:<44} {:>9} {:>6} {:>9} {:>9} {:>8}  {}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--audit-table", action="store_true", help="end with a table of claims and proven bounds")


@pytest.fixture
def note(record_property: Keep) -> Note:
    """Keeps a line for the table, and says whether the claim is broken by games."""

    def keep(what: str, claim: DpEvent, verdict: Verdict) -> bool:
        point, broken = verdict.closest(claim), verdict.breaks(claim)
        record_property("audit", _line(what, epsilon(claim, DELTA), point, verdict.games, broken))
        return broken

    return keep


@pytest.fixture
def note_run(record_property: Keep) -> NoteRun:
    """Keeps a line for the table, and says whether the claim is broken by one run."""

    def keep(what: str, claim: DpEvent, found: Guesses) -> bool:
        claimed, proven = epsilon(claim, DELTA_RUN), found.proves(DELTA_RUN, alpha=ALPHA)
        point = DELTA_RUN, claimed, proven
        record_property("audit", _line(what, epsilon(claim, DELTA), point, found.canaries, proven > claimed))
        return proven > claimed

    return keep


def _line(what: str, whole: float, point: tuple[float, float, float], games: int, broken: bool) -> list[str]:
    delta, claimed, proven = point
    numbers = [f"{whole:.3f}", f"{delta:g}", f"{claimed:.3f}", f"{proven:.3f}", f"{games:,}"]
    return [what, *numbers, "BROKEN" if broken else "stands"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.stats.get(outcome, ())]
    lines = [value for r in reports for name, value in getattr(r, "user_properties", ()) if name == "audit"]
    if not config.getoption("--audit-table", default=False) or not lines:
        return
    terminalreporter.section("claims and what the attacks prove of them")
    terminalreporter.write_line(
        f"claim: epsilon at delta {DELTA:g}; then where on the claimed curve the attack came closest"
    )
    terminalreporter.write_line(
        _LINE.format("mechanism or engine", "claim", "delta", "claimed", "proven >=", "games", "")
    )
    for line in sorted(lines):
        terminalreporter.write_line(_LINE.format(*line))
