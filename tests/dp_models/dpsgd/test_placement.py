"""Private steps run on another device than the processor, and give what the processor gives. `-m gpu` runs the same on
CUDA; elsewhere a second device stands in, which has memory of its own (`tests/second_device.py`).

Torch takes in no device once it has gone backward, so the tests of the second one get a process to themselves."""

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.cuda import DeferredCudaCallError

from dp_models.dpsgd import placement
from dp_models.dpsgd.clipping import clipped_sums
from dp_models.dpsgd.placement import device_of
from dp_models.engines import vae_network
from dp_models.engines.gan import Gan
from dp_models.engines.vae import Vae
from dp_models.engines.vae_model import VaeModel
from dp_models.mechanisms.attempt import AttemptNoise
from dp_models.mechanisms.journal import Journal
from dp_models.mechanisms.noise import SystemNoise
from synthgate.budget import PrivacyBudget
from synthgate.errors import FailedPrecondition
from tests.dp_models.dpsgd.cases import CASES
from tests.dp_models.dpsgd.gradients import FLAT, far, losses
from tests.dp_models.hidden_class import CLASSES, classes
from tests.dp_models.private_tables import sizes_of
from tests.evaluation.seeded import SeededNoise
from tests.second_device import ALONE, COMPILER, second_device

UNKNOWN = (lambda: nn.Sequential(nn.Linear(5, 6), nn.GroupNorm(2, 6)), lambda: torch.randn(12, 5))
SECOND = pytest.mark.second_device


