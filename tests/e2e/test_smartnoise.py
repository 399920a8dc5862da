"""SmartNoise's engines through the gateway: in an environment of their own, certified or for a sandbox alone."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dp_models.mechanisms.noise import EXACT_CHOICES, EXACT_COUNTS
from dp_models.smartnoise.claimed import TORCH
from synthgate.errors import EngineNotCertified
from synthgate.release import ReleaseState
from synthgate.statement import Scope
from synthgate.verify import verify
from tests.e2e.people import LENIENT
from tests.e2e.process import Served
from tests.smartnoise import needs_smartnoise


@needs_smartnoise
@pytest.mark.slow
def test_mst_is_released_on_a_normal_account_with_a_guarantee_and_can_be_derived_from(
    served: Served, tmp_path: Path
) -> None:
    name = served.dataset("smartnoise", rows=1_500)
    asked = served.analyst.create_release(name, epsilon=1.0, engine="smartnoise-mst")
    assert served.ended(asked).state is ReleaseState.RELEASED
    assert tuple(served.analyst.watch(asked.id))[-1].state is ReleaseState.RELEASED
    signed = served.analyst.attestation(asked.id)
    found = verify(served.analyst.download(asked.id, tmp_path / "r.parquet"), signed.envelope, signed.public_key)
    assert (found.engine, found.statement.scope) == ("smartnoise-mst", Scope.GENERATOR)
    assert (found.statement.noise, found.statement.weakened_by) == ((EXACT_COUNTS, EXACT_CHOICES), ())
    assert found.versions["fitted with smartnoise-synth"] == "1.0.8"
    before = served.steward.entries(name)
    drawn = served.analyst.derive_release(asked.id, conditions={"region": "north"}, rows=3_000)
    assert tuple(served.analyst.watch(drawn.id))[-1].state is ReleaseState.RELEASED
    rows = pq.read_table(served.analyst.download(drawn.id, tmp_path / "d.parquet"))
    assert (rows.num_rows, rows["region"].unique().to_pylist()) == (3_000, ["north"])
    assert served.steward.entries(name) == before


@needs_smartnoise
@pytest.mark.slow
def test_a_gan_is_released_on_a_sandbox_without_one(served: Served, tmp_path: Path) -> None:
    name = served.dataset("smartnoise-sandbox", sandbox=True, policy=replace(LENIENT, certified_only=False))
    asked = served.analyst.create_release(name, epsilon=1.0, engine="smartnoise-dpctgan")
    assert served.ended(asked).state is ReleaseState.RELEASED
    assert tuple(served.analyst.watch(asked.id))[-1].state is ReleaseState.RELEASED
    signed = served.analyst.attestation(asked.id)
    found = verify(served.analyst.download(asked.id, tmp_path / "r.parquet"), signed.envelope, signed.public_key)
    assert (found.guarantee, found.statement.scope) == ("none", Scope.NONE)
    assert (found.statement.noise, found.statement.weakened_by) == ((), (TORCH,))
    assert any("own library claims" in sentence for sentence in found.statement.not_covered)
    committed = served.balance(name).balance.committed
    assert (committed.epsilon, committed.rdp) == (10**9, None), "an opaque claim closes meter B"


@pytest.mark.parametrize("engine", ["smartnoise-dpctgan", "smartnoise-patectgan", "smartnoise-pacsynth"])
def test_what_claims_alone_price_is_refused_on_a_normal_account_free_of_charge(served: Served, engine: str) -> None:
    if not any(d.dataset.name == "unfit" for d in served.steward.datasets()):
        served.dataset("unfit", rows=3_500)
    before = served.steward.entries("unfit")
    with pytest.raises(EngineNotCertified, match="not certified"):
        served.analyst.create_release("unfit", epsilon=1.0, engine=engine)
    assert served.steward.entries("unfit") == before
