"""Engines whose libraries clash with the gateway's: which interpreter fits them, and whether it is there.

SmartNoise's are the only ones. What is missing is found out at the request, before any charge.
"""

import os
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

from dp_models.smartnoise import ENGINES
from server.config import Settings
from synthgate.errors import FailedPrecondition

SOFTWARE = ("jax", "mbi", "opacus", "opendp", "smartnoise-synth", "torch")


def interpreter(settings: Settings, engine: str) -> Path | None:
    """The interpreter that fits the engine; None for the gateway's own."""
    return settings.smartnoise_python.absolute() if engine in ENGINES else None


def check(settings: Settings, engine: str) -> None:
    """Raise FailedPrecondition where the engine's environment is not built."""
    python = interpreter(settings, engine)
    if python is not None and not (python.is_file() and os.access(python, os.X_OK)):
        raise FailedPrecondition(
            f"engine {engine} runs in SmartNoise's environment, which this gateway does not have; nothing was charged."
            " Ask its operator to run `make smartnoise` in the project's folder, or to point"
            " SYNTHGATE_SMARTNOISE_PYTHON to the interpreter of one"
        )


def versions(settings: Settings, engine: str) -> Mapping[str, str]:
    """The software of the engine's environment, for an attestation; empty for the gateway's own."""
    python = interpreter(settings, engine)
    if python is None:
        return {}
    folders = [str(folder) for folder in python.parent.parent.glob("lib/python*/site-packages")]
    found = {d.name: d.version for d in distributions(path=folders)}
    return {f"fitted with {name}": found[name] for name in SOFTWARE if name in found}
