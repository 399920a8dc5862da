"""Every promise of `docs/guarantees.md` has tests that carry its name, and every such test proves a promise of it."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.conftest import GUARANTEES, promises

ROOT = Path(__file__).parents[1]


def marked() -> dict[str, set[str]]:
    """The files that hold tests of each promise."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.guarantee":
                (name,) = (ast.literal_eval(a) for a in node.args)
                found[name].add(str(path.relative_to(ROOT)))
    return found


def named() -> dict[str, set[str]]:
    """The files of tests that the document names in each promise's row."""
    rows = [line for line in GUARANTEES.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: set(re.findall(r"`(tests/[\w./-]+\.py)`", line)) for line in rows}


def test_every_promise_has_tests_and_every_test_a_promise() -> None:
    assert promises()
    assert set(marked()) == set(promises())


def test_the_document_names_the_files_of_the_tests() -> None:
    assert named() == marked()
