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
"""Free memory of a GPU below which it is left alone: three times what one batch of `vae` holds, at most."""
_PROCESSOR = "cpu"
_BROKEN = (RuntimeError, DeferredCudaCallError)
"""What torch raises for a GPU that does not answer."""


@contextmanager
def device_of(noise: Noise) -> Iterator[torch.device]:
    """The device of one fit. Raises FailedPrecondition in a replay where the attempt's GPU is not there any more, and
    MemoryError where a GPU runs out of memory."""
    name = noise.decided("device", _best)
    if name == _PROCESSOR:
        with on_processor():
            yield torch.device("cpu")
        return
    if name != _gpu():
        raise FailedPrecondition(f"the attempt began on {name}, which is not there now, so it cannot be repeated")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield torch.device("cuda")
    except torch.OutOfMemoryError as error:
        raise MemoryError from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextmanager
def on_processor() -> Iterator[None]:
    """Torch finds no GPU within. Its optimizers ask any that they find for its health at every step, on the processor
    too, and one that is full or broken would end a fit that does not use it."""
    found = torch.cuda.is_available
    torch.cuda.is_available = lambda: False
    try:
        yield
    finally:
        torch.cuda.is_available = found


def _best() -> str:
    """The name of CUDA's first device where it answers and has ``ROOM_BYTES`` free, else ``cpu``. A GPU that is found
    broken, taken or full costs time, not the job: by now its budget is spent."""
    name = _gpu()
    if name == _PROCESSOR:
        return name
    try:
        free, _ = torch.cuda.mem_get_info()
        if free < ROOM_BYTES:
            return _PROCESSOR
        torch.ones(1, device="cuda").sum().item()
    except _BROKEN:
        return _PROCESSOR
    return name


def _gpu() -> str:
    """What decides how the first GPU rounds besides what is installed: its model, generation and multiprocessors; the
    processor where none is found."""
    if not torch.cuda.is_available():
        return _PROCESSOR
    try:
        found = torch.cuda.get_device_properties(0)
    except _BROKEN:
        return _PROCESSOR
    return f"{found.name} ({found.major}.{found.minor}, {found.multi_processor_count} multiprocessors)"
