"""What an interpreter of another environment gets to see of this project: its packages and its entry points.

Links to them lie in a folder of the job, which is all that its import path holds. So a checkout and an installation
work alike, nothing has to be installed into the other environment, and none of this one's libraries leak into it.
"""

from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("dp_models", "server", "synthgate")
"""What `server.jobs.fit` imports."""
_DISTRIBUTION = "synthgate"


def lay_out(folder: Path) -> Path:
    """A folder inside ``folder`` that belongs on the import path of a job of another environment."""
    place, installed = folder / "packages", distribution(_DISTRIBUTION)
    metadata = place / f"{_DISTRIBUTION}-{installed.version}.dist-info"
    metadata.mkdir(mode=0o700, parents=True, exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_DISTRIBUTION}\nVersion: {installed.version}\n")
    (metadata / "entry_points.txt").write_text(installed.read_text("entry_points.txt") or "")
    for name in PACKAGES:
        spec, link = find_spec(name), place / name
        if spec is not None and spec.submodule_search_locations and not link.is_symlink():
            link.symlink_to(Path(next(iter(spec.submodule_search_locations))).absolute())
    return place
