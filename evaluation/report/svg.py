"""matplotlib figures as inline SVG that a strict content policy accepts.

No style attribute, no style element, no script, no comment, no foreign reference; text as outlines, so that the page
looks alike everywhere; ids with a prefix of their own; the same figure gives the same bytes.
"""

import io
import re
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "synthgate",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": "#3e4c59",
    "axes.titlecolor": "#1f2933",
    "xtick.color": "#52606d",
    "ytick.color": "#3e4c59",
    "text.parse_math": False,
}

_STYLE = re.compile(r'\sstyle="([^"]*)"')


def inline(figure: Figure, *, prefix: str, label: str) -> str:
    """The figure as an ``<svg>`` element; ``label`` is read out by screen readers. ``prefix`` is unique in the page."""
    buffer = io.StringIO()
    with mpl.rc_context(SETTINGS):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = _STYLE.sub(_attributes, text)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    text = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    opening = re.match(r'<svg[^>]*viewBox="([^"]+)"[^>]*>', text)
    if opening is None:
        raise ValueError("the figure did not become an SVG")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{opening[1]}" role="img" aria-label="{escape(label)}"'
    return head + ' stroke-linejoin="round" stroke-linecap="butt">' + text[opening.end() :].strip()


def _attributes(match: re.Match[str]) -> str:
    """``style="fill: #fff; stroke: none"`` as presentation attributes."""
    pairs = [part.split(":", 1) for part in match[1].split(";") if ":" in part]
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)
