"""Intervals from replicates: one analysis made on each of them, combined by the rules for fully synthetic data.

A release that was made with replicates holds several tables, each drawn from another population that the noisy tables
leave plausible (docs/replicates.md). Whoever makes the same analysis on each of them has m estimates q_i with m
variances v_i, those of an ordinary sample of as many rows. Then (Raghunathan, Reiter, Rubin 2003, section 3)

    value    = mean(q)                      b = variance of the q_i between replicates, vbar = mean(v)
    variance = (1 + 1/m) b - vbar           degrees = (m - 1) (1 - vbar / ((1 + 1/m) b))^2

which hold for noise-aware replicates of private tables as well (Räisä, Jälkö, Kaski, Honkela 2023). ``vbar`` is taken
off because b contains the sampling of the replicates, which says nothing of the population.

Estimated from few replicates that difference may come out too small, or negative. It cannot be smaller than what the
rows that were trained on leave open without any noise, which is ``vbar`` times the rows of a replicate over these, and
what few replicates leave open, b/m; then the sum of both is the variance, with m - 1 degrees of freedom (compare Reiter
2002, who does so where it is negative).

How many rows a replicate has for each that was trained on hangs on the table's public size and on what was asked for.
The attestation of the replicates says both, and `rows_ratio` reads it there: there is no number that is right for all.

The rules need analyses that are about normal, such as means, shares, coefficients. Samples of one fitted model alone
carry neither the noise nor the parameters' uncertainty: intervals from them are too narrow, by any rule.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from synthgate.attestation import Attestation, Derived
from synthgate.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one replicate says: a number, and its variance as if the replicate were an ordinary sample."""

    value: float
    variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """What all ``replicates`` say together. ``variance`` is that of ``value``; ``degrees`` (of freedom) belong to it;
    ``between`` and ``within`` are b and vbar; ``floored`` says that the variance is the least that it can be."""

    value: float
    variance: float
    degrees: float
    between: float
    within: float
    replicates: int
    floored: bool

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """Both ends of an interval that covers the population's value with a chance of ``level``, by Student's t.

        Raises InvalidArgument for a level that is not between 0 and 1."""
        if not 0 < level < 1:
            raise InvalidArgument("the level of an interval lies between 0 and 1, for instance 0.9")
        half = _quantile((1 + level) / 2, self.degrees) * math.sqrt(self.variance)
        return self.value - half, self.value + half


def rows_ratio(attestation: Attestation) -> float:
    """The rows of a replicate over the rows that were trained on (their public number), for `combine`.

    Raises InvalidArgument for the attestation of anything but replicates."""
    origin = attestation.origin
    if not isinstance(origin, Derived) or not origin.derivation.replicates:
        raise InvalidArgument("this is no attestation of replicates; fetch that of the release that has them")
    return origin.derivation.rows / attestation.statement.sizes.train_rows


def combine(estimates: Iterable[Estimate], *, rows_ratio: float) -> Combined:
    """Combine the estimates of all replicates. ``rows_ratio``: rows of a replicate over rows trained on, as
    the function of that name reads it off the attestation of the replicates.

    Raises InvalidArgument for fewer than two estimates, and for numbers that are not finite or variances below zero.
    """
    given = list(estimates)
    m = len(given)
    if m < 2:
        raise InvalidArgument("combining takes the estimates of at least two replicates")
    if not all(math.isfinite(e.value) and math.isfinite(e.variance) and e.variance >= 0 for e in given):
        raise InvalidArgument("each estimate is a finite number with a variance of zero or more")
    if not (math.isfinite(rows_ratio) and rows_ratio > 0):
        raise InvalidArgument("rows_ratio is the rows of a replicate over the rows trained on, a positive number")
    value = math.fsum(e.value for e in given) / m
    between = math.fsum((e.value - value) ** 2 for e in given) / (m - 1)
    within = math.fsum(e.variance for e in given) / m
    spread = (1 + 1 / m) * between
    least = within * rows_ratio + between / m
    floored = spread - within < least
    degrees = float(m - 1) if floored else (m - 1) * (1 - within / spread) ** 2
    return Combined(
        value=value, variance=least if floored else spread - within, degrees=degrees, between=between, within=within,
        replicates=m, floored=floored,
    )  # fmt: skip


def _quantile(share: float, degrees: float) -> float:
    """The quantile of Student's t at ``share`` above a half, by bisection."""
    low, high = 0.0, 1.0
    while _upper(high, degrees) > 1 - share and high < 1e12:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _upper(middle, degrees) > 1 - share else (low, middle)
    return high


def _upper(t: float, degrees: float) -> float:
    """The chance that Student's t exceeds ``t`` >= 0: half the regularised incomplete beta function."""
    if t == 0:
        return 0.5
    x = degrees / (degrees + t * t)
    return 0.5 * _beta(degrees / 2, 0.5, x)


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by Lentz's continued fraction (Numerical Recipes, section 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - x)
    tiny, c, d = 1e-300, 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    found = d
    for i in range(1, 500):
        for numerator in (
            i * (b - i) * x / ((a + 2 * i - 1) * (a + 2 * i)),
            -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1)),
        ):
            d, c = 1 + numerator * d, 1 + numerator / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            found *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return math.exp(log_front) * found / a
