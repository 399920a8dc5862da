"""Commands that need no gateway: `serve` starts one, `schema draft` reads a file, `verify` checks a release."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synthgate.approval import Approval
from synthgate.attestation import NO_CHARGE, NO_VERDICT, Attestation, Derived, Judged
from synthgate.cli import output
from synthgate.cli.session import STATE_HELP, Session, command, read_file, reported, write_file
from synthgate.errors import FailedPrecondition, InvalidArgument
from synthgate.inference import rows_ratio
from synthgate.revocations import RevocationList

schema = typer.Typer(help="Write down what a table holds.", no_args_is_help=True)
SERVER = "server"


@command(schema, "draft", connects=False)
def draft(
    session: Session,
    file: Annotated[Path, typer.Argument(help="CSV or Parquet file; it is read here and sent nowhere.")],
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="YAML file to write (default: standard output).")
    ] = None,
) -> None:
    """Draft a schema: names and guessed kinds, and blanks for what must be declared. Holds no value of the file."""
    from synthgate.client.tables import draft as draft_of

    text = draft_of(file)
    if out is not None:
        write_file(out, text.encode())
        session.show({"path": out}, lambda console: console.print(f"{out} written; complete its blanks", markup=False))
    elif session.as_json:
        session.emit({"schema": text})
    else:
        typer.echo(text, nl=False)


def register(app: typer.Typer) -> None:
    """Add the commands that stand at the root."""
    app.command(
        "serve", context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=True
    )(serve)
    command(app, "verify", connects=False)(verify)


def serve(
    context: typer.Context,
    state: Annotated[Path | None, typer.Option("--state", help=STATE_HELP, show_default=False)] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration file of the gateway (default: none).")
    ] = None,
) -> None:
    """Start the gateway and stay until it ends. Options that are not listed here go to it as they are.

    This process becomes the gateway (`python -m server`), so signals and exit code are the gateway's.
    """
    with reported(as_json=False):
        need_server()
    state = state or (context.obj or {}).get("state")
    given = [*(("--state", str(state)) if state else ()), *(("--config", str(config)) if config else ())]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", SERVER, *given, *context.args])  # noqa: S606 - no shell


def need_server() -> None:
    """Raise FailedPrecondition where only the client is installed."""
    if importlib.util.find_spec(SERVER) is None:
        raise FailedPrecondition("the gateway is not installed here; run: pip install 'synthgate[gateway]'")


def verify(
    session: Session,
    file: Annotated[Path, typer.Argument(help="The released Parquet file.")],
    attestation: Annotated[Path, typer.Argument(help="Its attestation (a DSSE envelope in JSON).")],
    key: Annotated[
        Path,
        typer.Option("--key", help="The gateway's public key (PEM), got from its operator."),
    ],
    revocations: Annotated[
        Path | None,
        typer.Option("--revocations", help="From `revocations export`; refuse what is on it (default: not asked)."),
    ] = None,
    min_number: Annotated[
        int, typer.Option("--min-number", min=0, help="Refuse a revocation list with a smaller number (default: none).")
    ] = 0,
) -> None:
    """Check offline that a file is the one that a gateway released, and show what the gateway says about it."""
    from synthgate import verify as offline

    if min_number and revocations is None:
        raise InvalidArgument("--min-number goes with --revocations")
    given, pem = None if revocations is None else read_file(revocations), read_file(key)
    attested = offline.verify(file, read_file(attestation), pem, revocations=given, min_number=min_number)
    known = None if given is None else offline.read_revocations(given, pem)
    session.show(attested.to_statement(), lambda console: _draw(console, attested, known))


def _draw(console: Console, a: Attestation, known: RevocationList | None) -> None:
    s = a.statement
    asked = f"not on list number {known.number} of {output.moment(known.issued_at)}" if known else "not asked"
    rows = {
        "release": a.release,
        "dataset": a.dataset,
        "sha256": a.sha256,
        "guarantee": a.guarantee,
        "epsilon, delta": f"{s.epsilon:g}, {s.delta:g} ({s.accountant}; {s.unit}; scope {s.scope})",
        "epsilon, substitute one": f"{s.epsilon_substitute_one:g}",
        "public size": f"{s.sizes.rows:,} rows, {s.sizes.units:,} units ({s.sizes.origin})",
        "engine": ", ".join([a.engine, *(f"{name} {version}" for name, version in a.versions.items())]),
        **(_judged(a.origin) if isinstance(a.origin, Judged) else _derived(a, a.origin)),
        "approved by": "; ".join(_approved(approval) for approval in a.approvals),
        "released at": output.moment(a.released_at),
        "revoked": asked,
    }
    rows |= {f"not covered {i}": text for i, text in enumerate(s.not_covered, 1)}
    rows |= {f"noise {i}": text for i, text in enumerate(s.noise, 1)}
    rows |= {f"weakened by {i}": text for i, text in enumerate(s.weakened_by, 1)}
    output.facts(console, "verified: the file is the attested one, and the signature is the key's", rows)


def _approved(approval: Approval | str) -> str:
    if isinstance(approval, str):
        return approval
    return f"{approval.officer}, {output.moment(approval.at)}, binding {approval.binding}"


def _judged(origin: Judged) -> dict[str, str]:
    policy, decision, ledger = origin.policy, origin.decision, origin.ledger
    version = "" if policy.version is None else f", version {policy.version}"
    counted = f"number {decision.number} of {decision.allowed} on the account"
    return {
        "policy": f"{policy.name}{version}: {'; '.join(r.name for r in policy.rules)}",
        "policy's sha256": policy.digest,
        "verdict": f"{counted}, not accounted in epsilon" if decision.unaccounted else "accounted in epsilon",
        "ledger": f"account {ledger.account}, entry {ledger.sequence}",
    }


def _derived(attested: Attestation, origin: Derived) -> dict[str, str]:
    replicates = f"{rows_ratio(attested):.4g}" if origin.derivation.replicates else ""
    return {
        "derived from": f"{origin.derivation.source}, attestation {origin.attestation}",
        **output.asked_of_model(origin.derivation),
        "sampled": origin.sampling,
        "rows of a replicate for each trained on": replicates,
        "verdict": NO_VERDICT,
        "charge": NO_CHARGE,
    }
