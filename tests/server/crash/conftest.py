import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.crash.nursery import Nursery
from tests.server.crash.states import kind, prepare

States = Callable[[str], Path]


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("nursery") / "errors.log")
    yield made
    made.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> States:
    """State folders that are ready to be asked of, by scenario; made once."""
    made: dict[str, Path] = {}

    def of(scenario: str) -> Path:
        if (name := kind(scenario)) not in made:
            made[name] = tmp_path_factory.mktemp("prepared") / name
            prepare(made[name], scenario=name)
        return made[name]

    return of


@pytest.fixture
def state(prepared: States, tmp_path: Path) -> States:
    """A copy of one of them."""

    def of(scenario: str) -> Path:
        return Path(shutil.copytree(prepared(scenario), tmp_path / "state"))

    return of
