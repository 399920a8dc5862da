"""The structure that the sources keep: who imports what, how long things grow, which words are used."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("synthgate", "dp_models", "evaluation", "server")
SOURCES = sorted(
    p for package in PACKAGES for p in (ROOT / package).rglob("*.py") if p.parent != ROOT / "synthgate" / "v1"
)
SCRIPTS = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PROTOS = sorted((ROOT / "proto").rglob("*.proto"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after ``statement``."""
    code = f"{statement}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_imports_keep_the_contracts_of_pyproject() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-logo", "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


HEAVY = {"grpc", "google", "numpy", "pandas", "pyarrow", "torch", "sqlalchemy", "yaml", "rich", "typer", "cryptography"}


def test_the_vocabulary_loads_the_standard_library_alone() -> None:
    words = [p.stem for p in (ROOT / "synthgate").glob("*.py") if p.stem not in ("__init__", "schema", "verify")]
    loaded = loaded_by("import synthgate, " + ", ".join(f"synthgate.{w}" for w in sorted(words)))
    assert not loaded & HEAVY


def test_the_face_imports_no_heavy_library() -> None:
    assert not loaded_by("import synthgate") & HEAVY


@pytest.mark.parametrize("library", ["torch", "opacus", "jax", "mbi", "anonymeter", "sklearn", "matplotlib"])
def test_the_serving_process_loads_nothing_that_trains_or_attacks(library: str) -> None:
    assert library not in loaded_by("import server.app")


@pytest.mark.parametrize("path", SOURCES + SCRIPTS, ids=name)
def test_files_stay_under_300_lines_and_functions_under_70(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 70] == []


def test_the_median_file_stays_under_180_lines() -> None:
    assert statistics.median(len(p.read_text(encoding="utf-8").splitlines()) for p in SOURCES) < 180


def defined(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


FOREIGN_WORDS = {"hold", "consume", "debit", "refund", "manager", "helper", "helpers", "utils", "util"}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_identifiers_use_the_vocabulary(path: Path) -> None:
    words = {w for i in defined(path) for w in re.sub(r"([a-z])([A-Z])", r"\1_\2", i).lower().split("_")}
    assert not words & FOREIGN_WORDS
    assert not set(path.stem.split("_")) & FOREIGN_WORDS


def reads_environment(path: Path) -> bool:
    wanted = {"environ", "environb", "getenv", "getenvb"}
    return any(
        (isinstance(n, ast.Attribute) and n.attr in wanted)
        or (isinstance(n, ast.ImportFrom) and n.module == "os" and wanted & {a.name for a in n.names})
        for n in ast.walk(tree(path))
    )


def test_the_environment_is_read_in_the_configuration_and_the_command_line_alone() -> None:
    found = {name(p) for p in SOURCES if reads_environment(p)}
    assert {f for f in found if f != "server/config.py" and not f.startswith("synthgate/cli/")} == set()


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


CODE_THAT_RUNS_DATA = {"pickle", "cPickle", "joblib", "dill", "shelve", "marshal", "cloudpickle"}


@pytest.mark.parametrize("path", SOURCES + SCRIPTS, ids=name)
def test_nothing_unpickles(path: Path) -> None:
    assert not {m.split(".")[0] for m in imported(path)} & CODE_THAT_RUNS_DATA
    calls = [ast.unparse(n.func) for n in ast.walk(tree(path)) if isinstance(n, ast.Call)]
    assert not set(calls) & {"torch.load", "torch.save", "np.load", "numpy.load", "pd.read_pickle", "eval", "exec"}


@pytest.mark.parametrize("path", SOURCES + SCRIPTS + PROTOS, ids=name)
def test_nothing_is_left_to_do(path: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [p for p in TESTS if p != Path(__file__)], ids=name)
def test_tests_patch_nothing_of_ours(path: Path) -> None:
    assert not {m for m in imported(path) if m.startswith(("unittest.mock", "mock"))}


def test_the_proto_folder_holds_no_python() -> None:
    assert [name(p) for p in (ROOT / "proto").rglob("*.py")] == []


DECLARATION = re.compile(
    r"""(message|enum|service)\s+\w+\s*\{
      | rpc\s+\w+\s*\(
      | oneof\s+\w+\s*\{
      | (repeated\s+|optional\s+)?[\w.]+(<[\w.,\s]+>)?\s+\w+\s*=\s*\d+
      | [A-Z][A-Z0-9_]*\s*=\s*\d+""",
    re.VERBOSE,
)


@pytest.mark.parametrize("path", PROTOS, ids=name)
def test_everything_in_the_contract_is_commented(path: Path) -> None:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    declared = [i for i, line in enumerate(lines) if DECLARATION.match(line)]
    assert declared
    assert [lines[i] for i in declared if not lines[i - 1].startswith("//")] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_in_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
    local = [t for t in targets if not t.startswith(("http://", "https://", "mailto:"))]
    assert [t for t in local if not (path.parent / t).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_files_that_documents_name_exist(path: Path) -> None:
    folders = "|".join((*PACKAGES, "benchmarks", "docs", "examples", "proto", "tests"))
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", path.read_text(encoding="utf-8"))
    assert [n for n in named if not (ROOT / n).exists()] == []


def test_the_make_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {t for p in DOCUMENTS for t in re.findall(r"`make ([a-z-]+)`", p.read_text(encoding="utf-8"))}
    assert named <= targets
