"""``page`` and ``decision_page``: a document as self-contained HTML.

Neither holds a script or loads anything, and both say so in a content policy that admits one style sheet by its hash.
Every text is escaped, and characters that act without being seen are shown by their numbers. The same document
gives the same bytes.
"""

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from evaluation.report import panels, plots, words
from evaluation.report.ceilings import upwards
from evaluation.report.document import Document, Status
from synthgate.report import BANNER

KEY_SCORES = (
    "utility.tv2_excess", "utility.tv2", "utility.kmarginal", "utility.equals_percent", "utility.association",
    "utility.propensity_auc", "utility.tstr", "utility.tstr_gap", "utility.coverage_categories",
)  # fmt: skip
"""Which figures of use a decision page shows besides those that a rule reads."""


def page(document: Document) -> str:
    """The whole report, as HTML text."""
    details = document.report.details
    marginals = details.get("utility.marginals", {})
    shares = marginals.get("shares", ())
    drawn = panels.panels(shares)
    heat = plots.pairs(marginals.get("tv2", ()), document.columns)
    return _render(
        "page.html",
        document,
        intervals=panels.intervals(document.attacks),
        panels=drawn,
        hidden=len(shares) - len(drawn),
        heat=Markup(heat),  # noqa: S704  our own SVG; text in it is outlines
        prediction=panels.prediction(details.get("utility.tstr", {})),
        models=panels.models(details.get("utility.tstr", {})),
        measure=str(details.get("utility.tstr", {}).get("measure", "")),
    )


def decision_page(document: Document, report_sha256: str) -> str:
    """What whoever decides has to know, for paper; ``report_sha256`` names the JSON form that it belongs to, in hex."""
    lines = [line for group in document.groups for line in group.lines]
    useful = [line for line in lines if not line.name.startswith(("risk.", "privacy.", "verdict."))]
    gated = [line for line in useful if line.limit != words.limit(None)]
    further = [
        line for line in useful
        if line not in gated and (line.name in KEY_SCORES or line.name.startswith("fairness."))
    ]  # fmt: skip
    judged = [line for line in lines if line.name.startswith(("verdict.", "risk.")) and line.limit != words.limit(None)]
    by_status = {status: [c for c in document.checklist if c.status is status] for status in Status}
    return _render(
        "decision.html", document, judged=[*judged, *gated, *further], by_status=by_status, sha256=report_sha256
    )


def _render(name: str, document: Document, **parts: Any) -> str:
    here = files("evaluation.report")
    style = (here / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters["percent"] = words.percent
    environment.filters["number"] = words.number
    environment.filters["upwards"] = upwards
    template = environment.from_string((here / name).read_text(encoding="utf-8"))
    style_sheet = Markup(style)  # noqa: S704  the package's own file
    return template.render(d=document, banner=BANNER, style=style_sheet, style_hash=digest, **parts) + "\n"


def _shown(value: Any) -> Any:
    """What an expression of a template puts into the page."""
    return words.inert(value) if isinstance(value, str) and not isinstance(value, Markup) else value
