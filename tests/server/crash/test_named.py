"""Every transaction that writes is named by a step, so that a new one cannot be left out of `test_failpoints`."""

import ast

import pytest

from tests.server.crash.naming import SERVER, STORES, Names, is_naming, sources


@pytest.mark.guarantee("no-lost-spend")
def test_every_transaction_that_writes_names_a_step(record_property) -> None:
    found = Names(sources())
    assert found.missing() == []
    record_property("reached", f"every way through {len(found.blocks)} transactions: what writes is named")


def test_every_transaction_is_followed() -> None:
    calls = [
        node.func.attr
        for path, tree in sources().items()
        if path.name not in STORES
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr == "together" or (node.func.attr == "begin" and not node.keywords)
    ]
    assert len(Names(sources()).blocks) == len(calls)


@pytest.mark.guarantee("no-lost-spend")
def test_a_step_that_is_left_out_is_seen() -> None:
    """Each naming is taken out in turn."""
    trees = sources()
    names = Names(trees)
    namings = [
        (block, number)
        for tree in trees.values()
        for node in ast.walk(tree)
        for _, block in ast.iter_fields(node)
        if isinstance(block, list)
        for number, statement in enumerate(block)
        if isinstance(statement, ast.AST) and is_naming(statement)
    ]
    assert len(namings) > 20
    for block, number in namings:
        kept, block[number] = block[number], ast.Pass()
        assert names.missing(), f"{ast.unparse(kept)} is not missed"
        block[number] = kept


@pytest.mark.guarantee("no-lost-spend")
@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("tx.audit.append(); gateway.at(Step.A_WRITING)", False),
        ("gateway.at(Step.A_WRITING); tx.audit.append()", True),
        ("tx.leases.put(lease); tx.releases.get(name)", False),
        ("[tx.ledger.void(each) for each in gone]", True),
        ("return late or tx.requests.remember()", True),
        ("written(gateway, tx)", True),
    ],
)
def test_a_write_on_one_way_alone_is_seen(body: str, seen: bool) -> None:
    lines = "\n        ".join(body.split("; "))
    text = (
        "def written(gateway, tx):\n    if gateway:\n        tx.datasets.add(1)\n"
        f"def work(gateway):\n    with gateway.store.begin() as tx:\n        {lines}\n"
    )
    assert bool(Names({SERVER / "new.py": ast.parse(text)}).missing()) is seen
