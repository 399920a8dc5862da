"""The audit of the accounted verdict: whoever knows all rows but one unit, and chooses the sample, learns no more of
that unit than the noise allows, in one verdict and in a thousand adaptive ones."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from dp_models.mechanisms.accounting import epsilon
from dp_models.mechanisms.calibration import calibrate
from dp_models.mechanisms.noise import SystemNoise
from evaluation.base import Comparison
from evaluation.margin import margin
from synthgate.accounted import Z95
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.events import DiscreteGaussian, Repeated
from synthgate.policy import COPIES, Rule
from tests.audit.conftest import Keep, Note
from tests.audit.games import Verdict, play
from tests.audit.verdict import CASES, DOMAIN, SEED, Judge, joined, rows

SIGMA, GAMES = 1.0, 1_000


def judged(case: str) -> Verdict:
    pair, sizes, rules = CASES[case][0]()
    return play(Judge(rules, sizes, SIGMA), *pair, games=GAMES)["likelihood"]


@pytest.mark.guarantee("accounted-verdict")
@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_within_its_claim(case: str, note: Note) -> None:
    pair, sizes, rules = CASES[case][0]()
    judge = Judge(rules, sizes, SIGMA)
    assert abs(judge.exact(pair[1]) - judge.exact(pair[0])) <= 1
    assert not note(f"verdict: {case}, honest", DiscreteGaussian(SIGMA), judged(case))


@pytest.mark.guarantee("accounted-verdict")
@pytest.mark.parametrize("case", CASES)
def test_a_planted_mistake_is_convicted(case: str, note: Note, monkeypatch: pytest.MonkeyPatch) -> None:
    CASES[case][1](monkeypatch)
    assert note(f"verdict: {case}", DiscreteGaussian(SIGMA), judged(case))


CALLS, ROUNDS, PLAYED, CLAIMED = 1_000, 20, 300, PrivacyBudget.spend(1.0, 1e-5)
SIZES = PublicSizes(rows=5_000, units=5_000)
RULES = (Rule(score=COPIES, at_most=0.01),)


class Bench:
    """One target row, trained on or not, among others that the attacker knows; the attacker chooses what is judged. In
    a sample of the target and of ``known`` rows of trained units, so many units are found, one more where the target
    was trained on. Margins are computed by the verdict's own function, once for each sample."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma
        train, holdout = rows(np.arange(900) / 8, 1.0, "false"), rows(np.arange(1_000) / 8, 2.0, "false")
        self.target = rows([777.7], [7.0], "true")
        without = Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=self.target)
        self.tables = without, joined(without, self.target)
        self._found: dict[tuple[int, int], int] = {}

    def margin(self, known: int, trained: int) -> int:
        """``trained`` is 1 where the target was trained on, else 0."""
        if (known, trained) not in self._found:
            table = self.tables[trained]
            sample = pd.concat([self.target, table.train.iloc[:known]], ignore_index=True)
            judged = margin(replace(table, sample=sample), RULES, SIZES, sigma=self.sigma, seed=SEED)
            self._found[known, trained] = judged.value
        return self._found[known, trained]

    def passes(self, known: int, trained: int, calls: int) -> int:
        """How many of ``calls`` verdicts on one sample let it pass."""
        exact = np.full(calls, self.margin(known, trained))
        if self.sigma == 0:
            return calls * int(exact[0] <= 0)
        noise = SystemNoise().discrete_gaussian(exact, sigma=self.sigma, sensitivity=1)
        return int(np.count_nonzero(noise + Z95 * self.sigma <= 0))

    def attack(self, trained: int) -> bool:
        """Whether the attacker says that the target was trained on: 1,000 verdicts, whose samples follow from those
        before. A round that passed too often adds known rows to the next, one that passed too seldom takes some away,
        so that every bit is asked where it tells most; the likelihood of all bits decides."""
        known, told, most = self._start(), 0.0, len(self.tables[0].train)
        for _ in range(ROUNDS):
            calls = CALLS // ROUNDS
            passed = self.passes(known, trained, calls)
            told += self._likelihood(known, passed, calls)
            step = (passed / calls - 0.5) * max(self.sigma, 2.0)
            known = min(max(known + round(step), 0), most)
        return told > 0

    def _start(self) -> int:
        """Where a sample without the target just passes, on average."""
        return min(max(-round(self.margin(0, 0) + Z95 * self.sigma), 0), len(self.tables[0].train))

    def _likelihood(self, known: int, passed: int, calls: int) -> float:
        chances = [self._chance(self.margin(known, trained)) for trained in (0, 1)]
        return passed * math.log(chances[1] / chances[0]) + (calls - passed) * math.log(
            (1 - chances[1]) / (1 - chances[0])
        )

    def _chance(self, exact: int) -> float:
        if self.sigma == 0:
            return 1 - 1e-9 if exact <= 0 else 1e-9
        least = math.floor(-Z95 * self.sigma - exact)  # the noise is whole
        return min(max(float(ndtr((least + 0.5) / self.sigma)), 1e-9), 1 - 1e-9)


def attacked(sigma: float, games: int = PLAYED) -> Verdict:
    bench = Bench(sigma)
    hits, alarms = (sum(bench.attack(trained) for _ in range(games)) for trained in (1, 0))
    return Verdict(hits=hits, alarms=alarms, games=games)


@pytest.mark.guarantee("accounted-verdict")
def test_a_thousand_adaptive_verdicts_prove_less_than_they_cost(note: Note, record_property: Keep) -> None:
    """The noise is such that a thousand of them compose to epsilon 1."""
    sigma = calibrate(lambda scale: Repeated(DiscreteGaussian(scale), CALLS), CLAIMED)
    claim, found = Repeated(DiscreteGaussian(sigma), CALLS), attacked(sigma)
    assert epsilon(claim, CLAIMED.delta) == pytest.approx(1.0, abs=1e-3)
    assert not note("verdict: 1,000 adaptive calls", claim, found)
    assert found.proves(CLAIMED.delta) < 1
    record_property("reached", f"1,000 calls of epsilon 1 prove {found.proves(CLAIMED.delta):.2f}")


@pytest.mark.guarantee("accounted-verdict")
def test_a_twentieth_of_the_noise_is_convicted(note: Note) -> None:
    """The same attack: it is one that finds what there is."""
    sigma = calibrate(lambda scale: Repeated(DiscreteGaussian(scale), CALLS), CLAIMED)
    found = attacked(sigma / 20, games=100)
    assert note("verdict: a twentieth of the noise", Repeated(DiscreteGaussian(sigma), CALLS), found)
    assert found.proves(CLAIMED.delta) > 1


@pytest.mark.guarantee("accounted-verdict")
def test_exact_verdicts_prove_more(note: Note, record_property: Keep) -> None:
    found = attacked(0.0)
    assert note("verdict: 1,000 exact calls", Repeated(DiscreteGaussian(120.0), CALLS), found)
    assert found.proves(CLAIMED.delta) > 1
    record_property("reached", f"1,000 exact calls prove {found.proves(CLAIMED.delta):.2f}, all that so many games can")
