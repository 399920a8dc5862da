"""What the documents say to type is typed, against a real gateway; what they state about defaults is compared."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from synthgate.cli.main import app
from synthgate.policy import DEFAULT_POLICY

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "docs" / "quickstart.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BIN = Path(sys.executable).parent


def blocks(path: Path, kind: str) -> list[str]:
    """The fenced blocks of one kind (the whole info string), in order."""
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SYNTHGATE_")}
    return kept | {"PATH": f"{BIN}{os.pathsep}{kept['PATH']}"}


@contextmanager
def serving(command: str, folder: Path) -> Iterator[None]:
    """The gateway of a ``serve`` block, until the block ends."""
    with (folder / "gateway.log").open("w") as log:
        process = subprocess.Popen(
            command.split(), cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout is not None
            assert any(line.startswith("key ") for line in process.stdout), (folder / "gateway.log").read_text()
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stand-in for the project's folder after `make setup`."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").write_text(f'export PATH="{BIN}:$PATH"\n')
    return tmp_path


@pytest.mark.timeout(600)
def test_the_quickstart_runs_from_the_top_to_the_bottom(folder: Path) -> None:
    (serve,) = blocks(QUICKSTART, "sh serve")
    script = "set -euxo pipefail\n" + "\n".join(blocks(QUICKSTART, "sh"))
    with serving(serve, folder):
        for command in (["bash", "-c", script], [sys.executable, "-c", "\n".join(blocks(QUICKSTART, "python"))]):
            done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    assert {"release.parquet", "release.csv", "attestation.json", "gateway.pub", "report.html", "derived.parquet"} <= {
        p.name for p in folder.iterdir()
    }


def test_the_readme_says_nothing_that_the_quickstart_does_not_run() -> None:
    def commands(path: Path) -> set[str]:
        return {line for kind in ("sh", "sh serve") for block in blocks(path, kind) for line in block.splitlines()}

    waits = {c.removesuffix(" --wait") for c in commands(QUICKSTART)}
    assert commands(ROOT / "README.md") <= commands(QUICKSTART) | waits


OPTION_WITH_VALUE = r"(?:--(?:state|role|address|token-file|call-timeout) \S+ |--json )*"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_every_command_that_a_document_names_has_help(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = {
        tuple(m.split())
        for m in re.findall(
            rf"synthgate {OPTION_WITH_VALUE}((?:dataset|release|ledger|schema) [a-z]+|verify|serve)\b", text
        )
    }
    for words in sorted(named):
        done = CliRunner().invoke(app, [*words, "--help"])
        assert done.exit_code == 0, (words, done.output)


def test_the_policy_in_the_guide_is_the_default_one() -> None:
    (document,) = blocks(ROOT / "docs" / "policies.md", "yaml")
    assert yaml.safe_load(document) == DEFAULT_POLICY.to_dict()
