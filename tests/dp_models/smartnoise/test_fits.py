"""SmartNoise's engines at work, under SmartNoise's interpreter: the plan is what runs, the domain is what comes out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from dp_models.base import Synthesizer
from dp_models.mechanisms.noise import EXACT_CHOICES, EXACT_COUNTS
from dp_models.smartnoise.aim import SmartNoiseAim
from dp_models.smartnoise.claimed import TORCH, UNSEEDED, Dpctgan, Dpgan, Pacsynth, Patectgan, Pategan
from dp_models.smartnoise.mst import SmartNoiseMst
from dp_models.smartnoise.mwem import SmartNoiseMwem
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from tests.dp_models.private_tables import DOMAIN, sizes_of
from tests.smartnoise import needs_smartnoise, run_inside

SMALL = replace(DOMAIN, columns=tuple(c for c in DOMAIN.columns if c.name in ("colour", "weight", "smokes", "ill")))
ONE = replace(DOMAIN, columns=tuple(c for c in DOMAIN.columns if c.name == "ill"))
GOOD = {"kept_to_the_plan": True, "rows": 200, "none": 0, "repeats": True, "holds_rows": False, "reads_back": None,
        "noise": [sorted((EXACT_COUNTS, EXACT_CHOICES)), []]}  # fmt: skip
STORED = GOOD | {"reads_back": True}
"""Of the graphical models; histograms of `mwem` and what runs as it is are not stored."""
SURE = 1e-6


def asked(engine: Synthesizer, *, sizes: PublicSizes, rows: int, domain: Domain = SMALL) -> dict[str, Any]:
    plan = engine.plan(domain, sizes, PrivacyBudget.spend(1.0, 1e-6))
    return {"plan": plan.to_json(), "domain": domain.to_dict(), "rows": rows}


@needs_smartnoise
def test_mst_and_mwem_run_their_plans_with_exact_noise(tmp_path: Path) -> None:
    mst, mwem = SmartNoiseMst(steps=1, steps_select=1), SmartNoiseMwem(updates=1)
    fits = [
        asked(mst, sizes=sizes_of(300), rows=297),
        asked(mwem, sizes=sizes_of(300), rows=297),
        asked(mwem, sizes=sizes_of(300, max_rows=3), rows=297),
        asked(mwem, sizes=sizes_of(300), rows=0, domain=ONE),
    ]
    told = run_inside("tests.dp_models.smartnoise.inside", {"fits": fits, "draws": True}, tmp_path)
    assert told["fits"][:3] == [STORED, GOOD, GOOD]
    assert told["fits"][3] | {"holds_rows": False} == GOOD
    support = np.arange(-6, 7)
    mass = np.exp(-(support**2) / 8.0)
    seen = np.bincount(np.clip(np.array(told["counts"]) - 7, -6, 6) + 6, minlength=13)
    assert chisquare(seen[1:-1], mass[1:-1] / mass[1:-1].sum() * seen[1:-1].sum()).pvalue > SURE
    wanted = np.exp(np.array([0.0, 1.0, 2.0, -1.0]))
    assert chisquare(np.bincount(told["choices"], minlength=4), wanted / wanted.sum() * 4_000).pvalue > SURE


@needs_smartnoise
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("domain", [SMALL, ONE], ids=["four columns", "one column"])
@pytest.mark.parametrize("engine", [SmartNoiseAim(steps=50), SmartNoiseMst(steps=50, steps_select=50)], ids=str)
def test_graphical_models_take_several_rows_a_unit_and_any_width(
    engine: Synthesizer, domain: Domain, tmp_path: Path
) -> None:
    fits = [asked(engine, sizes=s, rows=297, domain=domain) for s in (sizes_of(300), sizes_of(300, max_rows=3))]
    told = run_inside("tests.dp_models.smartnoise.inside", {"fits": fits, "draws": False}, tmp_path)
    alone = isinstance(engine, SmartNoiseMst) and domain is ONE  # there is nothing to choose
    assert told["fits"] == [STORED | ({"noise": [[EXACT_COUNTS], []]} if alone else {})] * 2


@needs_smartnoise
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("engine", "rows"),
    [
        (Dpctgan(epochs=1, batch_size=64), 300),
        (Dpgan(epochs=1), 300),
        (Pategan(), 1_100),
        (Patectgan(batch_size=64), 300),
        (Pacsynth(), 2_700),
    ],
    ids=lambda e: getattr(e, "name", e),
)
def test_what_runs_as_it_is_gives_declared_rows(engine: Synthesizer, rows: int, tmp_path: Path) -> None:
    """Pacsynth takes no seed; the GANs hold what they were trained on, which is why none of them is certified."""
    fits = [asked(engine, sizes=sizes_of(rows), rows=rows - 3), asked(engine, sizes=sizes_of(rows), rows=rows + 3)]
    told = run_inside("tests.dp_models.smartnoise.inside", {"fits": fits, "draws": False}, tmp_path)
    pacsynth = engine.name == "smartnoise-pacsynth"
    known = {"holds_rows": False} | ({"repeats": True} if pacsynth else {})
    wanted = GOOD | {"noise": [[], [UNSEEDED if pacsynth else TORCH]]}
    assert [fit | known for fit in told["fits"]] == [wanted] * 2
