"""Negative controls of the certified SmartNoise engines: at epsilon 1 they are not refused for risk.

They are fitted by SmartNoise's own interpreter (`make smartnoise`), on the draws of `test_refusals`.
"""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from population import DOMAIN
from test_refusals import SIZE, SIZES, Draw, refusals, within

from dp_models.registry import synthesizer
from evaluation.tables import normalise
from server.config import BUILT_IN_ENGINES
from synthgate.budget import PrivacyBudget
from tests.smartnoise import needs_smartnoise, run_inside

ENGINES = tuple(name for name in BUILT_IN_ENGINES if name.startswith("smartnoise-"))


def refused(engine: str, seeds: range, folder: Path) -> list[int]:
    """The draws whose sample is refused for risk; all are fitted in one process."""
    plan = synthesizer(engine).plan(DOMAIN, SIZES, PrivacyBudget.spend(1.0, 1e-6))
    fits = []
    for seed in seeds:
        path = folder / f"{seed}.parquet"
        pq.write_table(Draw(seed).stored(), path)
        fit = {"plan": plan.to_json(), "domain": DOMAIN.to_dict(), "rows": str(path), "seed": seed, "size": SIZE}
        fits.append(fit)
    told = run_inside("tests.evaluation.smartnoise_fits", {"fits": fits}, folder)
    found = []
    for seed, path in zip(seeds, told["samples"], strict=True):
        sample = pq.read_table(path)
        if refusals(Draw(seed), normalise({c.name: sample.column(c.name) for c in DOMAIN.columns}, DOMAIN)):
            found.append(seed)
    return found


@needs_smartnoise
@pytest.mark.parametrize("draws", within(900, 7_200, 43_200))
@pytest.mark.parametrize("engine", ENGINES)
def test_smartnoise_s_certified_engines_at_epsilon_1_are_not_refused_for_risk(
    engine: str, draws: int, tmp_path: Path
) -> None:
    assert len(refused(engine, range(draws), tmp_path)) <= draws // 100
