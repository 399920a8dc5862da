"""The runner: what a worker is given, what comes back, and that nothing outlives it."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import psutil
import pytest

from server.config import ACCELERATOR
from server.jobs import processes
from server.jobs.runner import JobFailed, Limits, Reason, run, run_module
from server.jobs.worker import EXIT_REFUSED
from synthgate.errors import FailedPrecondition, InvalidTable
from tests.server.jobs.kinds import PRIVATE

KINDS = "tests.server.jobs.kinds"
SECRET = bytes(range(32))


def job(folder, do, *, limits=None, cancelled=None, progress=lambda stage: None, **spec):
    return run_module(
        KINDS,
        {"do": do, **spec},
        folder=folder,
        secret=SECRET,
        limits=limits or Limits(timeout_s=30),
        cancelled=cancelled or threading.Event(),
        progress=progress,
    )


def failure(*args, **kwargs):
    with pytest.raises(JobFailed) as caught:
        job(*args, **kwargs)
    return caught.value


def gone(pids):
    return not psutil.wait_procs([psutil.Process(p) for p in pids if psutil.pid_exists(p)], timeout=15)[1]


def test_a_worker_gets_a_spec_a_secret_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHGATE_TOKEN", "tok")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    folder = tmp_path / "job"
    leak = os.open(tmp_path / "ledger.db", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(leak, True)
    try:
        got = job(folder, "echo", rows="α")
    finally:
        os.close(leak)
    assert got["secret"] == SECRET.hex()
    assert got["spec"] == {"do": "echo", "rows": "α"}
    assert got["argv"][1:] == [str(folder), str(os.getpid())]
    assert SECRET.hex() not in json.dumps([got["argv"], got["environment"], got["spec"]])
    assert set(got["environment"]) <= {
        "PATH", "LANG", "HOME", "TMPDIR", "MPLBACKEND", "PYTHONPATH", "PYTHONHASHSEED", "LC_CTYPE",
        "CUBLAS_WORKSPACE_CONFIG", "JAX_PLATFORMS", *ACCELERATOR,
        *(f"{library}_NUM_THREADS" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")),
    }  # fmt: skip
    assert got["cwd"] == str(folder)
    assert got["environment"]["HOME"].startswith(str(folder))
    assert not [path for path in got["opened"] if "ledger.db" in path]


def test_a_worker_sees_the_gpus_that_the_gateway_may_see(tmp_path, monkeypatch):
    for name in ACCELERATOR:
        monkeypatch.delenv(name, raising=False)
    assert not set(ACCELERATOR) & set(job(tmp_path / "any", "echo")["environment"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/driver")
    got = job(tmp_path / "none", "echo")["environment"]
    assert {name: got[name] for name in ACCELERATOR if name in got} == {"CUDA_VISIBLE_DEVICES": ""}
    assert got["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8" and got["JAX_PLATFORMS"] == "cpu"
    assert "LD_LIBRARY_PATH" not in got  # attempts are not bound to what it would put before torch's own libraries


def test_everything_in_the_folder_is_private(tmp_path):
    folder = tmp_path / "job"
    assert job(folder, "echo")["mode"] == "0o600"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir() if p.is_file()} == {0o600}
    assert SECRET.hex().encode() not in (folder / "spec.json").read_bytes()


def test_prints_stay_in_the_log_and_only_stages_come_out(tmp_path):
    seen = []
    job(tmp_path, "chat", progress=seen.append)
    assert seen == ["one", "three"]
    assert (tmp_path / "worker.log").read_text().count(PRIVATE) == 3


@pytest.mark.parametrize(
    ("do", "limits", "reason"),
    [
        ("loop", Limits(timeout_s=1), Reason.TIMED_OUT),
        ("eat", Limits(timeout_s=30, memory_bytes=200 * 2**20), Reason.OUT_OF_MEMORY),
        ("exhaust", None, Reason.OUT_OF_MEMORY),
        ("raise", None, Reason.CRASHED),
        ("leave", None, Reason.CRASHED),
        ("segfault", None, Reason.CRASHED),
        ("fill", None, Reason.INTERRUPTED),
        ("no such thing", None, Reason.CRASHED),
    ],
)
def test_failures_have_a_reason_and_public_words(tmp_path, do, limits, reason):
    failed = failure(tmp_path, do, limits=limits)
    assert (failed.reason, failed.error) == (reason, None)
    assert "Private" not in str(failed)
    assert not list(tmp_path.glob("core*"))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_worker_that_was_killed_from_outside_was_interrupted(tmp_path, name):
    def killed(_stage):
        (worker,) = [p for p in psutil.Process().children() if str(tmp_path) in p.cmdline()]
        os.kill(worker.pid, getattr(signal, name))

    assert failure(tmp_path, "spawn", progress=killed).reason is Reason.INTERRUPTED


def test_a_kill_for_want_of_memory_is_the_jobs_own_failure(tmp_path, monkeypatch):
    counts = iter((3, 4))
    monkeypatch.setattr(processes, "oom_kills", lambda: next(counts))

    def killed(_stage):
        (worker,) = [p for p in psutil.Process().children() if str(tmp_path) in p.cmdline()]
        os.kill(worker.pid, signal.SIGKILL)

    assert failure(tmp_path, "spawn", progress=killed).reason is Reason.OUT_OF_MEMORY


def test_a_refusal_comes_back_as_the_error_that_was_raised(tmp_path):
    failed = failure(tmp_path, "refuse")
    assert failed.reason is Reason.REFUSED
    assert type(failed.error) is InvalidTable
    assert failed.message == failed.error.message == "the file lacks the declared column age"
    assert failed.error.facts == {"column": "age"}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("failure.json", "{}", EXIT_REFUSED),
        ("failure.json", '{"reason": "NO_SUCH", "message": "x", "facts": {}}', EXIT_REFUSED),
        ("failure.json", '{"reason": "INVALID_TABLE", "message": "x", "facts": 3}', EXIT_REFUSED),
        ("failure.json", '{"reason": "INVALID_TABLE", "message": "x", "facts": {}}', 1),
        ("result.json", "[]", 0),
        ("result.json", "{", 0),
        ("result.json", "{}", 7),
        ("other.json", "{}", 0),
    ],
)
def test_malformed_ends_are_crashes(tmp_path, name, content, code):
    assert failure(tmp_path, "forge", name=name, content=content, code=code).reason is Reason.CRASHED


def test_an_earlier_result_is_never_taken_for_this_one(tmp_path):
    job(tmp_path, "echo")
    assert failure(tmp_path, "leave").reason is Reason.CRASHED
    failure(tmp_path, "refuse")
    assert failure(tmp_path, "raise").reason is Reason.CRASHED


def test_cancel_kills_the_whole_tree(tmp_path):
    cancelled = threading.Event()
    failed = failure(tmp_path, "spawn", cancelled=cancelled, progress=lambda stage: cancelled.set())
    assert failed.reason is Reason.CANCELLED
    assert gone(json.loads((tmp_path / "children").read_text()))


def test_children_in_the_group_end_with_a_worker_that_returned(tmp_path):
    job(tmp_path, "spawn", **{"return": True})
    apart, grouped = json.loads((tmp_path / "children").read_text())
    os.kill(apart, signal.SIGKILL)
    assert gone([grouped])


def test_a_raising_progress_ends_the_worker_too(tmp_path):
    def progress(stage):
        raise FailedPrecondition("the release is gone")

    with pytest.raises(FailedPrecondition):
        job(tmp_path, "spawn", progress=progress)
    assert gone(json.loads((tmp_path / "children").read_text()))


def test_a_worker_dies_when_the_gateway_is_killed(tmp_path):
    gateway = f"""
