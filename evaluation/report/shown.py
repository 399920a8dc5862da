"""A report as its document shows it: no figure from which a count of fewer than ten people follows.

Rules read exact scores, before this. A metric says with a score how it is shown where rounding is not enough
(`synthgate.report.Score.shown`); every other number, those of the details included, has three decimals at most.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from synthgate.report import DECIMALS, Report, Score

INTERVALS = "intervals"
"""Where a metric's details tell ends beside a score."""


def shown(report: Report) -> Report:
    """The report with its figures as they are shown."""
    moved = {score.name: _moved(score) for score in report.scores if score.shown is not None}
    details = {name: _around(found, moved) for name, found in report.details.items()}
    return replace(report, scores=tuple(score.as_shown() for score in report.scores), details=_rounded(details))


def _moved(score: Score) -> float | None:
    """By how much the value that is shown lies above the exact one; None where none is shown."""
    told = score.as_shown()
    return told.value - score.value if told.usable and score.usable else None


def _around(found: Any, moved: Mapping[str, float | None]) -> Any:
    """A metric's details with its intervals around what is shown."""
    if not isinstance(found, Mapping) or not isinstance(found.get(INTERVALS), Mapping):
        return found
    told: dict[str, Any] = {}
    for name, ends in found[INTERVALS].items():
        by = moved.get(name, 0.0)
        if by is not None and isinstance(ends, (list, tuple)):
            told[name] = [end + by if isinstance(end, float) else end for end in ends]
    return {**found, INTERVALS: told}


def _rounded(value: Any) -> Any:
    """JSON-ready values with three decimals at most."""
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return round(value, DECIMALS) if isinstance(value, float) else value
