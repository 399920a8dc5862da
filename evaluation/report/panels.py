"""What the page draws of a document: the intervals of the attacks, a panel for each column, two bars of prediction.

A metric's details may hold more than is drawn here; what lacks the fields that a drawing needs is left out of it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from evaluation.report import bars
from evaluation.report.attacks import excess_like
from evaluation.report.document import Attack
from evaluation.report.plots import short
from evaluation.report.words import number

MAX_PANELS = 60
WHAT = ("target", "learner", "measure")
"""What a pair of models is named by."""
FEW = 8
"""Up to as many bins are rows with a label each; more are a histogram with its ends named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One attack with its interval; ``axis`` says what the drawing's ends are."""

    attack: Attack
    picture: Markup
    axis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin of a column: its label, both shares as text, and two bars."""

    label: str
    train: str
    sample: str
    picture: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One column: either ``bins``, or a histogram from ``first`` to ``last``. ``rest`` is the share of the sample that
    has values of which nothing is shown, where there are such."""

    column: str
    distance: str
    rest: str = ""
    bins: tuple[Bin, ...] = ()
    histogram: Markup | None = None
    first: str = ""
    last: str = ""
    most: str = ""


def intervals(attacks: Sequence[Attack]) -> tuple[Drawn, ...]:
    """All excesses on one axis; other measures of risk on one from 0 to 1 of their own."""
    alike = [a for a in attacks if excess_like(a.name)]
    common = bars.scale([n for a in alike for n in (a.low, a.high, a.limit)], least=-0.02, most=0.12)
    found = []
    for attack in attacks:
        if excess_like(attack.name):
            axis = common
        else:
            axis = bars.scale([attack.low, attack.high, attack.limit], least=0.0, most=1.0)
        ends = (attack.low, attack.value, attack.high)
        picture = bars.interval(ends, attack.limit, attack.line.state, axis)
        found.append(Drawn(attack=attack, picture=picture, axis=f"{_number(axis[0])} to {_number(axis[1])}"))
    return tuple(found)


def panels(shares: Sequence[Mapping[str, Any]]) -> tuple[Panel, ...]:
    """A panel for each column of which something may be shown, at most 60."""
    return tuple(_panels([s for s in shares if s.get("labels")][:MAX_PANELS]))


def _panels(shares: Sequence[Mapping[str, Any]]) -> Iterator[Panel]:
    for share in shares:
        labels, train, sample = share["labels"], share["train"], share["sample"]
        distance = _percent_of(share.get("distance"))
        most = max([*train, *sample])
        rest = _percent(left) if (left := share.get("held_back")) else ""
        if len(labels) > FEW:
            yield Panel(
                column=short(share["column"], 60), distance=distance, rest=rest,
                histogram=bars.histogram(train, sample),
                first=short(labels[0], 28), last=short(labels[-1], 28), most=_percent(most),
            )  # fmt: skip
            continue
        rows = (
            Bin(label=short(label, 44), train=_percent(a), sample=_percent(b), picture=bars.pair(a, b, most))
            for label, a, b in zip(labels, train, sample, strict=True)
        )
        yield Panel(column=short(share["column"], 60), distance=distance, rest=rest, bins=tuple(rows))


def prediction(found: Mapping[str, Any]) -> tuple[Bin, ...]:
    """Two bars: a model learned from the sample, and one learned from training rows."""
    if not all(
        isinstance(found.get(side), (int, float)) and math.isfinite(found[side]) for side in ("synthetic", "real")
    ):
        return ()
    sides = (
        ("learned from training rows", found["real"], bars.REAL),
        ("learned from the sample", found["synthetic"], bars.SAMPLE),
    )
    return tuple(
        Bin(label=label, train="", sample=f"{value:.3f}", picture=bars.single(value, colour))
        for label, value, colour in sides
    )


def models(found: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """For every declared target and way of learning: target, learner, measure, and how well models do that were learned
    from training rows and from the sample."""
    sides = ("real", "synthetic")
    told = [m for m in found.get("models", ()) if isinstance(m, Mapping) and {*sides, *WHAT} <= set(m)]
    return tuple((*(short(str(m[name]), 60) for name in WHAT), *(_quality(m[side]) for side in sides)) for m in told)


def _quality(value: float | None) -> str:
    return number(math.nan if value is None else value)


def _percent_of(distance: float | None) -> str:
    return "–" if distance is None else f"{distance:.1%}".replace("%", " %")


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.01 else f"{share:.0%}".replace("%", " %")


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
