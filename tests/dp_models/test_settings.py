"""Hyper-parameters that no plan can be made of are refused when an engine is made, with what is allowed instead."""

import math
from collections.abc import Callable

import pytest

from dp_models.auto import Auto
from dp_models.base import Synthesizer
from dp_models.engines.aim import Aim
from dp_models.engines.gan import Gan
from dp_models.engines.mst import Mst
from dp_models.engines.tree import Tree
from dp_models.engines.vae import Vae
from dp_models.registry import names, synthesizer
from dp_models.smartnoise.aim import SmartNoiseAim
from dp_models.smartnoise.claimed import Dpctgan, Dpgan, Pacsynth, Patectgan, Pategan
from dp_models.smartnoise.mst import SmartNoiseMst
from dp_models.smartnoise.mwem import SmartNoiseMwem
from synthgate.errors import InvalidArgument

COUNTS: dict[Callable[..., Synthesizer], tuple[str, ...]] = {
    Vae: ("hidden", "latent", "draws", "steps", "batch_units"),
    Gan: ("hidden", "latent", "steps", "steps_each", "generated", "batch_units"),
    Tree: ("least_levels",),
    Mst: ("steps",),
    Aim: ("steps",),
    SmartNoiseAim: ("rounds_per_column", "max_cells", "model_mib", "steps"),
    SmartNoiseMst: ("steps_select", "steps"),
    SmartNoiseMwem: ("cells", "rounds", "updates"),
    Dpctgan: ("epochs", "batch_size"),
    Dpgan: ("epochs", "batch_size"),
    Pategan: ("batch_size",),
    Patectgan: ("batch_size", "sample_per_teacher"),
    Pacsynth: ("reporting_length",),
}
SHARES: dict[Callable[..., Synthesizer], tuple[str, ...]] = {
    Vae: ("share_tables",),
    Gan: ("share_tables",),
    Tree: ("share_columns", "share_star", "share_select"),
    Mst: ("share_columns", "share_star", "share_select"),
    Aim: ("share_columns", "share_star", "share_select"),
    SmartNoiseMwem: ("share_select",),
}
NUMBERS: dict[Callable[..., Synthesizer], tuple[str, ...]] = {
    Vae: ("learning_rate", "momentum", "averaging", "tolerance", "most_noise"),
    Gan: ("learning_rate", "decay", "generator_rate", "signal"),
    Tree: ("contrast_star", "contrast"),
    Mst: ("contrast",),
    Aim: ("contrast", "rounds_per_edge"),
}


def _each(names: dict[Callable[..., Synthesizer], tuple[str, ...]]) -> list[object]:
    return [pytest.param(engine, name, id=f"{engine.__name__}.{name}") for engine in names for name in names[engine]]


@pytest.mark.parametrize(("engine", "name"), _each(COUNTS))
@pytest.mark.parametrize("value", [0, -4, 1.5, True, "3", None])
def test_counts_are_whole_and_above_zero(engine: Callable[..., Synthesizer], name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=name) as caught:
        engine(**{name: value})
    assert engine.__name__ in caught.value.message and "at least" in caught.value.message


@pytest.mark.parametrize(("engine", "name"), _each(SHARES))
@pytest.mark.parametrize("value", [0, 1, 1.2, -0.1, math.nan])
def test_shares_leave_something(engine: Callable[..., Synthesizer], name: str, value: float) -> None:
    with pytest.raises(InvalidArgument, match=name):
        engine(**{name: value})


@pytest.mark.parametrize("engine", [Tree, Mst, Aim])
def test_shares_that_leave_nothing_together(engine: Callable[..., Synthesizer]) -> None:
    with pytest.raises(InvalidArgument, match=r"1\.3 of the budget together"):
        engine(share_columns=0.4, share_star=0.5, share_select=0.4)


@pytest.mark.parametrize(("engine", "name"), _each(NUMBERS))
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "1"])
def test_numbers_are_finite_and_not_negative(engine: Callable[..., Synthesizer], name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=f"{name} must be"):
        engine(**{name: value})


@pytest.mark.parametrize("seconds", [-1.0, math.nan, "5"])
def test_a_time_limit_is_a_number_or_none_at_all(seconds: float) -> None:
    assert Auto(time_limit_s=math.inf).name == "auto"
    with pytest.raises(InvalidArgument, match="time_limit_s"):
        Auto(time_limit_s=seconds)


@pytest.mark.parametrize(
    "made",
    [
        lambda: Tree(share_columns=1e-300),
        lambda: Tree(contrast=5e-324),
        lambda: Vae(steps=10**400),
        lambda: Aim(rounds_per_edge=1e300),
    ],
    ids=["share", "contrast", "steps", "rounds"],
)
def test_numbers_beyond_all_use_are_refused_before_they_overflow(made: Callable[[], Synthesizer]) -> None:
    with pytest.raises(InvalidArgument, match="must be"):
        made()


@pytest.mark.parametrize("name", names())
def test_the_defaults_are_allowed(name: str) -> None:
    assert synthesizer(name).name == name
