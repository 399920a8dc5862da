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
from tests.audit.conftest import Note
from tests.audit.games import Verdict
from tests.audit.tables import PAIRS
from tests.smartnoise import needs_smartnoise, run_inside

DELTA = 1e-5
CHOICE = 2.0
"""The epsilon of one choice where choices are audited alone."""


ENGINES: dict[str, Synthesizer] = {
    e.name: e for e in (SmartNoiseAim(rounds_per_column=2), SmartNoiseMst(), SmartNoiseMwem(updates=1))
}


class Game(NamedTuple):
    """``fit`` and ``noise`` are names in `tests.audit.smartnoise`, ``pair`` one in `PAIRS`. A ``mistake`` is what its
    ``attack`` must convict. ``planned`` is how many rows a unit has by the plan, where not as many as in the pair."""

    engine: str
    fit: str
    pair: str = "in a crowd"
    noise: str = "Recorded"
    epsilon: float = 8.0
    games: int = 40
    mistake: str = ""
    attack: str = "likelihood"
    planned: int | None = None

    @property
    def of_choices(self) -> bool:
        return self.fit in ("Choices", "TrueSize")

    def plan(self) -> Plan:
        pair, budget = PAIRS[self.pair], PrivacyBudget.spend(self.epsilon, DELTA)
        plan = ENGINES[self.engine].plan(pair.domain, pair.sizes(self.planned or pair.max_rows), budget)
        told = {"epsilon_select": CHOICE} if self.of_choices else {}
        return Plan.from_json(plan.to_json() | {"parameters": {**plan.parameters, **told}})

    @property
    def claim(self) -> DpEvent:
        return Repeated(Exponential(CHOICE), 3) if self.of_choices else self.plan().event

    @property
    def what(self) -> str:
        return f"{self.engine}: {self.mistake}" if self.mistake else f"{self.engine}, {self.pair}"

    def spec(self) -> dict[str, Any]:
        return {
            "fit": self.fit, "noise": self.noise, "plan": self.plan().to_json(), "games": self.games, "pair": self.pair
        }  # fmt: skip


MST, AIM, MWEM = ("smartnoise-mst", "Mst"), ("smartnoise-aim", "Aim"), ("smartnoise-mwem", "PlannedMwem")
FITS = (AIM, MST, MWEM)
HONEST = [
    *(Game(*fit, pair) for pair in ("in a crowd", "outlier", "three rows") for fit in FITS),
    Game("smartnoise-mst", "Choices", "torn", games=200),
]
PLANTED = [
    *(
        Game(*fit, noise="ReusedNoise", epsilon=1.0, games=24, mistake="noise used again", attack="coincidences")
        for fit in FITS
    ),
    Game(*MST, "three rows", games=200, mistake="3 rows taken for 1", planned=1),
    Game("smartnoise-mst", "TrueSize", "torn", games=1_500, mistake="choices by the true size"),
    Game("smartnoise-aim", "Overspending", noise="Unfiltered", epsilon=4.0, games=100, mistake="counts a hundredth"),
]
LONG_HONEST = [
    *(Game(*fit, epsilon=x, games=1_000) for fit in FITS for x in (1.0, 3.0, 8.0)),
    *(
        Game(*fit, pair, epsilon=x, games=1_000)
        for pair in ("outlier", "three rows")
        for fit in FITS
        for x in (1.0, 8.0)
    ),
]
LONG_PLANTED = [
    Game(*AIM, "three rows", epsilon=4.0, games=400, mistake="3 rows taken for 1", planned=1),
    Game(*MWEM, "three rows", games=200, mistake="3 rows taken for 1", planned=1),
    Game(*AIM, noise="QuarterNoise", games=300, mistake="a quarter of the noise"),
    Game(*MST, noise="HalfNoise", games=1_000, mistake="half noise"),
    Game(*MWEM, noise="HalfNoise", games=1_000, mistake="half noise"),
]


OVER, WITHIN = Game("smartnoise-aim", "Overspending"), Game(*AIM)


def _played(games: list[Game], folder: Path) -> dict[Game, dict[str, Verdict]]:
    """What each attack makes of which game. What overspends must be refused by the noise besides."""
    spec = {"games": [g.spec() for g in games], "tried": [OVER.spec(), WITHIN.spec()]}
    told = run_inside("tests.audit.smartnoise", spec, folder)
    assert told["refused"] == [True, False]
    return {
        game: {attack: Verdict(hits=hits, alarms=alarms, games=game.games) for attack, (hits, alarms) in said.items()}
        for game, said in zip(games, told["played"], strict=True)
    }


def _misjudged(games: list[Game], folder: Path, note: Note) -> list[Game]:
    """Honest games whose claim some attack breaks, and planted mistakes that are not convicted."""
    wrong = []
    for game, found in _played(games, folder).items():
        claim = game.claim
        broken = note(game.what, claim, found[game.attack])
        if not broken if game.mistake else any(verdict.breaks(claim) for verdict in found.values()):
            wrong.append(game)
    return wrong


@needs_smartnoise
def test_honest_engines_are_within_their_claim_and_planted_mistakes_are_convicted(tmp_path: Path, note: Note) -> None:
    assert _misjudged([*HONEST, *PLANTED], tmp_path, note) == []


@needs_smartnoise
@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_honest_engines_are_within_their_claim_and_too_little_noise_is_convicted_for_long(
    tmp_path: Path, note: Note
) -> None:
    assert _misjudged([*LONG_HONEST, *LONG_PLANTED], tmp_path, note) == []


def test_only_audited_engines_of_smartnoise_are_certified() -> None:
    assert {e for e in BUILT_IN_ENGINES if e.startswith("smartnoise")} == {game.engine for game in HONEST}
