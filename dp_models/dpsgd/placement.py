"""Where private steps run: on a GPU where there is one that can take them, on the processor otherwise.

A replay runs where its attempt began: elsewhere, sums are rounded otherwise. On a GPU torch's deterministic algorithms
are asked for, as far as it has them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.cuda import DeferredCudaCallError

from dp_models.base import Noise
from synthgate.errors import FailedPrecondition

ROOM_BYTES = 2 * 2**30
"""Free memory of a GPU below which it is left alone: several times what one batch of `vae` holds."""
_PROCESSOR = "cpu"


@contextmanager
def device_of(noise: Noise) -> Iterator[torch.device]:
    """The device of one fit. Raises FailedPrecondition in a replay where the attempt's GPU is not there any more."""
    name = noise.decided("device", best)
    if name == _PROCESSOR:
        yield torch.device("cpu")
        return
    if not torch.cuda.is_available() or name != _gpu():
        raise FailedPrecondition(f"the attempt began on {name}, which is not there now, so it cannot be repeated")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield torch.device("cuda")
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def best() -> str:
    """The name of CUDA's current device where it answers and has ``ROOM_BYTES`` free, else ``cpu``. A GPU that is
    broken, taken or full costs time, never a job: by now its budget is spent."""
    if torch.cuda.is_available():
        try:
            torch.ones(1, device="cuda").sum().item()
            free, _ = torch.cuda.mem_get_info()
            return _gpu() if free >= ROOM_BYTES else _PROCESSOR
        except (RuntimeError, DeferredCudaCallError):
            return _PROCESSOR
    return _PROCESSOR


def _gpu() -> str:
    """What decides how the current GPU rounds: its model and its generation."""
    major, minor = torch.cuda.get_device_capability()
    return f"{torch.cuda.get_device_name()} (compute capability {major}.{minor})"
