"""SmartNoise's engines are priced from public facts, without SmartNoise: what they cost, and what they refuse."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from dp_models.base import Plan
from dp_models.encoding.codes import Codec
from dp_models.mechanisms.accounting import epsilon, rdp
from dp_models.registry import synthesizer
from dp_models.smartnoise import ENGINES
from dp_models.smartnoise.aim import SmartNoiseAim
from dp_models.smartnoise.blocks import BlocksModel
from dp_models.smartnoise.coded import Coded, distance
from dp_models.smartnoise.mwem import SmartNoiseMwem
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.errors import DataCorrupted, FailedPrecondition, InvalidArgument
from synthgate.events import Composed, DiscreteGaussian, Exponential, Opaque, Repeated, ZeroConcentrated
from tests.dp_models.private_tables import DOMAIN, people, sizes_of

BUDGET = PrivacyBudget.spend(1.0, 1e-6)
WRAPPED = ("smartnoise-aim", "smartnoise-mst", "smartnoise-mwem")
CLAIMED = tuple(sorted(set(ENGINES) - set(WRAPPED)))


def planned(engine: str, sizes: PublicSizes | None = None, domain: Domain = DOMAIN, budget: PrivacyBudget = BUDGET):
    return synthesizer(engine).plan(domain, sizes or sizes_of(4_000), budget)


def wide(codes: int, columns: int = 2) -> Domain:
    names = tuple(str(i) for i in range(codes))
    return Domain(columns=tuple(Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=names) for i in range(columns)))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_plan_costs_what_was_asked_and_survives_json(engine: str) -> None:
    plan = planned(engine)
    assert 0.998 <= epsilon(plan.event, 1e-6) <= 1.0
    assert plan == planned(engine)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize("engine", WRAPPED)
@pytest.mark.parametrize("asked", [0.01, 0.1, 10.0])
def test_wrapped_engines_keep_to_other_budgets(engine: str, asked: float) -> None:
    plan = planned(engine, budget=PrivacyBudget.spend(asked, 1e-9))
    assert 0.99 * asked <= epsilon(plan.event, 1e-9) <= asked


def test_mst_buys_six_columns_five_edges_and_five_choices() -> None:
    """A third of the rho each: a choice has epsilon^2/8 of it, a table 1/(2 sigma^2)."""
    plan = planned("smartnoise-mst")
    p = plan.parameters
    assert plan.event == Composed((
        Repeated(DiscreteGaussian(p["sigma_columns"]), 6), Repeated(Exponential(p["epsilon_select"]), 5),
        Repeated(DiscreteGaussian(p["sigma_edges"]), 5),
    ))  # fmt: skip
    thirds = 6 / (2 * p["sigma_columns"] ** 2), 5 * p["epsilon_select"] ** 2 / 8, 5 / (2 * p["sigma_edges"] ** 2)
    assert thirds == pytest.approx([thirds[1]] * 3, rel=1e-3)


def test_aim_is_one_filter_that_meter_b_counts_by_its_rho() -> None:
    plan = planned("smartnoise-aim")
    assert plan.event == ZeroConcentrated(plan.parameters["rho"])
    assert rdp(plan.event, 13) == 13 * plan.parameters["rho"]
    with pytest.raises(InvalidArgument, match="at least 2 rounds"):
        SmartNoiseAim(rounds_per_column=1)


@pytest.mark.parametrize(
    ("cells", "blocks"),
    [(3 * 34, [[0, 1], [2], [3], [4]]), (40, [[0], [1], [2], [3], [4]]), (10**7, [[0, 1, 2, 3, 4]])],
)
def test_mwem_puts_neighbouring_columns_together_as_far_as_they_fit(cells: int, blocks: list[list[int]]) -> None:
    """Sizes are the codes: two categories and `other` make 3, 32 bins, null and `other` make 34."""
    columns = (
        Column(name="a", kind=Kind.CATEGORICAL, categories=("x", "y")),
        *(Column(name=n, kind=Kind.FLOAT, low=0, high=1, nullable=True) for n in "bcde"),
    )
    plan = SmartNoiseMwem(cells=cells).plan(Domain(columns=columns), sizes_of(4_000), BUDGET)
    assert plan.parameters["blocks"] == blocks
    assert plan.parameters["rounds"] == [min(10, len(b) * (len(b) + 1) // 2) for b in blocks]


@pytest.mark.parametrize("engine", WRAPPED)
def test_wrapped_engines_scale_noise_with_the_rows_of_a_unit(engine: str) -> None:
    one, three = planned(engine), planned(engine, sizes_of(4_000, units=4_000, max_rows=3))
    if engine == "smartnoise-aim":
        assert one.event == three.event, "the filter's rho is the same; the noise inside grows"
    else:
        sigma = "sigma_rounds" if engine == "smartnoise-mwem" else "sigma_edges"
        assert three.parameters[sigma] == pytest.approx(3 * one.parameters[sigma], rel=0.01)


@pytest.mark.parametrize("engine", CLAIMED)
def test_the_others_cost_their_claim_which_meter_a_alone_can_count(engine: str) -> None:
    plan = planned(engine)
    assert plan.event == Opaque(1.0, 1e-6)
    assert rdp(plan.event, 13) == math.inf


@pytest.mark.parametrize(
    ("engine", "domain", "sizes", "budget", "words"),
    [
        *((e, DOMAIN, sizes_of(4_000, max_rows=2), BUDGET, "units of several rows") for e in CLAIMED),
        ("smartnoise-pategan", DOMAIN, sizes_of(900), BUDGET, "needs 1,000 training rows"),
        ("smartnoise-pacsynth", DOMAIN, sizes_of(2_600), BUDGET, "needs 2,625 training rows at epsilon 1"),
        ("smartnoise-dpgan", DOMAIN, sizes_of(1), BUDGET, "needs 2 training rows"),
        ("smartnoise-dpctgan", DOMAIN, sizes_of(1), BUDGET, "needs 2 training rows"),
        ("smartnoise-mwem", DOMAIN, sizes_of(80, max_rows=1_000), BUDGET, "ask for a larger epsilon"),
        ("smartnoise-dpgan", DOMAIN, sizes_of(4_000), PrivacyBudget.spend(0.2, 1e-6), "below epsilon 0.223"),
        ("smartnoise-patectgan", DOMAIN, sizes_of(4_000), PrivacyBudget.spend(0.1, 1e-6), "below epsilon 0.138"),
        ("smartnoise-mst", wide(1_000), sizes_of(4_000), BUDGET, "1,002,001 cells"),
        ("smartnoise-aim", wide(1_000, 100), sizes_of(4_000), BUDGET, "100,100 codes"),
    ],
)
def test_refusals_say_what_to_change(
    engine: str, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget, words: str
):
    with pytest.raises(FailedPrecondition, match=words):
        planned(engine, sizes, domain, budget)


def test_mwem_refuses_a_column_that_no_histogram_takes() -> None:
    with pytest.raises(FailedPrecondition, match="34 codes, more than the 20 cells"):
        SmartNoiseMwem(cells=20).plan(DOMAIN, sizes_of(4_000), BUDGET)


def test_planning_loads_nothing_that_fits() -> None:
    script = (
        "import sys; from dp_models.registry import synthesizer; from tests.dp_models.private_tables import *;"
        "from synthgate.budget import PrivacyBudget;"
        f"[synthesizer(e).plan(DOMAIN, sizes_of(4000), PrivacyBudget.spend(1.0, 1e-6)) for e in {ENGINES!r}];"
        "sys.exit(any(m in sys.modules for m in ('torch', 'opacus', 'opendp', 'jax', 'mbi', 'snsynth', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


class TestCoded:
    def test_sizes_are_declared_and_counts_exact(self) -> None:
        coded = Coded.of(people(300), DOMAIN, max_rows=1)
        assert coded.sizes == Codec(DOMAIN).sizes == (4, 34, 5, 4, 33, 3)
        assert coded.table([0, 5]).shape == (4, 3)
        assert coded.table([0, 5]).sum() == 300
        assert Coded.of(people(0), DOMAIN, max_rows=1).table([1]).sum() == 0

    def test_rows_beyond_the_cut_are_refused(self) -> None:
        with pytest.raises(DataCorrupted, match="not cut"):
            Coded.of(people(30, rows_per_unit=3), DOMAIN, max_rows=2)

    @pytest.mark.parametrize(("rows", "empty"), [(2, 0), (3, 0), (5, 2)])
    def test_it_is_cut_or_filled_up_to_a_public_length(self, rows: int, empty: int) -> None:
        coded = Coded(np.array([[0, 1, 0], [2, 0, 1]]), (3, 4))
        assert coded.resized(rows).shape == (2, rows)
        assert (coded.resized(rows) == np.array([[2], [3]])).all(axis=0).sum() == empty

    def test_a_row_moves_a_distance_by_one_and_no_more(self) -> None:
        """Expected counts are a fixed grid, whatever their decimals."""
        rng = np.random.default_rng(0)
        for _ in range(200):
            true, expected = rng.integers(0, 50, 7), rng.random(7) * 50
            more = true.copy()
            more[rng.integers(7)] += 1
            assert abs(distance(more, expected) - distance(true, expected)) <= 1.0


def test_blocks_never_draw_other_where_null_is_not_allowed() -> None:
    codec = Codec(DOMAIN)
    weights = [np.ones([codec.sizes[i] for i in block]) for block in ([0, 5], [1], [2, 3], [4])]
    weights[0][...] = 0.0
    weights[0][3, 2] = 1.0  # nothing but `other`
    model = BlocksModel.of(codec, [[0, 5], [1], [2, 3], [4]], weights)
    drawn = model.sample(400, generator=np.random.default_rng(0))
    assert drawn.column("colour").null_count == drawn.column("ill").null_count == 0
    assert set(drawn.column("colour").to_pylist()) == {"blue", "green", "red"}
