"""Render: a report as one document in three forms, for stewards and officers.

Spec: ``report`` (path of what evaluate wrote), ``title``, ``facts`` (public, name to text), ``verdict``
(Verdict.to_dict()), ``statement`` (PrivacyStatement.to_dict()), ``domain`` (Domain.to_dict(), as declared), ``policy``
(Policy.to_dict()), ``audited`` and ``tick_s`` (`evaluation.report.House`). The secret is not used: nothing here is
random. Writes ``report.json``, ``report.html`` and ``decision.html``, which names the first by its digest. Result: the
sha256 of each, by its name.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluation.report import House, compose, decision_page, page
from server.jobs import worker
from server.jobs.worker import Progress
from synthgate.domain import Domain
from synthgate.policy import Policy, Verdict
from synthgate.report import Report
from synthgate.statement import PrivacyStatement

JSON, PAGE, DECISION = "report.json", "report.html", "decision.html"


def render(spec: Mapping[str, Any], *, folder: Path, secret: bytes, progress: Progress) -> dict[str, Any]:
    """Write all forms; plotting libraries stay out of the serving process."""
    progress("rendering")
    document = compose(
        Report.from_dict(json.loads(Path(spec["report"]).read_bytes())),
        title=spec["title"],
        facts=spec["facts"],
        verdict=Verdict.from_dict(spec["verdict"]),
        statement=PrivacyStatement.from_dict(spec["statement"]),
        domain=Domain.from_dict(spec["domain"]),
        policy=Policy.from_dict(spec["policy"]),
        house=House(audited=spec.get("audited") is True, tick_s=spec.get("tick_s")),
    )
    content = document.to_json()
    forms = {JSON: content, PAGE: page(document).encode()}
    forms[DECISION] = decision_page(document, hashlib.sha256(content).hexdigest()).encode()
    for name, data in forms.items():
        (folder / name).write_bytes(data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in forms.items()}


if __name__ == "__main__":
    worker.main(render)
