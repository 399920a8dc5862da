"""`kill -9` of a gateway and the work that it does, at moments that nobody chose."""

import random

import pytest

from synthgate.release import ReleaseState
from tests.server.crash.conftest import States
from tests.server.crash.laws import lived
from tests.server.crash.nursery import Nursery
from tests.server.crash.strikes import Life

SECONDS = 0.2
"""About what a life takes."""


@pytest.mark.guarantee("no-lost-spend")
@pytest.mark.guarantee("same-draw")
@pytest.mark.parametrize("seed", [*range(10), *(pytest.param(n, marks=pytest.mark.soak) for n in range(10, 150))])
def test_two_random_kills_lose_no_charge(nursery: Nursery, state: States, seed: int, record_property) -> None:
    draw, folder = random.Random(seed), state("released")
    nursery.live(Life(state=str(folder), killed_after_s=draw.uniform(0.001, SECONDS)))
    life = Life(state=str(folder), start=500, killed_after_s=draw.uniform(0.001, SECONDS))
    assert lived(nursery, life) == [ReleaseState.RELEASED]
    record_property("reached", "20 random kills -9 of gateways that fit in their own process (300 with make soak)")
