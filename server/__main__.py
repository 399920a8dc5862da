"""``python -m server``: start a gateway. What the options leave out comes from ``SYNTHGATE_*`` and the defaults."""

import argparse
import asyncio
import sys
from pathlib import Path

from pydantic import ValidationError

from server.app import configure_logging, serve
from server.config import Settings
from synthgate.errors import InvalidArgument, SynthgateError


def main(arguments: list[str] | None = None) -> int:
    """Parse the options and serve; 2 for faulty settings, 1 for a gateway that cannot start."""
    parser = argparse.ArgumentParser(prog="python -m server", description=__doc__)
    for name, field in Settings.model_fields.items():
        if name in ("state", "host", "port", "verdict_tick_s", "jobs", "instance"):
            parser.add_argument(f"--{name.replace('_', '-')}", help=f"{field.description} (default: {field.default})")
    parser.add_argument("--config", type=Path, help="YAML file that maps names of settings to values (default: none)")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    try:
        settings = Settings.read(given.pop("config", None), given)
    except InvalidArgument as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 2
    except ValidationError as error:
        sys.stderr.write("\n".join(f"error: {e['loc'][0]}: {e['msg']}" for e in error.errors()) + "\n")
        return 2
    configure_logging()
    try:
        asyncio.run(serve(settings.model_copy(update={"state": Path(settings.state).absolute()})))
    except SynthgateError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
