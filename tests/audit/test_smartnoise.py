"""The audit of the wrapped SmartNoise engines: what puts them on the list of certified engines.

The games run under SmartNoise's interpreter (`tests.audit.smartnoise`), all of a set in one process; they are judged
here, against the plans' claims. ``make audit`` plays the long set.
"""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dp_models.base import Plan, Synthesizer
from dp_models.smartnoise.aim import SmartNoiseAim
from dp_models.smartnoise.mst import SmartNoiseMst
from dp_models.smartnoise.mwem import SmartNoiseMwem
from server.config import BUILT_IN_ENGINES
from synthgate.budget import PrivacyBudget
from synthgate.events import DpEvent, Exponential, Repeated
from tests.audit.games import Verdict
from tests.audit.tables import crowd, torn
from tests.dp_models.private_tables import sizes_of
from tests.smartnoise import needs_smartnoise, run_inside

DELTA = 1e-5
CHOICE = 2.0
"""The epsilon of one choice where choices are audited alone."""


ENGINES: dict[str, Synthesizer] = {
    e.name: e for e in (SmartNoiseAim(rounds_per_column=2), SmartNoiseMst(), SmartNoiseMwem(updates=1))
}


class Game(NamedTuple):
    """``fit`` and ``noise`` are names in `tests.audit.smartnoise`."""

    engine: str
    fit: str
    noise: str = "Recorded"
    epsilon: float = 8.0
    games: int = 40

    def plan(self) -> Plan:
        if self.fit in ("Choices", "TrueSize"):
            plan = ENGINES[self.engine].plan(torn(1_000)[0], sizes_of(1_000), PrivacyBudget.spend(8.0, DELTA))
            return Plan.from_json(plan.to_json() | {"parameters": {**plan.parameters, "epsilon_select": CHOICE}})
        return ENGINES[self.engine].plan(crowd(400)[0], sizes_of(400), PrivacyBudget.spend(self.epsilon, DELTA))

    @property
    def claim(self) -> DpEvent:
        return Repeated(Exponential(CHOICE), 3) if self.fit in ("Choices", "TrueSize") else self.plan().event

    def spec(self) -> dict[str, Any]:
        table = ("torn", 1_000) if self.fit in ("Choices", "TrueSize") else ("crowd", 400)
        return {
            "fit": self.fit, "noise": self.noise, "plan": self.plan().to_json(), "games": self.games,
            "table": table[0], "rows": table[1],
        }  # fmt: skip


FITS = {"smartnoise-aim": "Aim", "smartnoise-mst": "Mst", "smartnoise-mwem": "PlannedMwem"}
HONEST = [*(Game(engine, fit) for engine, fit in FITS.items()), Game("smartnoise-mst", "Choices", games=200)]
PLANTED = {
    **{Game(e, f, noise="ReusedNoise", epsilon=1.0, games=24): "coincidences" for e, f in FITS.items()},
    Game("smartnoise-mst", "TrueSize", games=1_500): "likelihood",
    Game("smartnoise-aim", "Overspending", noise="Unfiltered", epsilon=4.0, games=100): "likelihood",
}
LONG_HONEST = [Game(e, f, epsilon=x, games=1_000) for e, f in FITS.items() for x in (1.0, 3.0, 8.0)]
LONG_PLANTED = {
    Game("smartnoise-aim", "Aim", noise="QuarterNoise", games=300): "likelihood",
    Game("smartnoise-mst", "Mst", noise="HalfNoise", games=1_000): "likelihood",
    Game("smartnoise-mwem", "PlannedMwem", noise="HalfNoise", games=1_000): "likelihood",
}


OVER, WITHIN = Game("smartnoise-aim", "Overspending"), Game("smartnoise-aim", "Aim")


def _broken(games: list[Game], folder: Path) -> dict[Game, dict[str, bool]]:
    """Which attacks break the claim of which game. What overspends must be refused by the noise besides."""
    spec = {"games": [g.spec() for g in games], "tried": [OVER.spec(), WITHIN.spec()]}
    told = run_inside("tests.audit.smartnoise", spec, folder)
    assert told["refused"] == [True, False]
    return {
        game: {
            attack: Verdict(hits=hits, alarms=alarms, games=game.games).breaks(game.claim)
            for attack, (hits, alarms) in said.items()
        }
        for game, said in zip(games, told["played"], strict=True)
    }


@needs_smartnoise
def test_honest_engines_are_within_their_claim_and_planted_mistakes_are_convicted(tmp_path: Path) -> None:
    broken = _broken([*HONEST, *PLANTED], tmp_path)
    assert [game for game in HONEST if any(broken[game].values())] == []
    assert [game for game, attack in PLANTED.items() if not broken[game][attack]] == []


@needs_smartnoise
@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_honest_engines_are_within_their_claim_and_too_little_noise_is_convicted_for_long(tmp_path: Path) -> None:
    broken = _broken([*LONG_HONEST, *LONG_PLANTED], tmp_path)
    assert [game for game in LONG_HONEST if any(broken[game].values())] == []
    assert [game for game, attack in LONG_PLANTED.items() if not broken[game][attack]] == []


def test_only_audited_engines_of_smartnoise_are_certified() -> None:
    assert {e for e in BUILT_IN_ENGINES if e.startswith("smartnoise")} == {game.engine for game in HONEST} == set(FITS)
