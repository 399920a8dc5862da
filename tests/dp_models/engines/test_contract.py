"""One suite for every registered synthesizer: what a gateway may rely on, whichever engine was asked for."""

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dp_models import registry
from dp_models.base import Plan, Synthesizer
from dp_models.encoding.table import arrow_schema
from dp_models.engines.aim import Aim
from dp_models.engines.gan import Gan
from dp_models.engines.vae import Vae
from dp_models.mechanisms.accounting import epsilon, epsilon_by_rdp, rdp
from dp_models.mechanisms.attempt import AttemptNoise
from dp_models.mechanisms.journal import Journal
from dp_models.mechanisms.noise import SystemNoise
from dp_models.stored.registry import dump
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain, Kind
from synthgate.errors import DataCorrupted, FailedPrecondition
from tests.dp_models.private_tables import DOMAIN, all_null, constant, people, sizes_of

BUDGET = PrivacyBudget.spend(1.0, 1e-6)
ENGINES = [
    name for name in registry.names() if name in ("aim", "auto", "gan", "independent", "mst", "star", "tree", "vae")
]


def _engine(name: str) -> Synthesizer:
    """The registered synthesizer; with few steps where it trains by gradients, since quality is not asked here, and
    with all that it does at larger budgets. Both networks share a schedule, so that its noise is calibrated once;
    tables of more than 400 units are sampled."""
    small: dict[str, Synthesizer] = {
        "aim": Aim(faint=0.0),
        "gan": Gan(steps=4, steps_each=2, batch_units=400, generated=256, free_steps=5, least_gain=0.0),
        "vae": Vae(steps=4, batch_units=400, free_steps=5, most_noise=1e6),
    }
    return small.get(name) or registry.synthesizer(name)


def _planned(engine: str, sizes: PublicSizes, domain: Domain = DOMAIN, budget: PrivacyBudget = BUDGET) -> Plan:
    return registry.synthesizer(engine).plan(domain, sizes, budget)


def _release(engine: str, rows: pa.Table, sizes: PublicSizes, *, n: int = 300, domain: Domain = DOMAIN) -> pa.Table:
    """Plan, fit, compare what ran with what was planned, sample."""
    synthesizer, noise = _engine(engine), SystemNoise()
    plan = synthesizer.plan(domain, sizes, BUDGET)
    model = synthesizer.fit(rows, domain, plan, noise=noise)
    assert noise.event == plan.event
    return model.sample(n, generator=np.random.default_rng(1))


@pytest.mark.guarantee("same-draw")
@pytest.mark.parametrize("engine", ENGINES)
def test_one_secret_and_one_journal_give_one_model(engine: str, tmp_path: Path) -> None:
    """The sample and the stored model of a repeated fit are those of the first, to the byte."""
    synthesizer, rows = _engine(engine), people(600)
    plan, made = synthesizer.plan(DOMAIN, sizes_of(600), BUDGET), []
    for _ in range(2):
        with Journal(tmp_path / "journal", bytes(32)) as journal:
            noise = AttemptNoise(journal, bytes(range(32)))
            model = synthesizer.fit(rows, DOMAIN, plan, noise=noise)
            noise.finish()
        assert noise.event == plan.event
        made.append((model.sample(300, generator=np.random.default_rng(1)), dump(model)))
    assert made[0][0].equals(made[1][0])
    assert made[0][1] == made[1][1]