import threading
from pathlib import Path
from server.jobs.runner import Limits, run_module
run_module({KINDS!r}, {{"do": "spawn"}}, folder=Path({str(tmp_path / "job")!r}), secret=bytes(32),
           limits=Limits(), cancelled=threading.Event(), progress=lambda stage: print(stage, flush=True))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen([sys.executable, "-c", gateway], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"spawned\n"
        (worker,) = psutil.Process(process.pid).children()
        apart, grouped = json.loads((tmp_path / "job" / "children").read_text())
        started = time.monotonic()
        process.kill()
        assert gone([worker.pid, grouped])
        assert time.monotonic() - started < 10
    os.kill(apart, signal.SIGKILL)


def test_files_of_the_folder_are_never_imported(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    assert job(tmp_path, "echo")["cwd"] == str(tmp_path)


def test_only_known_kinds_run(tmp_path):
    with pytest.raises(ValueError, match="not a valid Kind"):
        run("os", {}, folder=tmp_path, secret=SECRET, limits=Limits(), cancelled=threading.Event(), progress=print)


def test_a_kind_runs_as_a_module_by_its_name(tmp_path):
    with pytest.raises(JobFailed) as caught:
        run(
            "ingest",
            {},
            folder=tmp_path,
            secret=2 * SECRET,
            limits=Limits(),
            cancelled=threading.Event(),
            progress=print,
        )
    assert caught.value.reason is Reason.CRASHED
    assert "KeyError: 'domain'" in (tmp_path / "worker.log").read_text()
