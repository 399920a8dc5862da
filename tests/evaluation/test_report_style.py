"""Every text of the pages can be read: contrast of at least 4.5 to 1 (WCAG 2.1, AA)."""

import re
from importlib.resources import files

import pytest

STYLE = (files("evaluation.report") / "style.css").read_text(encoding="utf-8")
COLOUR = r"#[0-9a-f]{3,6}\b"
ON = re.compile(rf"([^{{}}]+)\{{[^{{}}]*background: ({COLOUR});[^{{}}]*?\bcolor: ({COLOUR}|var\(--\w+\))")
VARIABLES = dict(re.findall(rf"--(\w+): ({COLOUR})", STYLE))


def _light(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((_light(one), _light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _pairs() -> list[tuple[str, str, str]]:
    found = [(name, "#ffffff", VARIABLES[name]) for name in ("ink", "soft", "good", "bad")]
    found += [(f"{name} beside the sheets", "#f5f7fa", VARIABLES[name]) for name in ("ink", "soft")]
    for rule, ground, ink in ON.findall(STYLE):
        found.append((rule.strip(), ground, VARIABLES[ink[6:-1]] if ink.startswith("var") else ink))
    return found


@pytest.mark.parametrize(("name", "ground", "ink"), _pairs())
def test_text_stands_out(name: str, ground: str, ink: str) -> None:
    assert contrast(ground, ink) >= 4.5


def test_all_chips_and_the_banner_are_looked_at() -> None:
    assert {".banner", ".chip", ".chip.good", ".chip.bad", "body"} <= {name for name, _, _ in _pairs()}
    assert contrast("#fff", "#000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") < 4.5
