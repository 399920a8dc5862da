"""The entry point of `synthgate`: the tree of commands and the options before the sub-command."""

from pathlib import Path
from typing import Annotated

import typer

import synthgate
from synthgate.cli import audit, book, dataset, ledger, local, rehearsal, release, revocations
from synthgate.cli.session import ADDRESS_HELP, JSON_HELP, ROLE_HELP, STATE_HELP, TIMEOUT_HELP, TOKEN_HELP

EPILOG = (
    "Exit codes: 0 done, 1 other failure, 2 invalid, 3 refused, 4 not found, 5 not allowed, 6 verification failed, "
    "7 closed without data, 130 interrupted."
)
app = typer.Typer(
    name="synthgate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(dataset.app, name="dataset")
app.add_typer(release.app, name="release")
app.add_typer(ledger.app, name="ledger")
app.add_typer(audit.app, name="audit")
app.add_typer(revocations.app, name="revocations")
app.add_typer(local.schema, name="schema")
book.register(ledger.app)
rehearsal.register(release.app)
local.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"synthgate {synthgate.__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    state: Annotated[
        Path | None, typer.Option("--state", help=STATE_HELP, envvar="SYNTHGATE_STATE", show_default=False)
    ] = None,
    role: Annotated[
        str | None, typer.Option("--role", help=ROLE_HELP, envvar="SYNTHGATE_ROLE", show_default=False)
    ] = None,
    address: Annotated[str | None, typer.Option("--address", help=ADDRESS_HELP, show_default=False)] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", help=TOKEN_HELP, show_default=False)] = None,
    call_timeout: Annotated[
        float | None, typer.Option("--call-timeout", help=TIMEOUT_HELP, min=0.1, max=600, show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP, show_default=False)] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version (default: no)."),
    ] = False,
) -> None:
    """Synthetic tables from sensitive ones, released only if the privacy budget and the risk thresholds hold."""
    given = {
        "state": None if address else state,
        "role": role,
        "address": address,
        "token_file": token_file,
        "call_timeout": call_timeout,
        "as_json": as_json,
    }
    context.obj = {key: value for key, value in given.items() if value not in (None, False)}


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
