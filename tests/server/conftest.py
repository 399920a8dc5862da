from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from server import accounts
from server.app import compose
from server.config import Settings
from server.gateway import Gateway
from server.identity import provision
from server.store import Store
from tests.server.composed import STEWARD, TICK_S, Clock, call
from tests.server.stores import MAKERS


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Every store in turn: what a suite says of one of them it says of all."""
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gateway(tmp_path: Path, clock: Clock) -> Gateway:
    settings = Settings(state=tmp_path, verdict_tick_s=TICK_S, lease_s=300.0)
    made = replace(compose(settings), now=clock)
    provision(made.store, settings.tokens)
    accounts.open_account(made, call(STEWARD), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
    return made
