"""Intervals for rates and for differences of rates. Pure functions; every end is one-sided at the given ``z``.

With ``z = ONE_SIDED`` each end alone holds with 95 %; with ``z = 1.959964`` the pair is the usual two-sided 95 %.

- E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
- R. G. Newcombe, Interval estimation for the difference between independent proportions: comparison of eleven
  methods, Statistics in Medicine 17:873-890 (1998), method 10.
- R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired data,
  Statistics in Medicine 17:2635-2650 (1998), method 10.
"""

from math import sqrt

ONE_SIDED = 1.6448536269514722
"""The 0.95 quantile of the standard normal distribution."""

Interval = tuple[float, float]


def wilson(successes: int, trials: int, *, z: float = ONE_SIDED) -> Interval:
    """Wilson's score interval of a rate, ends in [0, 1]; without a trial it is (0, 1)."""
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    centre = rate + z * z / (2 * trials)
    spread = z * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if successes == trials else min(1.0, (centre + spread) / scale)
    return low, high


def independent_difference(first: int, second: int, trials: tuple[int, int], *, z: float = ONE_SIDED) -> Interval:
    """Newcombe's method 10 for ``first/trials[0] - second/trials[1]``, two independent rates."""
    if 0 in trials:
        return -1.0, 1.0
    return _recovered(first, second, trials, z=z, correlation=0.0, scale=1.0)


def paired_difference(both: int, first: int, second: int, neither: int, *, z: float = ONE_SIDED) -> Interval:
    """Newcombe's method 10 for two shares of the same rows.

    ``both``, ``first`` (alone), ``second`` (alone) and ``neither`` are the four cells; the difference is
    ``(first - second) / rows``. The correlation of the two shares narrows the interval (with Newcombe's continuity
    correction where it is positive).
    """
    rows = both + first + second + neither
    if rows == 0:
        return -1.0, 1.0
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    cross = both * neither - first * second
    if cross > 0:
        cross = max(cross - rows / 2, 0)  # type: ignore[assignment]
    correlation = cross / sqrt(product) if product else 0.0
    return _recovered(both + first, both + second, (rows, rows), z=z, correlation=correlation, scale=1.0)


def scaled_difference(first: int, second: int, rows: int, *, scale: float, z: float = ONE_SIDED) -> Interval:
    """The same for ``first/rows - scale * second/rows``, taken as uncorrelated (wider where they are correlated)."""
    if rows == 0:
        return -scale, 1.0
    return _recovered(first, second, (rows, rows), z=z, correlation=0.0, scale=scale)


def _recovered(
    first: int, second: int, trials: tuple[int, int], *, z: float, correlation: float, scale: float
) -> Interval:
    """Recover the variance of a difference from the Wilson ends of its two rates (Newcombe's square-and-add)."""
    rate1, rate2 = first / trials[0], second / trials[1]
    low1, high1 = wilson(first, trials[0], z=z)
    low2, high2 = wilson(second, trials[1], z=z)
    difference = rate1 - scale * rate2
    down1, up1, down2, up2 = rate1 - low1, high1 - rate1, scale * (rate2 - low2), scale * (high2 - rate2)
    below = sqrt(max(0.0, down1**2 - 2 * correlation * down1 * up2 + up2**2))
    above = sqrt(max(0.0, up1**2 - 2 * correlation * up1 * down2 + down2**2))
    return difference - below, difference + above
