"""Engines are found by entry point, built without arguments, and named when one is missing."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from dp_models import registry
from synthgate.errors import InternalError, UnknownEngine


def test_the_built_in_engines_are_installed() -> None:
    assert set(registry.names()) >= {"aim", "auto", "gan", "independent", "mst", "star", "tree", "vae"}
    assert list(registry.names()) == sorted(registry.names())


def test_every_engine_bears_its_name_and_compares_as_a_value() -> None:
    for name in registry.names():
        assert registry.synthesizer(name).name == name
        assert registry.synthesizer(name) == registry.synthesizer(name)


@pytest.mark.parametrize("name", ["", "Tree", "pategan", "../tree"])
def test_a_missing_engine_is_named_with_what_is_installed(name: str) -> None:
    with pytest.raises(UnknownEngine, match="aim, auto, gan, independent"):
        registry.synthesizer(name)


def _point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=registry.GROUP)


@pytest.mark.parametrize(
    "points",
    [[_point("mine", "a:A"), _point("mine", "b:B")], [_point("auto", "a:A")]],
    ids=["two of one name", "auto taken"],
)
def test_duplicates_are_refused(points: list[EntryPoint]) -> None:
    with pytest.raises(InternalError, match="two synthesizers"):
        registry.by_name(points)


def test_one_package_seen_twice_is_one_engine() -> None:
    assert list(registry.by_name([_point("mine", "a:A"), _point("mine", "a:A")])) == ["mine"]


def test_the_registry_loads_no_engine_library() -> None:
    script = (
        "import sys; from dp_models import registry; [registry.synthesizer(n) for n in registry.names()];"
        "sys.exit(any(m in sys.modules for m in ('torch', 'opacus', 'opendp', 'jax', 'grpc', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
