"""What a composition of events costs: their losses added on one bounded grid, near the epsilon that is asked for.

The losses of all events are added by one Fourier transform of the tilted distributions p(l) exp(t l): with t at the
saddle point of delta, the transform's rounding and its wrap-around stay small beside delta itself, however small that
is (the idea of Koskela, Jalko, Honkela 2020, with tilting as in large-deviation practice). Both are bounded and added
to delta, and the grid never has more than ``POINTS`` points: where it would, it is made coarser, which costs a little
more. Every figure is an upper bound.

Continuous Gaussians add up to one, and a discrete Gaussian of ``SMOOTH`` counts and more is priced as the continuous
one with two surcharges. Its chance of x is at most exp(1 / (8 sigma^2)) times the continuous chance of x +- 1/2, and
its loss at x at most sensitivity / (2 sigma^2) above the losses there, so

    delta_discrete(e) <= exp(sum of 1 / (8 sigma^2)) delta_continuous(e - sum of sensitivity / (2 sigma^2)).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dp_models.mechanisms.losses import LEFT_OUT, FloatArray, Losses, bounds, losses
from dp_models.mechanisms.renyi import divergence
from synthgate.events import DiscreteGaussian, DpEvent, Gaussian, PoissonGaussian

POINTS = 2**17
"""The most points that a grid has, of one event or of the composition."""
SMOOTH = 4096.0
_FINE, _COARSEST = 64, 2.0**-8
_TAIL = 1e-10
"""The chance, under the tilted distribution, that may lie on either side of the transform's window."""
_LARGEST_LOSS = 500.0
_SLIGHT, _SHARP = 1e-3, 40.0
"""The least tilt, and the largest from one point of the grid to the next, where all lies on the largest loss."""
_BLOCK = 256
_DEEPEST = 300.0
"""Chances are followed over this many factors of e."""

Part = tuple[DpEvent, int]


