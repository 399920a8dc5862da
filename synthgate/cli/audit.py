"""`synthgate audit`: read and export the audit log, keep checkpoints, compare exports with them, accept a restore."""

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import typer

from synthgate.checkpoint import AUDIT, LEDGER, Head
from synthgate.cli import output
from synthgate.cli.local import SERVER, need_server
from synthgate.cli.session import STATE_HELP, Session, command, read_file, read_lines, reported, write_file
from synthgate.errors import InvalidArgument
from synthgate.record import AuditRecord
from synthgate.trail import ENTRY, RECORD, Trail
from synthgate.verify import verify_checkpoint

app = typer.Typer(help="Read the audit log, and prove that nothing in it was changed.", no_args_is_help=True)


@command(app, "list")
def list_records(
    session: Session,
    after: Annotated[int, typer.Option("--after", min=0, help="Records behind this number (default: all).")] = 0,
) -> None:
    """List who did what, in order. Stewards, officers, auditors."""
    with session.client() as gateway:
        records = tuple(gateway.audit_records(after=after))
    rows = [(r.sequence, output.moment(r.at), r.principal, r.action, r.resource) for r in records]
    columns = ("number", "at", "by", "action", "resource")
    session.show([document(r) for r in records], lambda console: output.listing(console, "audit log", columns, rows))


@command(app, "export")
def export(
    session: Session,
    file: Annotated[Path, typer.Argument(help="JSON Lines file to write, one record a line; readable by you alone.")],
) -> None:
    """Write the audit log to a file. Stewards, officers, auditors."""
    with session.client() as gateway:
        records = tuple(gateway.audit_records())
    lines = (json.dumps(document(record), sort_keys=True, ensure_ascii=False) + "\n" for record in records)
    write_file(file, "".join(lines).encode(), private=True)
    session.show(
        {"path": file, "records": len(records)},
        lambda console: output.facts(console, f"{file} written", {"records": str(len(records))}),
    )


@command(app, "checkpoint")
def checkpoint(
    session: Session,
    file: Annotated[Path, typer.Argument(help="File to write; keep it where the gateway's operator cannot reach it.")],
    key: Annotated[
        Path | None, typer.Option("--key-output", help="File to write the gateway's public key to (default: none).")
    ] = None,
) -> None:
    """Have the gateway sign both books as they are now, and keep that. Stewards, officers, auditors."""
    with session.client() as gateway:
        envelope, public_key = gateway.checkpoint()
    signed = verify_checkpoint(envelope, public_key)
    write_file(file, envelope)
    if key is not None:
        write_file(key, public_key)
    found = {
        "path": str(file),
        "number": signed.number,
        "ledger": signed.ledger.sequence,
        "audit": signed.audit.sequence,
    }
    session.show(found, lambda console: output.facts(console, f"{file} written", {k: str(v) for k, v in found.items()}))


@command(app, "verify", connects=False)
def verify(
    session: Session,
    checkpoint: Annotated[Path, typer.Argument(help="File of `audit checkpoint`.")],
    key: Annotated[Path, typer.Option("--key", help="The gateway's public key (PEM), got from its operator.")],
    records: Annotated[
        Path | None, typer.Option("--audit", help="File of `audit export`, to compare (default: none).")
    ] = None,
    entries: Annotated[
        Path | None, typer.Option("--ledger", help="File of `ledger export`, to compare (default: none).")
    ] = None,
) -> None:
    """Check offline that exported books are whole and contain what a checkpoint signed; else name the line (exit code
    6)."""
    if records is None and entries is None:
        raise InvalidArgument("give --audit or --ledger, or both: files of `audit export` and `ledger export`")
    signed = verify_checkpoint(read_file(checkpoint), read_file(key))
    found: dict[str, int] = {}
    for kind, fields, file, head in ((AUDIT, RECORD, records, signed.audit), (LEDGER, ENTRY, entries, signed.ledger)):
        if file is not None:
            found[kind] = _compared(Trail(kind, fields), file, head)
    said = {"checkpoint": str(signed.number), "signed at": output.moment(signed.at)}
    said |= {kind: f"{lines} lines" for kind, lines in found.items()}
    title = "verified: the books contain what the checkpoint signed"
    session.show({"checkpoint": signed.number, "lines": found}, lambda console: output.facts(console, title, said))


@app.command("accept")
def accept(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why, 1 to 1,000 characters; kept in the audit log.")],
    state: Annotated[Path | None, typer.Option("--state", help=STATE_HELP, show_default=False)] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="An officer's token (default: tokens/officer in the state).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file of the gateway (default: none).")
    ] = None,
) -> None:
    """Take a restored database as it is, with every gateway stopped. What the newest checkpoint knows to be spent is
    charged again, what was under way is cancelled, what was revoked is revoked again. Officers.

    This process becomes `python -m server accept-restore` on the gateway's own machine.
    """
    with reported(as_json=False):
        need_server()
    state = state or (context.obj or {}).get("state")
    named = (("--state", state), ("--token-file", token_file), ("--config", config))
    given = [word for name, value in named if value for word in (name, str(value))]
    sys.stdout.flush()
    words = [sys.executable, "-P", "-m", SERVER, "accept-restore", *given, f"--reason={reason}"]
    os.execv(sys.executable, words)  # noqa: S606 - no shell


def document(record: AuditRecord) -> dict[str, Any]:
    """A record as its digest covers it: the time in UTC with microseconds."""
    return asdict(record) | {"at": record.at.astimezone(UTC).isoformat(timespec="microseconds")}


def _compared(trail: Trail, file: Path, head: Head) -> int:
    trail.take_all(read_lines(file, hint="export it again"))
    trail.holds(head)
    return trail.head.sequence
