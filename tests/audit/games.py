"""White-box distinguishing games: who knows two neighbouring tables and sees every output of every mechanism guesses
which of them was fitted. No guess may be better than the claim allows.

A game is played on a fixed pair of tables, one unit apart. The attacker's evidence is the likelihood ratio of the whole
transcript *at the claimed noise*: the fit is run again on the other table with its outputs dictated (`Dictated`), which
shows the counts and scores that the mechanisms would have had there. That is the strongest evidence where the claim is
honest, and strong enough where it is not.

The verdict is a theorem, not a model: whatever the evidence, an (e, d)-private fit obeys
P(guess second | second) <= exp(e) P(guess second | first) + d, at every point (e, d) of the claimed event. A claim is
broken where Clopper-Pearson bounds of both probabilities, at a threshold fixed beforehand, contradict one of them. With
an honest claim that happens with a chance of at most 2 `ALPHA` a game and attack: the bound of one probability or that
of the other has to be wrong. The default run takes fewer than 75 verdicts on honest mechanisms that can alarm at all,
so that a false alarm in a whole run is rarer than 75 * 2 * 5e-6 = 7.5e-4.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from scipy.stats import beta

from dp_models.base import FloatArray, IntArray
from dp_models.mechanisms.accounting import epsilon
from dp_models.mechanisms.noise import SystemNoise
from synthgate.events import DpEvent

ALPHA = 5e-6
_DELTAS = (1e-3, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Centre = FloatArray | IntArray
Private = TypeVar("Private")
Fit = Callable[[Private, SystemNoise], object]
"""An engine's fit, or one mechanism. Everything random goes through the noise that it is given."""


class Foreign(Exception):
    """A transcript that the table at hand could never have given: its outputs have another number or shape."""


@dataclass(frozen=True)
class Draw:
    """One output, the counts, scores or gradients that it was drawn around, and what is claimed of its noise.

    ``rate`` is the chance with which the unit that only the second table holds took part.
    """

    centre: Centre
    output: Centre | int
    claimed: float
    sensitivity: float
    rate: float = 1.0

    def log_likelihood(self, centre: Centre) -> float:
        """Of the output, up to a constant, had it been drawn around another centre."""
        if isinstance(self.output, np.ndarray):
            return -float(((self.output - centre) ** 2).sum()) / (2 * self.claimed**2)
        weights = self.claimed * np.asarray(centre) / (2 * self.sensitivity)
        return float(weights[self.output] - np.logaddexp.reduce(weights))


class Recorded(SystemNoise):
    """System noise that writes down what it was asked and what it gave. Planted bugs override `table`."""

    secretive: ClassVar[bool] = False
    """Whether a draw's centre depends on a secret coin, so that only a replay tells what it would have been."""

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

    def dictated(self) -> "Dictated":
        """What replays this transcript."""
        return Dictated(self.draws)


class Dictated(SystemNoise):
    """Gives the outputs of a transcript again, and writes down what they would have been drawn around."""

    def __init__(self, draws: Sequence[Draw]) -> None:
        super().__init__()
        self.left, self.centres = list(draws), list[Centre]()

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        output = self.next(counts)
        assert isinstance(output, np.ndarray)
        return np.array(output, dtype=np.int64)

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        output = self.next(scores)
        assert isinstance(output, int)
        return output

    def next(self, centre: Centre) -> Centre | int:
        """The transcript's next output, for a draw around ``centre``. Raises Foreign where there is none like it."""
        if not self.left or self.left[0].centre.shape != centre.shape:
            raise Foreign
        self.centres.append(centre.copy())
        return self.left.pop(0).output


@dataclass(frozen=True)
class Transcript:
    """All draws of a fit, and what they would have been drawn around on the first and on the second table."""

    draws: Sequence[Draw]
    centres: tuple[Sequence[Centre], Sequence[Centre]]


def likelihood(transcript: Transcript) -> float:
    """The log likelihood ratio of the second table against the first."""
    first, second = transcript.centres
    return math.fsum(_gain(d, a, b) for d, a, b in zip(transcript.draws, first, second, strict=True))


def _gain(draw: Draw, first: Centre, second: Centre) -> float:
    return float(mixed(draw.log_likelihood(second) - draw.log_likelihood(first), draw.rate))


def mixed(gains: float | FloatArray, rate: float) -> FloatArray:
    """Log likelihood ratios of outputs in which the unit that makes the difference takes part with chance ``rate``,
    from those in which it does."""
    return np.asarray(gains if rate == 1 else np.logaddexp(math.log1p(-rate), math.log(rate) + gains))


