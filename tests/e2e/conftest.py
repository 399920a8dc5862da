"""One gateway for all tests that leave it running, and fresh ones for those that kill it."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.process import WORDS, Served, holding, install


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="session")
def served(plugin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway that runs one job at a time; tests use datasets and accounts of their own."""
    gateway = Served(tmp_path_factory.mktemp("gateway") / "state", plugin)
    yield gateway
    gateway.stop()
    assert holding(gateway.state, WORDS.encode()) == [], "an engine's or a cell's words outlived its job"
    assert list((gateway.state / "work").glob("*")) == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails halfway leaves the shared gateway free for the next."""
    report = yield
    gateway = getattr(item, "funcargs", {}).get("served")
    if report.failed and isinstance(gateway, Served):
        gateway.free()
    return report