def test_what_runs_on_a_second_device() -> None:
    if shutil.which(COMPILER) is None:
        pytest.skip(f"needs a C++ compiler ({COMPILER}), to build a second device")
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "second_device", __file__]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"} | {ALONE: "1"}
    run = subprocess.run(words, env=environment, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " skipped" not in run.stdout


@pytest.fixture(params=[pytest.param("second", marks=SECOND), pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """CUDA as jobs have it, and without the short floats that its convolutions take by default."""
    if request.param == "second":
        return second_device()
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return torch.device("cuda")


@pytest.mark.parametrize("made", [*CASES.values(), UNKNOWN], ids=[*CASES, "unknown layer"])
def test_clipped_sums_are_those_of_the_processor(
    made: tuple[Callable[[], nn.Module], Callable[[], Tensor]], device: torch.device
) -> None:
    torch.manual_seed(3)
    module, batch = made[0](), made[1]()
    wanted = clipped_sums(module).sums(lambda: losses(module, batch), FLAT)
    there, moved = copy.deepcopy(module).to(device), batch.to(device)
    found = clipped_sums(there).sums(lambda: losses(there, moved), FLAT)
    assert {one.device.type for one in found} == {device.type}
    assert far([one.cpu() for one in found], wanted) < 1e-4


def test_a_whole_fit_is_that_of_the_processor(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = _fit(monkeypatch, torch.device("cpu")), _fit(monkeypatch, device)
    assert np.abs(here.decoder.head).max() > 0.01
    np.testing.assert_allclose(there.decoder.head, here.decoder.head, rtol=0, atol=1e-3)
    for one, other in zip(there.chain.links, here.chain.links, strict=True):
        np.testing.assert_allclose(one.logs, other.logs, rtol=0, atol=1e-2)


def test_a_fit_is_the_same_to_the_bit_every_time(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    once, again = _fit(monkeypatch, device), _fit(monkeypatch, device)
    assert np.array_equal(once.decoder.head, again.decoder.head)
    assert np.array_equal(once.decoder.head_bias, again.decoder.head_bias)


def _fit(monkeypatch: pytest.MonkeyPatch, device: torch.device) -> VaeModel:
    """A fit with the same noise every time. CUDA is found; other devices are given to it."""
    used: list[str] = []
    train = vae_network.train

    def watched(head: nn.Module, *rest: object, **named: object) -> None:
        train(head, *rest, **named)  # type: ignore[arg-type]
        used.extend(parameter.device.type for parameter in head.parameters())

    with monkeypatch.context() as patch:
        if device.type != "cuda":
            patch.setattr(vae_network, "device_of", lambda _: nullcontext(device))
        patch.setattr(vae_network, "train", watched)
        plan = Vae().plan(CLASSES, sizes_of(2_000), PrivacyBudget.spend(20.0, 1e-6))
        model = Vae().fit(classes(2_000), CLASSES, plan, noise=SeededNoise(5))
    assert set(used) == {device.type}
    assert isinstance(model, VaeModel)
    return model


@SECOND
def test_a_tensor_left_behind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = vae_network._losses
    monkeypatch.setattr(vae_network, "_losses", lambda *given: made(*given[:-1], torch.device("cpu")))
    with pytest.raises(RuntimeError, match="device"):
        _fit(monkeypatch, second_device())


@SECOND
@pytest.mark.parametrize(
    "misuse",
    [
        lambda there: there + torch.ones(3),
        lambda there: torch.cat([there, torch.ones(3)]),
        lambda there: there.numpy(),
        lambda there: there.normal_(generator=torch.Generator()),
    ],
    ids=["sum", "list", "numpy", "generator"],
)
def test_the_second_device_refuses_what_a_gpu_does(misuse: Callable[[Tensor], object]) -> None:
    with pytest.raises((RuntimeError, TypeError), match="device"):
        misuse(torch.ones(3).to(second_device()))


@dataclass
class Cuda:
    """What is asked of ``torch.cuda``: a GPU's name, generation and multiprocessors, and its free memory or what one
    that does not answer raises, at once or when it is to ``work``."""

    name: str
    free: int | Exception
    work: Exception | None = None
    multi_processor_count: int = 132
    major: int = 9
    minor: int = 0

    def is_available(self) -> bool:
        return bool(self.name)

    def mem_get_info(self) -> tuple[int, int]:
        if isinstance(self.free, Exception):
            raise self.free
        return self.free, 2 * ROOM

    def ones(self, *_: object, **__: object) -> Tensor:
        if self.work:
            raise self.work
        return torch.zeros(1)

    def get_device_properties(self, device: int) -> "Cuda":
        assert device == 0
        return self


ROOM = placement.ROOM_BYTES
BUSY = torch.AcceleratorError("all CUDA-capable devices are busy")
UNKNOWN_GPU = DeferredCudaCallError("no kernel image is available")


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Cuda], torch.device]:
    """Where an attempt runs, and its replays, on a machine with such a GPU."""
    torch.use_deterministic_algorithms(False)  # loads more of torch, which needs the true ``torch.cuda``

    def run(cuda: Cuda) -> torch.device:
        monkeypatch.setattr(placement.torch, "cuda", cuda)
        monkeypatch.setattr(placement.torch, "ones", cuda.ones)
        with Journal(tmp_path / "journal", bytes(32)) as journal, device_of(AttemptNoise(journal, bytes(32))) as device:
            there = device.type == "cuda"
            assert torch.are_deterministic_algorithms_enabled() is there
            assert torch.is_deterministic_algorithms_warn_only_enabled() is there
            assert torch.cuda.is_available() is there
        assert not torch.are_deterministic_algorithms_enabled()
        assert torch.cuda.is_available() is bool(cuda.name)
        return device

    return run


@pytest.mark.parametrize(
    ("cuda", "wanted"),
    [
        (Cuda("A", ROOM), "cuda"),
        (Cuda("A", ROOM - 1), "cpu"),
        (Cuda("A", BUSY), "cpu"),
        (Cuda("A", UNKNOWN_GPU), "cpu"),
        (Cuda("A", ROOM, work=BUSY), "cpu"),
        (Cuda("", 0), "cpu"),
    ],
    ids=["free", "full", "busy", "unknown", "idle", "none"],
)
def test_a_gpu_without_room_or_answer_is_left_alone(
    cuda: Cuda, wanted: str, found: Callable[[Cuda], torch.device]
) -> None:
    assert found(cuda) == torch.device(wanted)


@pytest.mark.parametrize("engine", [Vae(), Gan()], ids=["vae", "gan"])
@pytest.mark.parametrize("broken", [BUSY, UNKNOWN_GPU], ids=["busy", "unknown"])
def test_a_gpu_that_does_not_answer_ends_no_fit(
    broken: Exception, engine: Vae | Gan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch behaves there: an optimizer asks the accelerator that is available for its stream."""

    def fails(*_: object) -> NoReturn:
        raise broken

    for name in ("mem_get_info", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, fails)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Cuda("A", broken))
    monkeypatch.setattr(torch._C, "_accelerator_getAccelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_stream", fails)
    with pytest.raises(type(broken)):
        torch.optim.Adam([torch.ones(1, requires_grad=True)]).step()
    plan = engine.plan(CLASSES, sizes_of(2_000), PrivacyBudget.spend(20.0, 1e-6))
    assert "noise_multiplier" in plan.parameters
    assert engine.fit(classes(2_000), CLASSES, plan, noise=SeededNoise(5)).sample(9, generator=np.random.default_rng(1))


@pytest.mark.parametrize(
    ("first", "then"),
    [(Cuda("A", ROOM), Cuda("A", 0)), (Cuda("A", 0), Cuda("A", ROOM)), (Cuda("", 0), Cuda("A", ROOM))],
)
def test_a_replay_runs_where_its_attempt_began(first: Cuda, then: Cuda, found: Callable[[Cuda], torch.device]) -> None:
    assert found(first) == found(then)


@pytest.mark.parametrize(
    "gone", [Cuda("B", ROOM), Cuda("A", ROOM, minor=1), Cuda("A", ROOM, multi_processor_count=66), Cuda("", 0)]
)
def test_a_replay_without_its_gpu_is_refused(gone: Cuda, found: Callable[[Cuda], torch.device]) -> None:
    found(Cuda("A", ROOM))
    with pytest.raises(FailedPrecondition, match="began on A"):
        found(gone)


def test_memory_that_runs_out_on_a_gpu_is_what_a_job_dies_of(found: Callable[[Cuda], torch.device]) -> None:
    found(Cuda("A", ROOM))
    with pytest.raises(MemoryError), device_of(SystemNoise()):
        raise torch.OutOfMemoryError


def test_a_fit_that_began_on_the_processor_ends_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Vae().plan(CLASSES, sizes_of(2_000), PrivacyBudget.spend(20.0, 1e-6))
    heads = []
    for cuda in (Cuda("", 0), Cuda("A", ROOM)):
        with monkeypatch.context() as patch, Journal(tmp_path / "journal", bytes(32)) as journal:
            patch.setattr(torch.cuda, "is_available", cuda.is_available)
            noise = AttemptNoise(journal, bytes(32))
            heads.append(Vae().fit(classes(2_000), CLASSES, plan, noise=noise).decoder.head)  # type: ignore[union-attr]
            noise.finish()
    assert np.array_equal(*heads)
