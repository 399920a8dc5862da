"""SmartNoise's environment, for tests that need it: `make smartnoise` builds it, and where it is missing they skip."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.config import SMARTNOISE_PYTHON
from server.jobs.packages import lay_out

ROOT = Path(__file__).parents[1]
needs_smartnoise = pytest.mark.skipif(
    not SMARTNOISE_PYTHON.exists(), reason="there is no .venv-smartnoise; build it with `make smartnoise`"
)


def run_inside(module: str, spec: dict[str, Any], folder: Path) -> Any:
    """``python -m MODULE FOLDER`` under SmartNoise's interpreter, with ``spec.json`` in the folder; returns what it
    leaves in ``result.json``. Only this checkout is on its path."""
    (folder / "spec.json").write_text(json.dumps(spec))
    paths = os.pathsep.join((str(lay_out(folder)), str(ROOT)))
    environment = {"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [SMARTNOISE_PYTHON, "-P", "-W", "ignore", "-m", module, str(folder)],
        env=environment, cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    return json.loads((folder / "result.json").read_text())
