"""`synthgate revocations`: the signed list of what a gateway has taken back."""

from pathlib import Path
from typing import Annotated

import typer

from synthgate.cli.session import Session, command, write_file

app = typer.Typer(help="The signed list of releases that were revoked.", no_args_is_help=True)


@command(app, "export")
def export(
    session: Session,
    out: Annotated[Path, typer.Option("--output", "-o", help="JSON file to write.")],
    key_out: Annotated[
        Path | None,
        typer.Option("--key-output", help="PEM file for the gateway's key; compare its fingerprint (default: none)."),
    ] = None,
) -> None:
    """Fetch the list, for `synthgate verify --revocations`. Its number, the count of what is revoked, never shrinks:
    note it, and ask for it later with --min-number."""
    from synthgate.verify import read_revocations

    with session.client() as gateway:
        signed = gateway.revocations()
    known = read_revocations(signed.envelope, signed.public_key)
    write_file(out, signed.envelope)
    if key_out is not None:
        write_file(key_out, signed.public_key)
    value = {"path": out, "key": key_out, "number": known.number, "issued_at": known.issued_at}
    session.show(value, lambda console: console.print(f"{out} written: number {known.number}", markup=False))
