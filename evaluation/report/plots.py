"""The pictures of a report. Each takes plain values and gives inline SVG, or nothing where there is nothing to draw."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from evaluation.report.svg import SETTINGS, inline
from evaluation.report.words import label
from synthgate.policy import Finding, Outcome, Verdict
from synthgate.report import Report, Score

REAL, SAMPLE = "#7b8794", "#0b7a75"
GOOD, BAD, NEUTRAL = "#0b7a75", "#b42318", "#52606d"
MAX_HEATMAP = 40
MAX_PANELS = 24
PANELS_ACROSS = 3


def short(name: str, most: int = 22) -> str:
    """A name that fits an axis."""
    return name if len(name) <= most else name[: most - 1] + "…"


def risks(report: Report, verdict: Verdict) -> str:
    """Every risk as a dot with its one-sided 95 % ends, against the limit that the policy sets."""
    scores = [s for s in report.scores if s.name.startswith("risk.")]
    if not scores:
        return ""
    rules = {f.rule.score: f for f in verdict.findings}
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(8.6, 0.9 + 0.36 * len(scores)), layout="constrained")
        axes = figure.subplots()
        for row, score in enumerate(reversed(scores)):
            _risk(axes, row, score, rules.get(score.name))
        axes.axvline(0, color="#9aa5b1", linewidth=0.8, zorder=0)
        axes.set_yticks(range(len(scores)), [short(label(s.name), 34) for s in reversed(scores)])
        axes.set_ylim(-0.6, len(scores) - 0.4)
        axes.set_xlabel("excess success on trained people over people never seen (share of attacks)")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e4e7eb", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        left, right = axes.get_xlim()
        axes.set_xlim(min(left, -0.02), max(right, 0.12))
    return inline(figure, prefix="risk", label="Risk scores with intervals and limits")


def _risk(axes: Any, row: int, score: Score, finding: Finding | None) -> None:
    held = finding is None or finding.outcome is Outcome.PASSED
    colour = NEUTRAL if finding is None else GOOD if held else BAD
    if finding is not None and finding.rule.at_most is not None:
        axes.plot([finding.rule.at_most] * 2, [row - 0.32, row + 0.32], color="#1f2933", linewidth=1.6)
    if not score.usable:
        axes.text(0.004, row, "could not be told", va="center", color=BAD, fontsize=8)
        return
    axes.plot([score.low, score.high], [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
    axes.plot([score.value], [row], "o", color=colour, markersize=5.5, markeredgecolor="white", markeredgewidth=0.8)


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


def columns(shares: Sequence[Mapping[str, Any]]) -> str:
    """Small multiples: the shares of merged bins, training rows beside sample, at most 24 columns."""
    shown = [s for s in shares if s["labels"]][:MAX_PANELS]
    if not shown:
        return ""
    down = math.ceil(len(shown) / PANELS_ACROSS)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(8.6, 1.75 * down + 0.1), layout="constrained")
        panels = figure.subplots(down, PANELS_ACROSS, squeeze=False).ravel()
        for axes, share in zip(panels, shown, strict=False):
            _column(axes, share)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
    return inline(figure, prefix="columns", label="Shares of bins in training rows and sample, column by column")


def _column(axes: Any, share: Mapping[str, Any]) -> None:
    labels = share["labels"]
    places = np.arange(len(labels))
    axes.bar(places - 0.2, share["train"], width=0.4, color=REAL, linewidth=0)
    axes.bar(places + 0.2, share["sample"], width=0.4, color=SAMPLE, linewidth=0)
    axes.set_title(short(share["column"], 30), fontsize=9, loc="left", pad=3)
    step = max(1, math.ceil(len(labels) / 4))
    ticks = list(range(0, len(labels), step))
    crowded = step > 1
    texts = [labels[i].split(" to ")[0] if crowded else labels[i] for i in ticks]
    axes.set_xticks(ticks, [short(text, 12 if len(ticks) > 2 else 18) for text in texts], fontsize=6.5)
    axes.tick_params(axis="y", labelsize=6.5)
    axes.tick_params(length=2)
    axes.set_xlim(-0.6, max(len(labels) - 0.4, 1.6))
    axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))


def prediction(found: Mapping[str, Any]) -> str:
    """Two bars: a model learned from the sample and one learned from training rows, both tested on the holdout."""
    values = [found["synthetic"], found["real"]]
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(8.6, 1.25), layout="constrained")
        axes = figure.subplots()
        shown = [max(v, 0.0) for v in values]
        axes.barh([0, 1], shown, color=[SAMPLE, REAL], height=0.6)
        for row, value in enumerate(values):
            ground = {"facecolor": "white", "linewidth": 0, "pad": 1.5}
            axes.text(shown[row] + 0.012, row, f"{value:.3f}", va="center", fontsize=8.5, color="#1f2933", bbox=ground)
        axes.set_yticks([0, 1], ["learned from the sample", "learned from training rows"])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.08)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(
            f"{found['measure']} on the holdout" + (" (0.5 is guessing)" if found["measure"] == "AUC" else "")
        )
        if found["measure"] == "AUC":
            axes.axvline(0.5, color="#1f2933", linewidth=1.0, linestyle=(0, (3, 3)))
    return inline(figure, prefix="prediction", label="Prediction of the target, synthetic against real")
