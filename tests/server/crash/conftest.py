import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.crash.deeds import UPLOADS
from tests.server.crash.lives import AWAITING, prepare
from tests.server.crash.nursery import Nursery

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
        kind = "awaiting" if scenario in AWAITING else scenario if scenario in UPLOADS else "released"
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp("prepared") / kind
            prepare(made[kind], scenario=kind)
        return made[kind]

    return of


@pytest.fixture
def state(prepared: States, tmp_path: Path) -> States:
    """A copy of one of them."""

    def of(scenario: str) -> Path:
        return Path(shutil.copytree(prepared(scenario), tmp_path / "state"))

    return of
