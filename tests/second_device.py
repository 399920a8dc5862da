"""A device that is not the processor, for machines without a GPU (`second_device.cpp`, built once a process).

What runs on it has every tensor in its place, hands values over where it must, and gives the values of the processor.
It says nothing of a GPU's kernels or speed.
"""

import os
import subprocess
import tempfile
import types
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.utils.cpp_extension import include_paths, library_paths

ALONE, COMPILER = "SYNTHGATE_TEST_ALONE", "c++"
_NAME = "second"
_SOURCE = Path(__file__).with_suffix(".cpp")


@cache
def second_device() -> torch.device:
    """The device, ready, in a process that has not gone backward yet, for torch counts its devices then: skips the test
    where the environment does not say so (`ALONE`)."""
    if ALONE not in os.environ:
        pytest.skip(f"needs a process of its own, with {ALONE} set")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "second_device.so")
        headers = [f"-I{path}" for path in include_paths()]
        links = [*(f"-L{path}" for path in library_paths()), "-lc10", "-ltorch_cpu"]
        words = [COMPILER, "-std=c++20", "-O0", "-shared", "-fPIC", *headers, str(_SOURCE), *links, "-o", str(library)]
        subprocess.run(words, check=True, capture_output=True, text=True)
        torch.utils.rename_privateuse1_backend(_NAME)
        torch._register_device_module(_NAME, _module())
        torch.ops.load_library(library)
    return torch.device(_NAME, 0)


def _module() -> types.ModuleType:
    """What torch asks of ``torch.second``."""
    module = types.ModuleType(f"torch.{_NAME}")
    module.is_available = lambda: True  # type: ignore[attr-defined]
    module.device_count = lambda: 1  # type: ignore[attr-defined]
    module.current_device = lambda: 0  # type: ignore[attr-defined]
    module._is_in_bad_fork = lambda: False  # type: ignore[attr-defined]
    module.manual_seed_all = lambda _seed: None  # type: ignore[attr-defined]
    return module
