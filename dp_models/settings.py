"""Ranges of hyper-parameters: those that no plan can be made of are refused before anything is planned or charged."""

import math
from dataclasses import dataclass

from synthgate.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Range:
    """Finite numbers from ``least`` on and below ``below``; ``whole`` ones alone."""

    least: float = 0.0
    below: float = math.inf
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return self.least <= value < self.below

    def __str__(self) -> str:
        kind = "a whole number (int)" if self.whole else "a number"
        return f"{kind} of at least {self.least:g}" + (f" and below {self.below:g}" if self.below < math.inf else "")


COUNT = Range(1, below=2**31, whole=True)
NONE_OR_MORE = Range(0, below=2**31, whole=True)
POSITIVE = Range(1e-9, below=1e9)
SHARE = Range(1e-6, below=1)
DECAY = Range(below=1)


def check(engine: object, **ranges: Range) -> None:
    """Raises InvalidArgument for the first hyper-parameter of ``engine`` outside its range."""
    for name, allowed in ranges.items():
        if (value := getattr(engine, name)) not in allowed:
            raise InvalidArgument(f"{type(engine).__name__}: {name} must be {allowed}, not {value!r}")


def check_shares(engine: object, *names: str, whole: bool = False) -> None:
    """Raises InvalidArgument unless shares are in range and leave something of the budget; ``whole``: may use it up."""
    check(engine, **dict.fromkeys(names, Range(SHARE.least, below=math.nextafter(1, 2)) if whole else SHARE))
    total = math.fsum(getattr(engine, name) for name in names)
    if total > 1 or (total == 1 and not whole):
        raise InvalidArgument(
            f"{type(engine).__name__}: {', '.join(names)} are {total:g} of the budget together; they must be"
            + (" at most 1" if whole else " below 1, since later steps get the rest")
        )
