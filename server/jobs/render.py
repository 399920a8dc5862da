"""Render: a report as one HTML page, for stewards and officers.

Spec: ``report`` (path of report.json), ``title``, ``facts`` (public, name to text), ``verdict`` (Verdict.to_dict()),
``statement`` (PrivacyStatement.to_dict()), ``domain`` (Domain.to_dict()). The secret is not used: nothing here is
random. Writes ``report.html``. Result: its ``sha256`` and ``bytes``.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluation.report import render as page
from server.jobs import worker
from server.jobs.worker import Progress
from synthgate.domain import Domain
from synthgate.policy import Verdict
from synthgate.report import Report
from synthgate.statement import PrivacyStatement

PAGE = "report.html"


def render(spec: Mapping[str, Any], *, folder: Path, secret: bytes, progress: Progress) -> dict[str, Any]:
    """Write the page; plotting libraries stay out of the serving process."""
    progress("rendering")
    text = page(
        Report.from_dict(json.loads(Path(spec["report"]).read_bytes())),
        title=spec["title"],
        facts=spec["facts"],
        verdict=Verdict.from_dict(spec["verdict"]),
        statement=PrivacyStatement.from_dict(spec["statement"]),
        domain=Domain.from_dict(spec["domain"]),
    )
    content = text.encode()
    (folder / PAGE).write_bytes(content)
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


if __name__ == "__main__":
    worker.main(render)
