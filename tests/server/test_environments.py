"""Engines of another environment: what is missing is told at the request, for free; what is there is fenced."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dp_models.registry import names
from dp_models.smartnoise import ENGINES
from server import accounts, datasets, environments, requests
from server.app import compose
from server.config import Settings
from server.gateway import Call, Gateway
from server.identity import Office, Principal, provision
from server.jobs.packages import lay_out
from server.jobs.runner import JobFailed, Limits, Reason, run
from synthgate.dataset import DatasetState, PrivacyUnit, PublicSizes
from synthgate.errors import EngineNotCertified, FailedPrecondition
from tests.e2e.people import DOMAIN, LENIENT

STEWARD, ANALYST = Principal("steward", Office.STEWARD), Principal("analyst", Office.ANALYST)


def call(principal: Principal, number: int) -> Call:
    return Call(principal, "test", f"r{number}", "payload")


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """A gateway without SmartNoise's environment, and a table that is READY."""
    made = compose(Settings(state=tmp_path, smartnoise_python=tmp_path / "none" / "bin" / "python"))
    provision(made.store, made.settings.tokens)
    accounts.open_account(made, call(STEWARD, 0), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
    datasets.register(
        made, call(STEWARD, 1), name="table", domain=DOMAIN, unit=PrivacyUnit(),
        sizes=PublicSizes(rows=9_000, units=9_000), account="people", policy=LENIENT,
    )  # fmt: skip
    with made.store.begin() as tx:
        record = tx.datasets.get("table")
        ready = replace(record, dataset=replace(record.dataset, state=DatasetState.READY))
        found = {datasets.READY_AT: "2026-01-01T00:00:00+00:00"}
        tx.datasets.replace(replace(ready, found=found), expected=DatasetState.CREATED)
    return made


def ask(gateway: Gateway, engine: str, number: int = 2) -> None:
    requests.create(gateway, call(ANALYST, number), dataset="table", engine=engine, epsilon=1.0, delta=None)


@pytest.mark.parametrize("engine", ["smartnoise-aim", "smartnoise-mst", "smartnoise-mwem"])
def test_a_missing_environment_is_told_at_the_request_with_the_command_and_costs_nothing(
    gateway: Gateway, engine: str
) -> None:
    with pytest.raises(FailedPrecondition, match="make smartnoise"):
        ask(gateway, engine)
    with pytest.raises(FailedPrecondition, match="make smartnoise"):
        requests.quote(gateway, ANALYST, dataset="table", engine=engine, epsilon=1.0, delta=None)
    with gateway.store.begin() as tx:
        assert [str(e.kind) for e in tx.ledger.entries("people")] == ["open"]
        assert tx.releases.list() == ()
    ask(gateway, "mst", 3)


@pytest.mark.parametrize("engine", sorted(set(ENGINES) - {"smartnoise-aim", "smartnoise-mst", "smartnoise-mwem"}))
def test_what_is_not_certified_is_refused_as_such_first(gateway: Gateway, engine: str) -> None:
    with pytest.raises(EngineNotCertified):
        ask(gateway, engine)
    priced = requests.quote(gateway, ANALYST, dataset="table", engine=engine, epsilon=1.0, delta=None)
    assert any("not certified" in refusal for refusal in priced.refusals)
    with gateway.store.begin() as tx:
        assert [str(e.kind) for e in tx.ledger.entries("people")] == ["open"]


def test_smartnoises_engines_alone_have_another_interpreter() -> None:
    found = {name for name in names() if environments.interpreter(Settings(), name) is not None}
    assert found == set(ENGINES)
    assert environments.versions(Settings(), "mst") == {}


def test_another_interpreter_sees_our_packages_and_entry_points_and_nothing_else(tmp_path: Path) -> None:
    """An isolated interpreter of this environment, as bare as another's: it finds the engines, and no library."""
    place = lay_out(tmp_path)
    assert sorted(p.name for p in place.iterdir() if p.is_symlink()) == ["dp_models", "server", "synthgate"]
    code = (
        "import json, sys; from importlib.metadata import entry_points; from importlib.util import find_spec;"
        "import synthgate, server.jobs;"
        "print(json.dumps([sorted(p.name for p in entry_points(group='synthgate.engines')),"
        " [m for m in ('numpy', 'grpc', 'evaluation', 'tests') if find_spec(m)]]))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code], env={"PYTHONPATH": str(place)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    engines, libraries = json.loads(done.stdout)
    assert set(ENGINES) | {"mst", "tree"} <= set(engines)
    assert libraries == []
    lay_out(tmp_path)  # a folder is used again


@pytest.mark.parametrize(
    ("script", "limits", "reason"),
    [
        ("echo 'Mrs Private' >&2; exit 1", Limits(timeout_s=30), Reason.CRASHED),
        ("kill -SEGV $$", Limits(timeout_s=30), Reason.CRASHED),
        ("exec tail -f /dev/null", Limits(timeout_s=0.5), Reason.TIMED_OUT),
    ],
)
def test_whatever_the_other_interpreter_dies_of_is_a_failure_without_its_words(
    tmp_path: Path, script: str, limits: Limits, reason: Reason
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o700)
    with pytest.raises(JobFailed) as caught:
        run(
            "fit", {}, folder=tmp_path / "job", secret=bytes(32), limits=limits, cancelled=threading.Event(),
            progress=print, python=python,
        )  # fmt: skip
    assert caught.value.reason is reason
    assert "Private" not in caught.value.message


def test_another_interpreter_sees_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    python, seen = tmp_path / "python", tmp_path / "seen"
    python.write_text(f"#!/bin/sh\nenv > {seen}\nexit 1\n")
    python.chmod(0o700)
    with pytest.raises(JobFailed):
        run(
            "fit", {}, folder=tmp_path / "job", secret=bytes(32), limits=Limits(timeout_s=30),
            cancelled=threading.Event(), progress=print, python=python,
        )  # fmt: skip
    assert {"CUDA_VISIBLE_DEVICES=", "JAX_PLATFORMS=cpu"} <= set(seen.read_text().splitlines())
