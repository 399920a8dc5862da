"""Works run side by side, a few at a time; what they make comes back in order, and what they raise is raised."""

import threading
from collections.abc import Iterator

import pytest

from dp_models.encoding.side_by_side import MOST, each


def test_what_is_made_comes_back_in_order_and_few_are_drawn_ahead() -> None:
    drawn, made, most = 0, [], 0

    def items() -> Iterator[int]:
        nonlocal drawn, most
        for number in range(100):
            drawn += 1
            most = max(most, drawn - len(made))
            yield number

    each(lambda number: number**2, items(), into=made.append)
    assert made == [number**2 for number in range(100)]
    assert most <= MOST + 2


def test_works_run_elsewhere_and_results_are_taken_here() -> None:
    where: list[int] = []
    each(lambda _: threading.get_ident(), range(5), into=lambda made: where.append(made))
    assert threading.get_ident() not in where
    taken: list[int] = []
    each(lambda number: number, range(3), into=lambda _: taken.append(threading.get_ident()))
    assert set(taken) == {threading.get_ident()}


@pytest.mark.parametrize("place", ["work", "items", "into"])
def test_what_any_of_them_raises_is_raised(place: str) -> None:
    def fails(*_: int) -> int:
        raise LookupError(place)

    def items() -> Iterator[int]:
        yield 1
        if place == "items":
            fails()

    with pytest.raises(LookupError, match=place):
        each(fails if place == "work" else lambda n: n, items(), into=fails if place == "into" else lambda _: None)
