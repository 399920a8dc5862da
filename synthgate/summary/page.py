"""A public summary as one self-contained HTML page: no script, nothing loaded, every text escaped."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from html import escape

from synthgate.plain import inert, percent
from synthgate.summary import Shown, Summary

STYLE = """
:root { color-scheme: light; --ink: #1f2933; --soft: #4a5763; --line: #dfe3e8; --good: #0b6e69; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: #f5f7fa; color: var(--ink); font: 15px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 28px 24px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 19px; line-height: 1.3; margin: 0 0 10px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 20px 24px; margin: 18px 0 0; }
p, li, dd, code { overflow-wrap: anywhere; }
p { margin: 0 0 10px; }
.promise { font-size: 17px; border-left: 4px solid var(--good); padding-left: 14px; }
.small, dt, figcaption span, footer { color: var(--soft); font-size: 13px; }
dl { display: grid; grid-template-columns: minmax(150px, max-content) 1fr; gap: 4px 18px; margin: 12px 0 0; }
dt { font-size: 15px; }
dd { margin: 0; }
ul { margin: 0; padding-left: 20px; }
li { margin: 4px 0; }
table { border-collapse: collapse; }
.beliefs th, .beliefs td { padding: 6px 0 6px 22px; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
.beliefs th { white-space: normal; padding-left: 0; text-align: left; font-weight: 400; color: var(--soft); }
.columns { columns: 3 270px; column-gap: 28px; }
figure { margin: 0 0 22px; break-inside: avoid; }
figcaption { font-weight: 600; border-bottom: 1px solid var(--line); padding-bottom: 3px; margin-bottom: 6px;
  overflow-wrap: anywhere; }
figcaption span { font-weight: 400; }
figure table { width: 100%; table-layout: fixed; font-size: 12.5px; }
figure th { width: 42%; font-weight: 400; text-align: left; padding: 2px 8px 2px 0; overflow-wrap: anywhere; }
figure td { padding: 2px 0; }
figure td:last-child { width: 52px; text-align: right; color: var(--soft); font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; height: 10px; }
@media (max-width: 640px) {
  main { padding: 16px 10px 32px; }
  section { padding: 16px 14px; }
  h1 { font-size: 21px; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin: 0 0 8px; }
  .beliefs th, .beliefs td { padding-left: 10px; font-size: 13px; }
}
@media print {
  body { background: #fff; font-size: 10pt; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  section { border: 0; padding: 6px 0; margin: 0; }
}
"""


def page(summary: Summary) -> str:
    """The page, as HTML text. The same summary gives the same bytes."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{_safe(summary.title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            f"<h1><bdi>{_safe(summary.title)}</bdi></h1>",
            "<p>A synthetic table, in short: made of the released rows and their signed attestation alone.</p>",
            *_sections(summary),
            "<footer><p>Nothing here was computed from a private row but by way of the released ones.</p></footer>",
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _sections(summary: Summary) -> Iterator[str]:
    yield from _section("What it is", [f"<p>{_safe(summary.passed)}</p>", *_facts(summary.facts)])
    told = [f'<p class="promise">{_safe(summary.promise)}</p>', *_beliefs(summary.beliefs)]
    yield from _section("What is promised about people", told)
    if summary.not_covered or summary.weakened_by:
        lines = (*summary.not_covered, *(f"Weakened: {text}" for text in summary.weakened_by))
        yield from _section("What is not", _list(lines))
    note = '<p class="small">Shares of the released rows, which are synthetic.</p>'
    figures = [line for column in summary.columns for line in _figure(column)]
    yield from _section("Columns", [note, '<div class="columns">', *figures, "</div>"])
    if summary.rules:
        yield from _section("The rules that it passed", _list(summary.rules))
    check = [
        "<p>Anybody can check that a file is the attested one, offline, with the key of the gateway's operator:</p>",
        *_list(summary.check, code=True),
        "<p>The second also asks a list of what was taken back, which the operator gives.</p>",
    ]
    yield from _section("How to verify", check)
    yield from _section("Limits", _list(summary.limits))


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("<section>", f"<h2>{heading}</h2>", *lines, "</section>")


def _facts(facts: Mapping[str, str]) -> Iterator[str]:
    yield "<dl>"
    yield from (f"<dt>{_safe(name)}</dt><dd><bdi>{_safe(text)}</bdi></dd>" for name, text in facts.items())
    yield "</dl>"


def _beliefs(beliefs: tuple[tuple[float, float], ...]) -> Iterator[str]:
    if beliefs:
        before = "".join(f"<td>{100 * p:g} %</td>" for p, _ in beliefs)
        after = "".join(f"<td>{percent(q)} %</td>" for _, q in beliefs)
        yield f'<table class="beliefs"><tr><th>An attacker who was … sure</th>{before}</tr>'
        yield f"<tr><th>can become at most … sure</th>{after}</tr></table>"


def _list(lines: Iterable[str], *, code: bool = False) -> Iterator[str]:
    yield "<ul>"
    yield from (f"<li><code>{_safe(x)}</code></li>" if code else f"<li><bdi>{_safe(x)}</bdi></li>" for x in lines)
    yield "</ul>"


def _figure(column: Shown) -> Iterator[str]:
    yield f"<figure><figcaption><bdi>{_safe(column.name)}</bdi> <span>{column.kind}</span></figcaption>"
    rows = [(bar.label, bar.share) for bar in column.bars]
    if column.others:
        rows.append((f"{column.others:,} further values", column.rest))
    if column.missing:
        rows.append(("no value", column.missing))
    most = max([share for _, share in rows], default=0.0) or 1.0
    yield "<table>"
    for label, share in rows:
        bar = f'<rect width="{100 * share / most:.1f}" height="10" fill="#0b7a75"/>'
        drawn = f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
        yield f"<tr><th><bdi>{_safe(label)}</bdi></th><td>{drawn}</td><td>{_share(share)}</td></tr>"
    yield "</table></figure>"


def _share(share: float) -> str:
    return "&lt;0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"


def _safe(text: str) -> str:
    return escape(inert(text))
