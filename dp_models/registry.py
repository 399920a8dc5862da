"""Which synthesizers are installed: entry points of the group ``synthgate.engines``, plus ``auto``.

An entry point names a class that is constructed without arguments. A plug-in brings one line in its pyproject; nothing
here changes. Which of them a gateway may use is the operator's list, not a property of an engine.
"""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from dp_models.auto import Auto
from dp_models.base import Synthesizer
from synthgate.errors import InternalError, UnknownEngine

GROUP = "synthgate.engines"


@cache
def installed() -> dict[str, EntryPoint]:
    """Every installed engine's entry point under its name. Raises InternalError as `by_name` does."""
    return by_name(entry_points(group=GROUP))


def by_name(points: Iterable[EntryPoint]) -> dict[str, EntryPoint]:
    """Entry points under their names. Raises InternalError where two packages claim one, or one claims ``auto``."""
    found: dict[str, EntryPoint] = {}
    for point in points:
        if point.name == Auto().name or found.get(point.name, point).value != point.value:
            raise InternalError(f"two synthesizers are installed under the name {point.name!r}; uninstall one")
        found[point.name] = point
    return found


def own(name: str) -> bool:
    """Whether an engine is one of this project's, which the audit attacks; a plug-in's is not."""
    point = installed().get(name)
    return point is not None and point.value.partition(":")[0].startswith("dp_models.")


def names() -> tuple[str, ...]:
    """The names that a request may carry, in alphabetical order."""
    return tuple(sorted((Auto().name, *installed())))


def synthesizer(name: str) -> Synthesizer:
    """The synthesizer of that name with its default hyper-parameters. Raises UnknownEngine."""
    if name == Auto().name:
        return Auto()
    point = installed().get(name)
    if point is None:
        raise UnknownEngine(f"no engine {name!r} is installed; choose one of {', '.join(names())}")
    built: Synthesizer = point.load()()
    if built.name != name:
        raise InternalError(f"the engine installed as {name!r} calls itself {built.name!r}")
    return built
