"""The accounted verdict: one noisy margin decides all rules of a policy, inside the epsilon that is asked for.

For each rule there is a distance T to its bound, a whole number in privacy units, above 0 where the rule is broken.
With the released sample fixed, one unit moves each T by at most 1; so does it move their largest, the margin M, however
many rules there are. The release passes where

    M + N + 1.645 sigma <= 0,    N discrete Gaussian noise of scale sigma

which is charged whether it passes or not. Everything but what is counted among the private rows is a constant that
follows from public facts: it is here, for `admit` and for the evaluation alike.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from synthgate.dataset import PublicSizes
from synthgate.policy import COPIES, Rule

SHARE = 0.05
"""The part of a plan's budget, as zero-concentrated rho, that buys the verdict."""

Z95 = 1.645
"""One-sided 95 %."""

MAX_TARGETS = 4_000
"""Units a side that one attack is tried on, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyMargin:
    """What an accounted verdict decided by: the margin with its noise, in privacy units, and the noise's scale."""

    value: int
    sigma: float

    @property
    def pessimistic(self) -> float:
        """The end that decides: the release passes where it is at most 0."""
        return self.value + Z95 * self.sigma


def copy_targets(sizes: PublicSizes) -> int:
    """Units of either side that are looked up in the sample: the holdout's, less three deviations of its true number,
    so that both sides have as many."""
    return max(sizes.holdout_units - math.ceil(3 * math.sqrt(sizes.holdout_units)), 1)


def attack_targets(sizes: PublicSizes) -> int:
    """Units of either side that an attack is tried on."""
    return min(MAX_TARGETS, copy_targets(sizes))


def slack(targets: int) -> float:
    """What chance adds to the difference of two counts among so many units each, one-sided 95 %, at most. A constant: a
    slack that followed the counts would move with a unit too."""
    return Z95 * math.sqrt(targets / 2)


def allowed(rule: Rule, sizes: PublicSizes) -> int:
    """How many more trained than control units an attack may be right about: ``t m - slack``, cut to a whole number."""
    targets = attack_targets(sizes)
    return math.floor(_bound(rule) * targets - Fraction(slack(targets)))


def allowed_copies(rule: Rule, sizes: PublicSizes, sigma: float) -> int:
    """How many more trained than control units may be found in the sample: never fewer than the noise hides."""
    return math.floor(max(_bound(rule) * copy_targets(sizes), Fraction(2 * Z95 * sigma)))


def convictable(rules: tuple[Rule, ...], sizes: PublicSizes, sigma: float) -> str:
    """Which share of copied training units the verdict can convict, in words; empty without a rule on copies."""
    shares = [allowed_copies(rule, sizes, sigma) / copy_targets(sizes) for rule in rules if rule.score == COPIES]
    return f"copies are refused from a share of {shares[0]:.2g} of the training units on" if shares else ""


def allowed_distance(rule: Rule, sizes: PublicSizes) -> Fraction:
    """A bound on total variation in privacy units, ``(2 n / k) t``."""
    return Fraction(2 * sizes.train_rows, sizes.max_rows) * _bound(rule)


def beyond(rules: tuple[Rule, ...], sizes: PublicSizes, sigma: float) -> Iterator[str]:
    """Which rules could not be passed with confidence whatever the table, and what would help. Public facts alone."""
    targets = attack_targets(sizes)
    needed = 2 * slack(targets) + 2 * Z95 * sigma
    for rule in rules:
        if rule.is_attack and _bound(rule) * targets < needed:
            yield (
                f"rule {rule.name} cannot be passed by an accounted verdict: {targets} targets a side with noise of "
                f"{sigma:.1f} units tell {needed / targets:.3f} at best; ask for a larger epsilon, or have the table "
                "registered with more units, a higher bound, or `verdict: exact` in its policy"
            )


def _bound(rule: Rule) -> Fraction:
    return Fraction(str(rule.at_most))
