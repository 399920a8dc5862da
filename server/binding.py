"""What an attempt is bound to besides its secret: a replay of it must be the same in all of this, or it is refused.

`facts` binds the request and the machine: plan, domain, unit, sizes, the sources of these packages, every installed
distribution, the interpreter, and what of a processor decides how floating-point results are rounded. `rows` binds the
private tables, by the bytes of their files; they are read only once the charge is durable.
"""

import hashlib
import platform
from dataclasses import asdict
from functools import cache
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from server.catalog.base import DatasetRecord, ReleaseRecord
from server.jobs.runner import Limits
from server.ledger import chain

PACKAGES = ("dp_models", "evaluation", "server", "synthgate")
PARTS = ("train.parquet", "holdout.parquet")
ARITHMETIC = ("sse", "ssse", "avx", "fma", "f16c", "amx", "asimd", "neon", "sve", "sme", "fp")
"""How the names of the processor flags begin that numerical libraries choose their kernels by."""
_CPU = Path("/proc/cpuinfo")
_CPU_FIELDS = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU architecture", "CPU part")


def facts(record: ReleaseRecord, dataset: DatasetRecord) -> bytes:
    """32 bytes that stand for the request, the code and the platform."""
    sizes = dataset.dataset.sizes
    document = {
        "release": record.release.id,
        "plan": dict(record.plan),
        "domain": dataset.dataset.domain.digest,
        "unit": asdict(dataset.dataset.unit),
        "sizes": asdict(sizes) if sizes else None,
        "code": code(),
        "machine": machine(),
        "threads": Limits().threads,
    }
    return hashlib.sha256(chain.canonical(document).encode()).digest()


def rows(folder: Path) -> bytes:
    """32 bytes that stand for a dataset's private tables. Opens them."""
    digest = hashlib.sha256()
    for part in PARTS:
        with (folder / part).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.digest()


@cache
def code() -> str:
    """The digest of these packages' sources and of the versions of all that is installed, read once a process: what
    is replaced meanwhile is another code to the next."""
    digest = hashlib.sha256()
    for name in sorted({f"{found.name}=={found.version}" for found in distributions()}):
        digest.update(f"{name}\n".encode())
    for package in PACKAGES:
        spec = find_spec(package)
        for folder in sorted(spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{package}/{path.relative_to(folder)}\n".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@cache
def machine() -> str:
    """Interpreter, architecture and processor, in one line."""
    return f"{platform.python_implementation()} {platform.python_version()} {platform.machine()} {_processor()}"


def _processor() -> str:
    """The first processor's model and its flags for arithmetic; its name where the system does not list them."""
    if not _CPU.exists():
        return platform.processor()
    first = _CPU.read_text().split("\n\n", 1)[0]
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    flags = (said.get("flags") or said.get("Features") or "").split()
    model = [said.get(name, "") for name in _CPU_FIELDS]
    return " ".join([*filter(None, model), *sorted(flag for flag in flags if flag.startswith(ARITHMETIC))])
