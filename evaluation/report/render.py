"""``render``: a report as one self-contained page.

It holds no script, loads nothing, and says so in a content policy that admits this one style sheet by its hash. Every
text is escaped. What it shows of private rows are scores and shares of bins of at least ten people; wall times are left
out, so that the same inputs give the same bytes.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from evaluation.report import plots, words
from synthgate.domain import Domain
from synthgate.policy import EPSILON, MARGIN, Finding, Outcome, Verdict
from synthgate.report import Better, Report, Score
from synthgate.statement import PrivacyStatement, Scope

BANNER = "exact comparisons with private records; not differentially private; do not forward"

SCOPES = {
    Scope.GENERATOR: "the generator's output; not the verdict about it",
    Scope.RELEASE: "the release, verdict included",
    Scope.NONE: "nothing (sandbox)",
}


def render(
    report: Report,
    *,
    title: str,
    facts: Mapping[str, str],
    verdict: Verdict,
    statement: PrivacyStatement,
    domain: Domain,
) -> str:
    """The page for stewards and officers, as HTML text.

    ``facts`` are public (dataset, engine, release, ...) and shown in their order. ``verdict`` is the policy's decision
    about this very report.
    """
    here = files("evaluation.report")
    style = (here / "style.css").read_text(encoding="utf-8")
    template = _environment().from_string((here / "page.html").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    marginals = report.details.get("utility.marginals", {})
    prediction = report.details.get("utility.tstr")
    names = [c.name for c in domain.modelled]
    return template.render(
        title=title,
        banner=BANNER,
        style=Markup(style),  # noqa: S704  the package's own file
        style_hash=digest,
        facts=facts,
        verdict=verdict,
        refusals=words.refusals(verdict, report, statement),
        promise=words.promise(statement),
        statement=statement,
        scope=SCOPES[statement.scope],
        domain=domain,
        known=domain.auxiliary,
        tables=_tables(report, verdict, statement),
        hidden=max(0, len(names) - plots.MAX_PANELS),
        figures={
            "risks": Markup(plots.risks(report, verdict)),  # noqa: S704  our own SVG; text in it is outlines
            "pairs": Markup(plots.pairs(marginals.get("tv2", ()), names)),  # noqa: S704
            "columns": Markup(plots.columns(marginals.get("shares", ()))),  # noqa: S704
            "prediction": Markup(plots.prediction(prediction)) if prediction else "",  # noqa: S704
        },
    )


def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _tables(report: Report, verdict: Verdict, statement: PrivacyStatement) -> list[dict[str, Any]]:
    """The epsilon and all scores, risks first, each beside the rule that reads it."""
    findings = {f.rule.score: f for f in verdict.findings}
    spent = statement.epsilon
    epsilon = Score(name=EPSILON, value=spent, low=spent, high=spent, better=Better.LOWER, note="from the statement")
    groups = {
        "Privacy": (epsilon,) if statement.scope is not Scope.NONE else (),
        "Verdict": tuple(s for s in report.scores if s.name == MARGIN),
        "Risk": tuple(s for s in report.scores if s.name.startswith("risk.")),
        "Utility": tuple(s for s in report.scores if not s.name.startswith("risk.") and s.name != MARGIN),
    }
    return [
        {"heading": heading, "rows": [_row(s, findings.get(s.name)) for s in scores]}
        for heading, scores in groups.items()
        if scores
    ]


def _row(score: Score, finding: Finding | None) -> dict[str, str]:
    held = finding is not None and finding.outcome is Outcome.PASSED
    return {
        "name": score.name,
        "label": words.label(score.name),
        "value": words.number(score.value),
        "interval": words.interval(score),
        "better": f"{score.better} is better",
        "limit": words.limit(finding.rule if finding else None),
        "outcome": words.OUTCOMES[finding.outcome] if finding else "not gated",
        "state": "none" if finding is None else "good" if held else "bad",
        "note": score.note,
    }
