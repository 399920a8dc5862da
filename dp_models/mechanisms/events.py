"""How events that ran one after the other are written: one form, so that plan and run compare equal."""

from collections.abc import Iterable
from itertools import groupby

from synthgate.events import Composed, DpEvent, Repeated


def compose(events: Iterable[DpEvent]) -> DpEvent:
    """The composition of ``events`` in order: runs of equal events become `Repeated`, several runs a `Composed`.

    Raises InvalidArgument where there is no event.
    """
    runs: list[DpEvent] = []
    for event, same in groupby(events):
        count = sum(1 for _ in same)
        runs.append(Repeated(event, count) if count > 1 else event)
    return runs[0] if len(runs) == 1 else Composed(tuple(runs))
