"""Pages: every item once, in order, whatever the size."""

import pytest

from server.rpc.guard import PAGE_DEFAULT, PAGE_MAX, page
from synthgate.errors import InvalidArgument

ITEMS = tuple(f"item-{i}" for i in range(250))


@pytest.mark.parametrize("size", [0, 1, 99, 100, 249, 250, 251, PAGE_MAX])
def test_pages_hold_every_item_once_in_order(size: int) -> None:
    found: list[str] = []
    token = ""
    while True:
        items, token = page(ITEMS, str, size, token)
        assert len(items) <= (size or PAGE_DEFAULT)
        found += items
        if not token:
            break
    assert tuple(found) == ITEMS


@pytest.mark.parametrize("size", [-1, PAGE_MAX + 1])
def test_a_faulty_size_is_refused(size: int) -> None:
    with pytest.raises(InvalidArgument):
        page(ITEMS, str, size, "")


def test_a_token_from_elsewhere_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        page(ITEMS, str, 0, "elsewhere")


def test_nothing_is_one_empty_page() -> None:
    assert page((), str, 0, "") == ((), "")
