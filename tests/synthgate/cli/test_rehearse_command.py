"""`release rehearse` around its process: what is refused before it starts, which table it is given, what is drawn."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from synthgate.attacker import Attacker
from synthgate.attestation import Attestation
from synthgate.cli.main import app
from synthgate.cli.rehearsal import BANNER, MAX_RUNS, Surrogate, draw
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.errors import InvalidArgument
from synthgate.report import Better, Score
from tests.synthgate.test_verify import ATTESTATION

DOMAIN = Domain(columns=(Column(name="a", kind=Kind.BOOLEAN),))
WIDER = Attacker(also_secret=("a",))


def attested(sizes: PublicSizes) -> Attestation:
    return replace(ATTESTATION, statement=replace(ATTESTATION.statement, sizes=sizes))


@pytest.mark.parametrize(
    ("sizes", "released", "rows", "played", "units"),
    [
        (PublicSizes(rows=5_000, units=5_000), 5_000, 0, 5_000, 5_000),
        (PublicSizes(rows=600, units=600), 1_000, 0, 600, 600),
        (PublicSizes(rows=5_000, units=5_000), 800, 0, 800, 800),
        (PublicSizes(rows=20_000, units=5_912, max_rows=5), 20_000, 0, 20_000, 5_912),
        (PublicSizes(rows=20_000, units=5_912, max_rows=5), 20_000, 1_000, 1_000, 296),
        (PublicSizes(rows=20_000, units=5_912, max_rows=5), 20_000, 1, 1, 1),
    ],
)
def test_rows_play_the_datasets_public_size_and_its_mean_rows_a_unit(
    sizes: PublicSizes, released: int, rows: int, played: int, units: int
) -> None:
    spec = Surrogate(attested(sizes), DOMAIN, released, WIDER).spec(Path("t.parquet"), rows)
    assert (spec["rows"], spec["units"], spec["max_rows"]) == (played, units, sizes.max_rows)
    PublicSizes(rows=spec["rows"], units=spec["units"], max_rows=spec["max_rows"])
    assert Domain.from_dict(spec["domain"]) == DOMAIN
    assert Attacker.from_dict(spec["attacker"]) == WIDER


def test_a_release_has_no_more_rows_than_it_has() -> None:
    with pytest.raises(InvalidArgument, match="1,000 rows"):
        Surrogate(attested(PublicSizes(rows=600, units=600)), DOMAIN, 1_000, WIDER).spec(Path("t.parquet"), 1_001)


def test_more_combinations_than_are_tried_at_once_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    engines = [w for i in range(MAX_RUNS // 2 + 1) for w in ("--engine", f"e{i}")]
    words = ["--state", str(tmp_path), "release", "rehearse", "r-1", *engines, "--epsilon", "1", "--epsilon", "2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert f"at most {MAX_RUNS} combinations" in done.output


@pytest.mark.parametrize(("option", "value"), [("delta", "0"), ("delta", "0.1"), ("delta", "-1"), ("epsilon", "0")])
def test_a_budget_that_no_release_can_have_is_refused_before_anything_is_asked(
    tmp_path: Path, option: str, value: str
) -> None:
    done = CliRunner().invoke(app, ["--state", str(tmp_path), "release", "rehearse", "r-1", f"--{option}", value])
    assert done.exit_code == 2
    assert f"{option} must lie between" in done.output


def test_scores_stand_side_by_side_under_the_banner() -> None:
    def run(engine: str, *, high: float, failure: str = "", conclusive: bool = True) -> dict[str, object]:
        score = Score(
            name="risk.x", value=0.1, low=0.05, high=high, better=Better.LOWER, conclusive=conclusive, note="n"
        )
        plain = Score(name="utility.y", value=0.7, low=0.7, high=0.7, better=Better.LOWER, conclusive=True, note="n")
        scores = [] if failure else [score.to_dict(), plain.to_dict()]
        seconds = {} if failure else {"fit": 1.0, "evaluate": 2.25}
        return {"engine": engine, "epsilon": 0.5, "scores": scores, "seconds": seconds, "failure": failure}

    console = Console(width=400, record=True, file=None)
    runs = [run("tree", high=0.2), run("aim", high=0.3, conclusive=False), run("mst", high=0, failure="too [wide]")]
    draw(console, "r-1", runs)
    shown = console.export_text()
    for text in (BANNER, "tree, epsilon 0.5", "0.100 (0.050 to 0.200)", "0.300), inconclusive", "3.2"):
        assert text in shown
    assert "0.700" in shown
    assert "0.700 (" not in shown  # without ends there are none to tell
    assert "mst at epsilon 0.5: too [wide]" in shown
