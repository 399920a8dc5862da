"""`synthgate release summary`: a page that may go with a release in public, made here of what may be downloaded."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from synthgate.cli.session import Session, command, read_file, write_file
from synthgate.errors import InvalidArgument


def register(app: typer.Typer) -> None:
    """Add `summary` to the release's commands."""
    command(app, "summary")(summary)


def summary(
    session: Session,
    release: Annotated[str, typer.Argument(help="A RELEASED release that the role may download.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="FILE.html, one page that opens offline, or FILE.json.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="The gateway's public key (PEM), got from its operator (default: the gateway's)."),
    ] = None,
) -> None:
    """Make a page about a release that may go with it in public: what it is, what epsilon means, its columns, how to
    verify it. It is made on this machine of the released table and its attestation alone; it holds no score."""
    import pyarrow.parquet as pq

    from synthgate.summary import summarise
    from synthgate.summary.page import page
    from synthgate.verify import verify

    if out.suffix not in (".html", ".json"):
        raise InvalidArgument("a summary is written to a file that ends in .html or .json")
    with tempfile.TemporaryDirectory(prefix="synthgate-summary-") as name, session.client() as gateway:
        signed = gateway.attestation(release)
        file = gateway.download(release, Path(name) / "release.parquet")
        attested = verify(file, signed.envelope, signed.public_key if key is None else read_file(key))
        made = summarise(pq.read_table(file), attested)
    text = page(made) if out.suffix == ".html" else json.dumps(made.to_dict(), indent=1) + "\n"
    write_file(out, text.encode())
    session.show({"path": out}, lambda console: console.print(f"{out} written", markup=False))
