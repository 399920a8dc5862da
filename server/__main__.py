"""``python -m server``: start a gateway, or ``accept-restore`` a database that was restored from a backup.

What the options leave out comes from ``SYNTHGATE_*`` and the defaults.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from server.app import accept_restore, configure_logging, serve
from server.config import Settings
from synthgate.errors import InvalidArgument, SynthgateError

ACCEPT = "accept-restore"
OPTIONS = ("state", "host", "port", "verdict_tick_s", "jobs", "instance")


def main(arguments: list[str] | None = None) -> int:
    """Parse the options and do it; 2 for faulty settings, 1 for a gateway that cannot start."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == [ACCEPT]:
        return _accept(words[1:])
    given = vars(_parser(OPTIONS).parse_args(words))
    return _with_settings(given, lambda settings: asyncio.run(serve(settings)))


def _accept(words: list[str]) -> int:
    parser = _parser(("state",))
    parser.add_argument("--token-file", type=Path, help="file of an officer's token (default: tokens/officer)")
    parser.add_argument("--reason", required=True, help="why, 1 to 1,000 characters; kept in the audit log")
    given = vars(parser.parse_args(words))
    file, reason = given.pop("token_file"), given.pop("reason")

    def work(settings: Settings) -> None:
        try:
            token = (file or settings.tokens / "officer").read_text().strip()
        except (OSError, ValueError):
            raise InvalidArgument("give --token-file, a readable file of an officer's token") from None
        done = accept_restore(settings, token=token, reason=reason)
        told = {
            "accepted": (done.why,), "charged again": done.charged, "filled": done.filled,
            "cancelled": done.closed, "revoked again": done.revoked,
        }  # fmt: skip
        sys.stdout.writelines(f"{what}: {', '.join(names) or 'none'}\n" for what, names in told.items())

    return _with_settings(given, work)


def _parser(options: tuple[str, ...]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server", description=__doc__)
    for name, field in Settings.model_fields.items():
        if name in options:
            parser.add_argument(f"--{name.replace('_', '-')}", help=f"{field.description} (default: {field.default})")
    parser.add_argument("--config", type=Path, help="YAML file that maps names of settings to values (default: none)")
    return parser


def _with_settings(given: dict[str, Any], work: Callable[[Settings], None]) -> int:
    try:
        kept = {name: value for name, value in given.items() if value is not None}
        settings = Settings.read(kept.pop("config", None), kept)
    except InvalidArgument as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 2
    except ValidationError as error:
        sys.stderr.write("\n".join(f"error: {e['loc'][0]}: {e['msg']}" for e in error.errors()) + "\n")
        return 2
    configure_logging()
    try:
        work(settings.model_copy(update={"state": Path(settings.state).absolute()}))
    except SynthgateError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