def coincidences(transcript: Transcript) -> float:
    """How many more outputs share their very noise with another, or have none, if the second table was fitted than if
    the first was."""
    distinct = []
    for centres in transcript.centres:
        drawn = zip(transcript.draws, centres, strict=True)
        noise = [np.round(d.output - centre, 2) + 0.0 for d, centre in drawn if isinstance(d.output, np.ndarray)]
        distinct.append(len({tuple(table.ravel().tolist()) for table in noise if table.any()}))
    return float(distinct[0] - distinct[1])


def spread(transcript: Transcript) -> float:
    """Whether gradients have half of the claimed noise rather than all of it, as when they are divided by twice the
    public number: half is likelier where the mean square is below (2 ln 2) / 3 of what is claimed."""
    drawn = zip(transcript.draws, transcript.centres[0], strict=True)
    noise = [(d.output - centre).ravel() / d.claimed for d, centre in drawn if _is_gradient(d)]
    return 2 * math.log(2) / 3 - float(np.mean(np.concatenate(noise) ** 2)) if noise else 0.0


def _is_gradient(draw: Draw) -> bool:
    return isinstance(draw.output, np.ndarray) and draw.output.dtype == np.float64


ATTACKS: dict[str, Callable[[Transcript], float]] = {
    "likelihood": likelihood,
    "coincidences": coincidences,
    "spread": spread,
}


@dataclass(frozen=True)
class Verdict:
    """How often the attacker said "the second table": ``hits`` on the second, ``alarms`` on the first."""

    hits: int
    alarms: int
    games: int

    def breaks(self, claim: DpEvent) -> bool:
        """Whether the claim is refuted with confidence 1 - 2 `ALPHA`."""
        return any(self.proves(d) > epsilon(claim, d) for d in _DELTAS)

    def proves(self, delta: float) -> float:
        """The epsilon that the fit exceeds at ``delta``, with the same confidence; 0 where nothing is shown."""
        found = 0.0
        for often, seldom in ((self.hits, self.alarms), (self.games - self.alarms, self.games - self.hits)):
            least, most = _at_least(often, self.games), 1 - _at_least(self.games - seldom, self.games)
            found = max(found, math.log((least - delta) / most) if least > delta else 0.0)
        return found

    def closest(self, claim: DpEvent) -> tuple[float, float, float]:
        """Delta, the claimed epsilon there and the proven one, where the two come closest, or lie furthest apart."""
        points = [(d, epsilon(claim, d), self.proves(d)) for d in _DELTAS]
        return max(points, key=lambda point: point[2] / max(point[1], 1e-3))


def _at_least(successes: int, games: int) -> float:
    """A one-sided lower bound of a probability (Clopper, Pearson 1934)."""
    return float(beta.ppf(ALPHA, successes, games - successes + 1)) if successes else 0.0


def play(
    fit: Fit[Private],
    first: Private,
    second: Private,
    *,
    games: int,
    noise: Callable[[], Recorded] = Recorded,
) -> dict[str, Verdict]:
    """``games`` fits of each table, judged by every attack at the threshold 0."""
    said = {name: [0, 0] for name in ATTACKS}
    for played in (0, 1):
        for _ in range(games):
            source = noise()
            fit((first, second)[played], source)
            here = [d.centre for d in source.draws]
            try:
                centres = [
                    here if table == played and not source.secretive else _replayed(fit, rows, source)
                    for table, rows in enumerate((first, second))
                ]
            except Foreign:
                said["likelihood"][played] += played
                continue
            transcript = Transcript(source.draws, (centres[0], centres[1]))
            for name, attack in ATTACKS.items():
                said[name][played] += attack(transcript) > 0
    return {name: Verdict(hits=s[1], alarms=s[0], games=games) for name, s in said.items()}


def told_apart(fit: Fit[Private], first: Private, second: Private, *, noise: Callable[[], Recorded] = Recorded) -> bool:
    """Whether a fit's result, compared by ``==``, depends on which of two tables gave it, all outputs being the same:
    then something gets through beside the mechanisms."""
    source = noise()
    made = fit(first, source)
    return made != fit(second, source.dictated())


def _replayed(fit: Fit[Private], rows: Private, source: Recorded) -> list[Centre]:
    """What the draws would have been made around, had ``rows`` been fitted. Raises Foreign."""
    there = source.dictated()
    fit(rows, there)
    if there.left:
        raise Foreign
    return there.centres
