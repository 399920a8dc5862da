"""White-box distinguishing games: who knows two neighbouring tables and sees every output of every mechanism guesses
which of them was fitted. No guess may be better than the claim allows.

A game is played on a fixed pair of tables, one unit apart. The attacker's evidence is the likelihood ratio of the whole
transcript *at the claimed noise*: the fit is run again on the other table with its outputs dictated (`Dictated`), which
shows the counts and scores that the mechanisms would have had there. That is the strongest evidence where the claim is
honest, and strong enough where it is not.

The verdict is a theorem, not a model: whatever the evidence, an (e, d)-private fit obeys
P(guess second | second) <= exp(e) P(guess second | first) + d, at every point (e, d) of the claimed event. A claim is
broken where Clopper-Pearson bounds of both probabilities, at a threshold fixed beforehand, contradict one of them. With
an honest claim that happens with a chance of at most 2 `ALPHA` a game and attack.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import beta

from dp_models.base import FloatArray, IntArray
from dp_models.mechanisms.accounting import epsilon
from dp_models.mechanisms.noise import SystemNoise
from synthgate.events import DpEvent

ALPHA = 1e-4
_DELTAS = (1e-3, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Centre = FloatArray | IntArray
Fit = Callable[[pa.Table, SystemNoise], object]
"""An engine's fit. Everything random goes through the noise that it is given."""


@dataclass(frozen=True)
class Draw:
    """One output, the counts or scores that it was drawn around, and what is claimed of its noise."""

    centre: Centre
    output: IntArray | int
    claimed: float
    sensitivity: float

    def log_likelihood(self, centre: Centre) -> float:
        """Of the output, up to a constant, had it been drawn around another centre."""
        if isinstance(self.output, np.ndarray):
            return -float(((self.output - centre) ** 2).sum()) / (2 * self.claimed**2)
        weights = self.claimed * np.asarray(centre) / (2 * self.sensitivity)
        return float(weights[self.output] - np.logaddexp.reduce(weights))


class Recorded(SystemNoise):
    """System noise that writes down what it was asked and what it gave. Planted bugs override `table`."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[Draw] = []

    def table(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        """The counts with noise."""
        return super().discrete_gaussian(counts, sigma=sigma, sensitivity=sensitivity)

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        noisy = self.table(counts, sigma=sigma, sensitivity=sensitivity)
        self.draws.append(Draw(counts.copy(), noisy, sigma, sensitivity))
        return noisy.copy()

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        chosen = super().exponential(scores, epsilon=epsilon, sensitivity=sensitivity)
        self.draws.append(Draw(scores.copy(), chosen, epsilon, sensitivity))
        return chosen


class Dictated(SystemNoise):
    """Gives the outputs of a transcript again, and writes down what they would have been drawn around."""

    def __init__(self, draws: Sequence[Draw]) -> None:
        super().__init__()
        self.left, self.centres = list(draws), list[Centre]()

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        self.centres.append(counts.copy())
        output = self.left.pop(0).output
        assert isinstance(output, np.ndarray)
        return output.copy()

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        self.centres.append(scores.copy())
        output = self.left.pop(0).output
        assert isinstance(output, int)
        return output


@dataclass(frozen=True)
class Transcript:
    """All draws of a fit, and what they would have been drawn around on the first and on the second table."""

    draws: Sequence[Draw]
    centres: tuple[Sequence[Centre], Sequence[Centre]]


def likelihood(transcript: Transcript) -> float:
    """The log likelihood ratio of the second table against the first."""
    first, second = transcript.centres
    gains = (d.log_likelihood(b) - d.log_likelihood(a) for d, a, b in zip(transcript.draws, first, second, strict=True))
    return math.fsum(gains)


def coincidences(transcript: Transcript) -> float:
    """How many more tables share their very noise with another if the second table was fitted than if the first was."""
    distinct = []
    for centres in transcript.centres:
        drawn = zip(transcript.draws, centres, strict=True)
        noise = [d.output - centre for d, centre in drawn if isinstance(d.output, np.ndarray)]
        distinct.append(len({tuple(table.ravel().tolist()) for table in noise}))
    return float(distinct[0] - distinct[1])


ATTACKS: dict[str, Callable[[Transcript], float]] = {"likelihood": likelihood, "coincidences": coincidences}


@dataclass(frozen=True)
class Verdict:
    """How often the attacker said "the second table": ``hits`` on the second, ``alarms`` on the first."""

    hits: int
    alarms: int
    games: int

    def breaks(self, claim: DpEvent) -> bool:
        """Whether the claim is refuted with confidence 1 - 2 `ALPHA`."""
        points = [(math.exp(min(epsilon(claim, d), 700.0)), d) for d in _DELTAS]
        found = False
        for often, seldom in ((self.hits, self.alarms), (self.games - self.alarms, self.games - self.hits)):
            least, most = _at_least(often, self.games), 1 - _at_least(self.games - seldom, self.games)
            found = found or any(least > factor * most + d for factor, d in points)
        return found


def _at_least(successes: int, games: int) -> float:
    """A one-sided lower bound of a probability (Clopper, Pearson 1934)."""
    return float(beta.ppf(ALPHA, successes, games - successes + 1)) if successes else 0.0


def play(
    fit: Fit, first: pa.Table, second: pa.Table, *, games: int, noise: Callable[[], Recorded] = Recorded
) -> dict[str, Verdict]:
    """``games`` fits of each table, judged by every attack at the threshold 0."""
    said = {name: [0, 0] for name in ATTACKS}
    for played, (mine, other) in enumerate(((first, second), (second, first))):
        for _ in range(games):
            source = noise()
            fit(mine, source)
            there = Dictated(source.draws)
            fit(other, there)
            here = [d.centre for d in source.draws]
            transcript = Transcript(source.draws, (there.centres, here) if played else (here, there.centres))
            for name, attack in ATTACKS.items():
                said[name][played] += attack(transcript) > 0
    return {name: Verdict(hits=s[1], alarms=s[0], games=games) for name, s in said.items()}
