"""What every command shares: which gateway, as whom, and how the answer is shown.

The options stand before or after the sub-command; after wins. The environment (SYNTHGATE_STATE, SYNTHGATE_ROLE) stands
in for the ones before.
"""

import inspect
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from synthgate.cli import output
from synthgate.errors import InvalidArgument, SynthgateError, VerificationFailed

if TYPE_CHECKING:
    from synthgate.client.client import Client

DEFAULT_ROLE = "analyst"
STATE_HELP = "State folder of the gateway on this machine (default: none; give this or --address)."
ROLE_HELP = (
    "Role whose token in the state folder is used: steward, analyst, officer, auditor, or a name of the gateway's "
    f"principals (default: {DEFAULT_ROLE})."
)
ADDRESS_HELP = "HOST:PORT of the gateway on a loopback interface, instead of --state (default: none)."
TOKEN_HELP = "File that holds the token, with --address (default: none)."  # noqa: S105 - a help text
TIMEOUT_HELP = "Limit of each single call, in seconds (default: 30)."
JSON_HELP = "Answer in JSON (default: tables)."

_CONNECTION: dict[str, Any] = {
    "state": Annotated[Path | None, typer.Option("--state", help=STATE_HELP, show_default=False)],
    "role": Annotated[str | None, typer.Option("--role", help=ROLE_HELP, show_default=False)],
    "address": Annotated[str | None, typer.Option("--address", help=ADDRESS_HELP, show_default=False)],
    "token_file": Annotated[Path | None, typer.Option("--token-file", help=TOKEN_HELP, show_default=False)],
    "call_timeout": Annotated[
        float | None, typer.Option("--call-timeout", help=TIMEOUT_HELP, min=0.1, max=600, show_default=False)
    ],
}
_JSON = Annotated[bool, typer.Option("--json", help=JSON_HELP, show_default=False)]


@dataclass(frozen=True, kw_only=True)
class Session:
    """One run of one command."""

    state: Path | None = None
    role: str | None = None
    address: str | None = None
    token_file: Path | None = None
    call_timeout: float | None = None
    as_json: bool = False
    console: Console = field(default_factory=Console)
    notes: Console = field(default_factory=lambda: Console(stderr=True))

    def client(self) -> "Client":
        """A connection to the gateway that the options name. Raises InvalidArgument where they name none or two."""
        from synthgate.client.client import Client
        from synthgate.client.state import read_token

        timeout_s = self.call_timeout or 30.0
        if self.address is not None and self.token_file is not None:
            return Client(self.address, read_token(self.token_file), timeout_s=timeout_s)
        if self.address is not None or self.token_file is not None or self.state is None:
            raise InvalidArgument("say which gateway: --state DIR (and --role), or --address and --token-file")
        return Client.from_state(self.state, self.role or DEFAULT_ROLE, timeout_s=timeout_s)

    def emit(self, value: Any) -> None:
        """Print a value as JSON, on one line."""
        typer.echo(json.dumps(output.plain(value), ensure_ascii=False))

    def show(self, value: Any, draw: Callable[[Console], None]) -> None:
        """Print a value: as JSON, or as ``draw`` draws it."""
        if self.as_json:
            self.emit(value)
        else:
            draw(self.console)

    def note(self, text: str) -> None:
        """Say something beside the answer, on standard error."""
        if not self.as_json:
            typer.echo(output.printable(text), err=True)


def command(app: typer.Typer, name: str, *, connects: bool = True) -> Callable[[Callable[..., None]], Any]:
    """Register ``function(session, ...)`` as a command with the shared options behind its own. Errors of the tree end
    the program with one line and their exit code."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        shared = {**(_CONNECTION if connects else {}), "as_json": _JSON}

        def run(context: typer.Context, **given: Any) -> None:
            session = _session(context.obj or {}, {key: given.pop(key) for key in shared})
            with reported(as_json=session.as_json):
                _check_text(given)
                function(session, **given)

        kind = inspect.Parameter.KEYWORD_ONLY
        own = [p.replace(kind=kind) for p in list(inspect.signature(function).parameters.values())[1:]]
        extra = [
            inspect.Parameter(key, kind, annotation=note, default=False if key == "as_json" else None)
            for key, note in shared.items()
        ]
        context = inspect.Parameter("context", kind, annotation=typer.Context)
        run.__signature__ = inspect.Signature([context, *own, *extra])  # type: ignore[attr-defined]
        run.__doc__ = function.__doc__
        app.command(name)(run)
        return function

    return register


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """End the program with one line and an exit code where the block raises an error of the tree."""
    try:
        yield
    except SynthgateError as error:
        typer.echo(output.error_line(error, as_json=as_json), err=True)
        raise typer.Exit(output.exit_code(error)) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; what was asked of the gateway goes on there", err=True)
        raise typer.Exit(output.INTERRUPTED) from None


def write_file(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file whole, readable by its owner alone where it is private. Raises InvalidArgument."""
    draft = path.with_name(f".{path.name}.part")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        draft.replace(path)
    except OSError:
        raise InvalidArgument(f"{path} cannot be written") from None


def read_file(path: Path) -> bytes:
    """A small file's bytes. Raises InvalidArgument."""
    try:
        return path.read_bytes()
    except OSError:
        raise InvalidArgument(f"{path} cannot be read") from None


def read_lines(path: Path, *, hint: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects of a file, one a line. Raises InvalidArgument, and VerificationFailed for any other line, which
    ends with the ``hint``."""
    for number, line in enumerate(read_file(path).splitlines(), 1):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise VerificationFailed(f"line {number} of {path} is not a JSON object; {hint}")
        yield found


def _session(before: Mapping[str, Any], after: Mapping[str, Any]) -> Session:
    given = {key: value for key, value in after.items() if value not in (None, False)}
    if {"state", "address"} & set(given):  # naming a gateway after the sub-command replaces the one before it
        before = {key: value for key, value in before.items() if key not in ("state", "address", "token_file")}
    return Session(**{**before, **given})


def _check_text(given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InvalidArgument(f"{key} is not valid UTF-8") from None