def epsilon_by_losses(leaves: Iterable[Part], delta: float) -> float:
    """The epsilon of the leaves, each as often as its count says, at ``delta``; infinity where a single event's losses
    are beyond the grid."""
    rest, signal, excess, loss = [], 0.0, 0.0, 0.0
    for leaf, count in sorted(leaves, key=repr):
        if isinstance(leaf, Gaussian) or (isinstance(leaf, DiscreteGaussian) and leaf.sigma >= SMOOTH):
            signal += count * divergence(leaf, 2)
            if isinstance(leaf, DiscreteGaussian):
                excess += count / (8 * leaf.sigma**2)
                loss += count * leaf.sensitivity / (2 * leaf.sigma**2)
        else:
            rest.append((leaf, count))
    delta *= math.exp(-excess)
    if not rest:
        return loss + gaussian_epsilon(math.sqrt(signal), delta)
    if signal:
        rest.append((Gaussian(1 / math.sqrt(signal)), 1))
    ways = (False, True) if any(isinstance(leaf, PoissonGaussian) for leaf, _ in rest) else (False,)
    return loss + max(_epsilon(rest, delta, added=added) for added in ways)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Gaussian queries of total signal ``mu`` (sensitivity over noise), exactly (Balle, Wang 2018, theorem 8)."""
    from scipy.optimize import brentq
    from scipy.special import log_ndtr

    def surplus(e: float) -> float:
        first, second = log_ndtr(mu / 2 - e / mu), e + log_ndtr(-mu / 2 - e / mu)
        return float(first + np.log(-np.expm1(min(second - first, -1e-300)))) - math.log(delta)

    high = mu**2 / 2 + mu * math.sqrt(2 * math.log(1 / delta)) + 1e-9
    return 0.0 if surplus(0.0) <= 0 else float(brentq(surplus, 0.0, high, xtol=1e-12)) + 1e-12


def interval(parts: Sequence[Part]) -> float:
    """How finely losses are cut: well below the typical loss of one event, a power of two."""
    typical = math.sqrt(math.fsum(count * divergence(leaf, 2) for leaf, count in parts))
    events = sum(count for _, count in parts)
    wanted = 2.0 ** math.floor(math.log2(min(max(typical, 1e-7) / (_FINE * math.sqrt(events)), _COARSEST)))
    for leaf, _ in parts:
        low, high = bounds(leaf)
        while (high - low) / wanted > POINTS - 4:
            wanted *= 2
    return wanted


def _epsilon(parts: Sequence[Part], delta: float, *, added: bool) -> float:
    left = delta - LEFT_OUT * sum(count for _, count in parts)
    if left <= 0 or any(max(map(abs, bounds(leaf))) > _LARGEST_LOSS for leaf, _ in parts):
        return math.inf
    step = interval(parts)
    while True:
        terms = tuple((losses(leaf, step, added=added), count) for leaf, count in parts)
        found = _Sum(terms, step).epsilon(left)
        if found is not None:
            return found
        step *= 2


@dataclass(frozen=True, slots=True)
class _Sum:
    """The sum of independent losses on one grid, each as often as its count says."""

    terms: tuple[tuple[Losses, int], ...]
    step: float

    def epsilon(self, delta: float) -> float | None:
        """The epsilon at ``delta``, or None where the window needs more than ``POINTS`` points."""
        tilt, bound = self._saddle(delta)
        if bound <= 0:
            return 0.0
        low, high = self._window(tilt)
        points = 2 ** math.ceil(math.log2((high - low) / self.step + 3))
        if points > POINTS:
            return None
        first = math.floor(low / self.step)
        return max(0.0, min(bound, self._solve(tilt, bound, first, self._tilted_sum(tilt, first, points))))

    def _log_moment(self, t: float) -> float:
        """ln E exp(t loss)."""
        return sum(count * _log_moment(term, t * self.step) for term, count in self.terms)

    def _saddle(self, delta: float) -> tuple[float, float]:
        """The tilt that says most about ``delta``, and the epsilon that it alone proves (`_gain`)."""
        from scipy.optimize import minimize_scalar

        def bound(log_t: float) -> float:
            t = math.exp(log_t)
            return (self._log_moment(t) + _gain(t) - math.log(delta)) / t

        span = math.log(_SLIGHT), math.log(_SHARP / self.step)
        found = minimize_scalar(bound, bounds=span, method="bounded", options={"xatol": 0.05})
        return math.exp(found.x), float(found.fun)

    def _window(self, tilt: float) -> tuple[float, float]:
        """Losses outside of which the tilted sum lies with a chance of at most ``_TAIL`` a side (Chernoff)."""
        here, rare = self._log_moment(tilt), -math.log(_TAIL)
        spread = math.sqrt(sum(count * _variance(term, self.step, tilt) for term, count in self.terms))
        high = sum(count * (term.start + len(term.chances) - 1) for term, count in self.terms) * self.step
        low = sum(count * term.start for term, count in self.terms) * self.step
        for factor in 2.0 ** -np.arange(10):
            s = factor * math.sqrt(2 * rare) / max(spread, self.step)
            high = min(high, (self._log_moment(tilt + s) - here + rare) / s)
            low = max(low, -(self._log_moment(tilt - s) - here + rare) / s)
        return low, max(low, high)

    def _tilted_sum(self, tilt: float, first: int, points: int) -> FloatArray:
        """The chances of the tilted sum at ``(first + i) * step``."""
        spectrum = np.ones(points // 2 + 1, dtype=np.complex128)
        for term, count in self.terms:
            index = np.arange(len(term.chances))
            folded = np.bincount(
                (term.start + index) % points, weights=_tilted(term, self.step, tilt), minlength=points
            )
            spectrum *= np.fft.rfft(folded) ** count
        return np.roll(np.maximum(np.fft.irfft(spectrum, points), 0.0), -(first % points))

    def _solve(self, tilt: float, bound: float, first: int, chances: FloatArray) -> float:
        """The least e with E max(0, 1 - exp(e - loss)) + what the transform may have lost <= delta.

        All in units of delta, which ``bound`` carries: exp(ln moment - tilt e + gain) = delta exp(tilt (bound - e)).
        """
        points, events = len(chances), sum(count for _, count in self.terms)
        lost = _TAIL + 4 * (events + 2) * points * math.log2(points) * np.finfo(np.float64).eps
        at = (first + np.arange(points)) * self.step
        asked = at >= max(-self.step, bound - _DEEPEST / tilt)
        at, chances = at[asked], chances[asked]
        if not len(at):
            return math.inf
        plain = np.exp(tilt * (bound - at) - _gain(tilt)) * chances
        above = at - at[0]
        other = np.cumsum((plain * np.exp(-above))[::-1])[::-1]
        plain = np.cumsum(plain[::-1])[::-1]
        missing = lost * np.exp(tilt * (bound - at))
        small = np.flatnonzero(plain - np.exp(np.minimum(above, _DEEPEST)) * other + missing <= 1.0)
        if not len(small):
            return math.inf
        i = int(small[0])
        if i == 0 or missing[i - 1] >= 1.0 or plain[i] + missing[i - 1] <= 1.0 or other[i] <= 0.0:
            return float(at[i])
        between = at[0] + math.log((plain[i] + missing[i - 1] - 1.0) / other[i])
        return float(np.clip(between, at[i - 1], at[i])) + 1e-12


def _gain(t: float) -> float:
    """ln of the largest (1 - exp(-y)) exp(-t y), what a loss y above epsilon adds at tilt t: delta <= exp(ln moment -
    t epsilon + gain), as Canonne, Kamath, Steinke 2020, proposition 12."""
    return -t * math.log1p(1 / t) - math.log1p(t)


def _log_moment(term: Losses, x: float) -> float:
    """ln E exp(x loss / step), from the end that weighs most; block by block, for few exponentials."""
    chances = term.chances[::-1] if x > 0 else term.chances
    blocks = np.zeros((-(-len(chances) // _BLOCK), _BLOCK))
    blocks.ravel()[: len(chances)] = chances
    within = blocks @ np.exp(-abs(x) * np.arange(_BLOCK))
    mean = float(np.exp(-abs(x) * _BLOCK * np.arange(len(blocks))) @ within)
    return math.log(mean) + x * (term.start + (len(chances) - 1 if x > 0 else 0))


def _tilted(term: Losses, step: float, tilt: float) -> FloatArray:
    ref = len(term.chances) - 1 if tilt > 0 else 0
    weights = term.chances * np.exp(tilt * step * (np.arange(len(term.chances)) - ref))
    return np.asarray(weights / weights.sum())


def _variance(term: Losses, step: float, tilt: float) -> float:
    chances, at = _tilted(term, step, tilt), np.arange(len(term.chances)) * step
    return float(chances @ (at - chances @ at) ** 2)
