"""`synthgate release report`: read what the gateway found, in one of three forms."""

from pathlib import Path
from typing import Annotated

import typer

from synthgate.cli import drawing
from synthgate.cli.session import Session, command, write_file
from synthgate.errors import InvalidArgument
from synthgate.report import ReportForm

SUFFIXES = {ReportForm.JSON: ".json", ReportForm.HTML: ".html", ReportForm.DECISION: ".html"}


def register(app: typer.Typer) -> None:
    """Add `report` to the commands on releases."""
    command(app, "report")(report)


def report(
    session: Session,
    release: Annotated[str, typer.Argument(help="The release's id.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="FILE.html or FILE.json, readable by you alone (default: show the scores)."
        ),
    ] = None,
    form: Annotated[
        ReportForm | None,
        typer.Option(
            "--format",
            help="With -o: json, html, or decision, a short page for whoever approves (default: by the file's name).",
        ),
    ] = None,
) -> None:
    """Fetch a release's report: exact and private. Stewards, officers."""
    if out is None and form is not None:
        raise InvalidArgument("--format says what is written: add -o FILE")
    if out is not None and out.suffix not in SUFFIXES.values():
        raise InvalidArgument("a report is written to a file named *.html or *.json")
    if form is not None and out is not None and out.suffix != SUFFIXES[form]:
        raise InvalidArgument(f"the {form} form of a report is written to a file named *{SUFFIXES[form]}")
    with session.client() as gateway:
        if out is None:
            found = gateway.report(release)
            session.show({"banner": drawing.BANNER, **found.to_dict()}, lambda console: drawing.report(console, found))
            return
        chosen = form or (ReportForm.HTML if out.suffix == ".html" else ReportForm.JSON)
        content = gateway.report_file(release, form=chosen)
    write_file(out, content, private=True)
    session.note(drawing.BANNER)
    value = {"path": out, "banner": drawing.BANNER}
    session.show(value, lambda console: console.print(f"{out} written", markup=False))
