"""Small drawings as inline SVG by hand: rectangles and lines, no text, no id, no style.

What they say in words stands beside them in the page, where it wraps, can be read aloud and follows the reader's size
of type. Each stretches to the width that it is given.
"""

import math
from collections.abc import Sequence

from markupsafe import Markup

REAL, SAMPLE = "#7b8794", "#0b7a75"
INK, TRACK, BAD, NEUTRAL = "#1f2933", "#e4e7eb", "#b42318", "#52606d"
STATES = {"good": SAMPLE, "bad": BAD, "none": NEUTRAL}
WIDE = 1_000
FARTHEST = 1e9
"""What a drawing reaches to; what lies beyond is drawn at its end."""


def _svg(width: int, height: int, shapes: Sequence[str], *, kind: str) -> Markup:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" viewBox="0 0 {width} {height}"'
    return Markup(f'{head} preserveAspectRatio="none" aria-hidden="true">{"".join(shapes)}</svg>')  # noqa: S704  numbers alone


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.0):.1f}" height="{max(height, 0.0):.1f}" fill="{fill}"/>'
    )


def scale(numbers: Sequence[float | None], *, least: float, most: float) -> tuple[float, float]:
    """Two ends that hold all numbers, and at least ``least`` to ``most``, with a margin."""
    finite = [min(max(n, -FARTHEST), FARTHEST) for n in numbers if n is not None and math.isfinite(n)]
    low, high = min([least, *finite]), max([most, *finite])
    margin = 0.02 * (high - low)
    return low - margin, high + margin


def interval(
    ends: tuple[float | None, float | None, float | None], limit: float | None, state: str, axis: tuple[float, float]
) -> Markup:
    """A bar from low to high with a dot at the value, 0 as a thin line, the limit as a thick one."""
    low, value, high = ends

    def place(number: float) -> float:
        return WIDE * (min(max(number, axis[0]), axis[1]) - axis[0]) / (axis[1] - axis[0])

    shapes = [_rect(0, 15, WIDE, 2, TRACK)]
    if axis[0] < 0 < axis[1]:
        shapes.append(_rect(place(0.0) - 1, 2, 2, 28, "#9aa5b1"))
    if low is not None and value is not None and high is not None:
        colour = STATES.get(state, NEUTRAL)
        shapes.append(_rect(place(low), 12, max(place(high) - place(low), 3), 8, colour))
        shapes.append(_rect(place(value) - 4, 7, 8, 18, colour))
    if limit is not None:
        shapes.append(_rect(place(limit) - 2.5, 1, 5, 30, INK))
    return _svg(WIDE, 32, shapes, kind="interval")


def pair(train: float, sample: float, most: float) -> Markup:
    """Two bars, one above the other: training rows and sample, as shares of ``most``."""
    unit = WIDE / most if most > 0 else 0.0
    return _svg(
        WIDE, 20, [_rect(0, 1, train * unit, 8, REAL), _rect(0, 11, sample * unit, 8, SAMPLE)], kind="pair"
    )  # fmt: skip


def histogram(train: Sequence[float], sample: Sequence[float]) -> Markup:
    """Bins side by side, each with two bars: training rows and sample."""
    most = max([*train, *sample, 0.0]) or 1.0
    shapes = [_rect(0, 99, 10 * len(train), 1, "#9aa5b1")]
    for i, (left, right) in enumerate(zip(train, sample, strict=True)):
        shapes.append(_rect(10 * i + 1, 99 - 97 * left / most, 4, 97 * left / most, REAL))
        shapes.append(_rect(10 * i + 5, 99 - 97 * right / most, 4, 97 * right / most, SAMPLE))
    return _svg(10 * max(len(train), 1), 100, shapes, kind="histogram")


def single(share: float, colour: str) -> Markup:
    """One bar, as a share of its track."""
    shapes = [_rect(0, 0, WIDE, 14, TRACK), _rect(0, 0, WIDE * min(max(share, 0.0), 1.0), 14, colour)]
    return _svg(WIDE, 14, shapes, kind="single")
