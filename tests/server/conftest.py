from collections.abc import Iterator
from pathlib import Path

import pytest

from server.store import Store
from tests.server.stores import MAKERS


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Every store in turn: what a suite says of one of them it says of all."""
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()
