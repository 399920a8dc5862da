"""What may fail once the noisy margin of an accounted verdict is drawn: anything, and nothing of it changes a verdict.

The margin has been paid for, and says all that the release may say of the rows. Were a release FAILED because an exact
metric ran out of memory or a page could not be drawn, then rows could bring that about, and whether it passed would be
told by something that nobody paid for. So where the margin was written down it decides, without the scores that are
missing; where no page can be drawn, a plain one says so. An exact verdict reads those scores, and doubt refuses.

What was killed from outside is repeated first where it can be (`server.replays`).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import structlog

from server.catalog.base import ReleaseRecord
from server.jobs import runner
from server.jobs.runner import Reason
from synthgate.policy import MARGIN
from synthgate.report import BANNER, Report, Score

REPORT, VERDICT = "report.json", "verdict.json"
UNSCORED = "the evaluation ended without a result after this was drawn, so there are no other scores"
UNDRAWN = "The report could not be rendered. The verdict was decided before that, by the noisy margin alone."

log = structlog.get_logger()


def decided_before(
    failure: runner.JobFailed, folder: Path, record: ReleaseRecord, *, again: Callable[[], bool]
) -> Mapping[str, Any]:
    """The ``sample_sha256`` of an evaluation that ended with ``failure`` after its margin was written down; the report
    in ``folder`` then holds the margin alone. Raises ``failure`` where it decides: there is no margin, the release is
    not wanted any more, or the attempt is repeated, which ``again`` tells (`server.replays.repeatable`)."""
    if not record.accounted or _goes_on(failure, again):
        raise failure
    try:
        found = json.loads((folder / VERDICT).read_bytes())
        margin = Score.from_dict(found["margin"])
        judged = {"sample_sha256": str(found["sample_sha256"])}
    except (OSError, ValueError, KeyError, TypeError):
        raise failure from None
    if margin.name != MARGIN or not margin.usable:
        raise failure
    told = Report(scores=(Score.from_dict(margin.to_dict() | {"note": f"{margin.note}; {UNSCORED}"}),))
    (folder / REPORT).write_text(json.dumps(told.to_dict()), encoding="utf-8")
    log.warning("evaluation failed after its verdict", release=record.release.id, why=str(failure.reason))
    return judged


def plain(
    failure: runner.JobFailed,
    folder: Path,
    record: ReleaseRecord,
    spec: Mapping[str, Any],
    *,
    again: Callable[[], bool],
) -> None:
    """Write forms of a report that say that it could not be rendered, of public facts and the margin alone. Raises
    ``failure`` where it decides."""
    margin = record.release.margin
    if not record.accounted or margin is None or _goes_on(failure, again):
        raise failure
    reach = margin.pessimistic - margin.value
    score = {"name": MARGIN, "value": margin.value, "low": margin.value - reach, "high": margin.pessimistic,
             "better": "lower", "conclusive": True, "note": UNDRAWN}  # fmt: skip
    document = {
        "banner": BANNER, "title": spec["title"], "facts": dict(spec["facts"]), "remark": UNDRAWN, "scores": [score],
        "details": {}, "seconds": {},
    }  # fmt: skip
    content = json.dumps(document, indent=1).encode("ascii")
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "report.json").write_bytes(content)
    page = _page(document, margin.pessimistic)
    (folder / "report.html").write_text(page, encoding="utf-8")
    digest = hashlib.sha256(content).hexdigest()
    (folder / "decision.html").write_text(page + f"<p>The JSON form has sha256 {digest}.</p>\n", encoding="utf-8")
    log.warning("report could not be rendered", release=record.release.id, why=str(failure.reason))


def _goes_on(failure: runner.JobFailed, again: Callable[[], bool]) -> bool:
    """Whether something else than the margin says what becomes of the release."""
    if failure.reason is Reason.INTERRUPTED:
        return again()
    return failure.reason is Reason.CANCELLED


def _page(document: Mapping[str, Any], high: float) -> str:
    facts = "".join(f"<p>{escape(name)}: {escape(text)}</p>\n" for name, text in document["facts"].items())
    told = f"The noisy margin: upper end {high:.1f}; the release passes where it is at most 0."
    title, policy = escape(document["title"]), "default-src 'none'; base-uri 'none'; form-action 'none'"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"></head>\n'
        f"<body><p>{BANNER}</p>\n<h1>{title}</h1>\n<p>{UNDRAWN}</p>\n<p>{told}</p>\n{facts}</body></html>\n"
    )