@pytest.mark.parametrize("engine", ENGINES)
class TestPlan:
    def test_costs_the_budget_by_two_accountants(self, engine: str) -> None:
        plan = _planned(engine, sizes_of(4_000))
        assert 0.998 <= epsilon(plan.event, 1e-6) <= 1.0
        assert 1.0 <= epsilon_by_rdp(plan.event, 1e-6) <= 1.2
        assert 0 < rdp(plan.event, 13) < 0.4

    def test_is_pure_and_survives_json(self, engine: str) -> None:
        plan = _planned(engine, sizes_of(4_000))
        assert plan == _planned(engine, sizes_of(4_000))
        assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
        assert plan.engine in ENGINES and plan.engine != "auto" and plan.because and plan.domain == DOMAIN.digest

    @pytest.mark.parametrize("asked", [0.01, 0.1, 10.0])
    def test_keeps_to_other_budgets(self, engine: str, asked: float) -> None:
        plan = _planned(engine, sizes_of(4_000), budget=PrivacyBudget.spend(asked, 1e-9))
        assert 0.99 * asked <= epsilon(plan.event, 1e-9) <= asked

    def test_loads_no_torch(self, engine: str) -> None:
        script = (
            "import sys; from dp_models import registry; from tests.dp_models.private_tables import *;"
            "from synthgate.budget import PrivacyBudget;"
            f"registry.synthesizer({engine!r}).plan(DOMAIN, sizes_of(4000), PrivacyBudget.spend(1.0, 1e-6));"
            "sys.exit(any(m in sys.modules for m in ('torch', 'opacus', 'opendp', 'jax', 'pandas')))"
        )
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("engine", ENGINES)
class TestFit:
    def test_gives_declared_values_in_the_canonical_schema(self, engine: str) -> None:
        table = _release(engine, people(800), sizes_of(800), n=500)
        assert table.schema.equals(arrow_schema(DOMAIN), check_metadata=True)
        assert table.num_rows == 500
        _assert_declared(table, DOMAIN)

    @pytest.mark.parametrize(
        "rows",
        [people(0), people(1), constant(300), all_null(300)],
        ids=["no row", "one row", "one person 300 times", "no cell"],
    )
    def test_takes_any_content(self, engine: str, rows: pa.Table) -> None:
        _assert_declared(_release(engine, rows, sizes_of(300)), DOMAIN)

    @pytest.mark.parametrize("declared", [80, 8_000])
    def test_takes_a_declared_size_that_is_ten_times_off(self, engine: str, declared: int) -> None:
        _assert_declared(_release(engine, people(800), sizes_of(declared)), DOMAIN)

    def test_samples_any_number_of_rows(self, engine: str) -> None:
        synthesizer = _engine(engine)
        plan = synthesizer.plan(DOMAIN, sizes_of(200), BUDGET)
        model = synthesizer.fit(people(200), DOMAIN, plan, noise=SystemNoise())
        for n in (0, 1, 7, 1_000):
            assert model.sample(n, generator=np.random.default_rng(0)).num_rows == n
        same = [model.sample(50, generator=np.random.default_rng(5)) for _ in range(2)]
        assert same[0].equals(same[1])

    def test_takes_units_of_several_rows(self, engine: str) -> None:
        _assert_declared(_release(engine, people(600, rows_per_unit=3), sizes_of(600, units=200, max_rows=3)), DOMAIN)

    def test_refuses_rows_beyond_the_cut(self, engine: str) -> None:
        with pytest.raises(DataCorrupted, match="not cut"):
            _release(engine, people(600, rows_per_unit=3), sizes_of(600, units=300, max_rows=2))

    def test_refuses_another_schema(self, engine: str) -> None:
        rows = people(10)
        with pytest.raises(DataCorrupted, match="columns and types"):
            _release(engine, rows.drop_columns(["size"]), sizes_of(10))

    @pytest.mark.parametrize("kept", [("colour",), ("colour", "weight"), ("ill",), ("smokes", "ill")])
    @pytest.mark.parametrize("target", [True, False])
    def test_takes_narrow_domains(self, engine: str, kept: tuple[str, ...], target: bool) -> None:
        domain = Domain(
            columns=tuple(c for c in DOMAIN.columns if c.name in kept),
            target="ill" if target and "ill" in kept else None,
        )
        rows = people(300)
        _assert_declared(
            _release(engine, rows.select([*kept, rows.column_names[-1]]), sizes_of(300), domain=domain), domain
        )

    def test_keeps_no_row(self, engine: str) -> None:
        """White-box: nothing that a model holds is as long as the table, and it holds no Arrow data."""
        n = 1_237
        synthesizer = _engine(engine)
        model = synthesizer.fit(people(n), DOMAIN, synthesizer.plan(DOMAIN, sizes_of(n), BUDGET), noise=SystemNoise())
        held = list(_reachable(model))
        assert not any(isinstance(thing, (pa.Table, pa.Array, pa.ChunkedArray)) for thing in held)
        assert not any(isinstance(thing, np.ndarray) and n in thing.shape for thing in held)
        assert not any(isinstance(thing, (list, tuple, dict)) and len(thing) == n for thing in held)


@pytest.mark.parametrize("engine", ["gan", "vae"])
def test_units_of_many_rows_are_refused_by_engines_that_train(engine: str) -> None:
    with pytest.raises(FailedPrecondition, match="max_rows"):
        _planned(engine, sizes_of(60_000, units=2_000, max_rows=50))


def _assert_declared(table: pa.Table, domain: Domain) -> None:
    """Every cell is a declared category or lies within the declared bounds, and is null only where null is declared."""
    for column in domain.modelled:
        cells = table.column(column.name)
        assert column.nullable or not cells.null_count, column.name
        if column.kind is Kind.CATEGORICAL:
            assert set(cells.drop_null().to_pylist()) <= set(column.categories)
        elif column.kind is not Kind.BOOLEAN and len(cells.drop_null()):
            ends = pc.min_max(cells).as_py()
            assert column.low <= ends["min"] <= ends["max"] <= column.high, column.name


def _reachable(root: Any) -> Any:
    seen, queue = {id(root)}, [root]
    while queue:
        thing = queue.pop()
        yield thing
        for other in gc.get_referents(thing):
            if id(other) not in seen and not isinstance(other, type) and type(other).__name__ != "module":
                seen.add(id(other))
                queue.append(other)
