"""A report as its document shows it: no figure from which a count of fewer than ten people follows.

Rules read exact scores, before this. A metric says with a score how it is shown where rounding is not enough
(`synthgate.report.Score.shown`); every other number, those of the details included, has three decimals at most.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from synthgate.report import DECIMALS, Report


def shown(report: Report) -> Report:
    """The report with its figures as they are shown."""
    scores = tuple(score.as_shown() for score in report.scores)
    return replace(report, scores=scores, details=_rounded(report.details))


def _rounded(value: Any) -> Any:
    """JSON-ready values with three decimals at most."""
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return round(value, DECIMALS) if isinstance(value, float) else value
