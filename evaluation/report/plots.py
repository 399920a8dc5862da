"""The heat map of a report. It takes plain values and gives inline SVG, or nothing where there is nothing to draw."""

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from evaluation.report.svg import SETTINGS, inline
from evaluation.report.words import inert

MAX_HEATMAP = 40


def short(name: str, most: int = 22) -> str:
    """A name that fits, with nothing in it that could reorder or hide what surrounds it."""
    name = inert(name)
    return name if len(name) <= most else name[: most - 1] + "…"


def pairs(distances: Sequence[tuple[str, str, float]], names: Sequence[str]) -> str:
    """Total variation of every pair of columns as a heat map of at most 40 columns."""
    names = list(names)[:MAX_HEATMAP]
    places = {name: i for i, name in enumerate(names)}
    if len(names) < 2 or not distances:
        return ""
    grid = np.full((len(names), len(names)), np.nan)
    for a, b, distance in distances:
        if a in places and b in places:
            grid[max(places[a], places[b]), min(places[a], places[b])] = distance
    side = min(8.6, 2.4 + 0.46 * len(names))
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(side, side * 0.8), layout="constrained")
        axes = figure.subplots()
        most = max(0.2, float(np.nanmax(grid)) if np.isfinite(grid).any() else 0.2)
        image = axes.pcolormesh(grid[1:, :-1], cmap="YlOrBr", vmin=0, vmax=most, edgecolors="white", linewidth=0.8)
        ticks = np.arange(len(names) - 1) + 0.5
        axes.set_yticks(ticks, [short(n, 16) for n in names[1:]])
        axes.set_xticks(ticks, [short(n, 16) for n in names[:-1]], rotation=45, ha="right", rotation_mode="anchor")
        axes.invert_yaxis()
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if len(names) <= 16:
            for (row, column), value in np.ndenumerate(grid[1:, :-1]):
                if math.isfinite(value):
                    ink = "white" if value > 0.6 * most else "#3e4c59"
                    axes.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
        bar = figure.colorbar(image, ax=axes, shrink=0.7, label="total variation")
        bar.outline.set_visible(False)
        if bar.solids is not None:
            bar.solids.set_rasterized(False)  # else it becomes an embedded bitmap, which the content policy blocks
            bar.solids.set_edgecolor("face")
    return inline(figure, prefix="pairs", label="Total variation of pairs of columns")
