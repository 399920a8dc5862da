"""Which transactions of the gateway end with something written that no step of `server.failpoints` names, read off its
sources: every way through every ``with ... store.begin() as tx`` is followed, into whatever is given ``tx``.

Leases run out by themselves, and a crash leaves nothing of them half done: what writes them alone needs no step.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from server.ledger.base import LedgerView
from server.store import Transaction

SERVER = Path(__file__).parents[3] / "server"
STORES = ("store.py", "store_sql.py", "store_memory.py", "together.py")
"""Where transactions are made, not used."""
READS = {
    "get", "list", "verdicts", "accounted", "recall", "records", "newest",
    *(name for name in vars(LedgerView) if not name.startswith("_")),
}  # fmt: skip
"""What a part of a transaction is asked; whatever else is called of one counts as a write."""
UNNAMED, NAMED = True, False
Ways = frozenset[bool]
"""For all ways to a place at once: whether something is written there that was not named since. Empty: no way."""

Function = tuple[Path, ast.FunctionDef]


def sources() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SERVER.rglob("*.py"))}


def is_naming(node: ast.AST) -> bool:
    """``gateway.at(Step.<...>_WRITING)``, as a statement."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call) or not node.value.args:
        return False
    step = ast.unparse(node.value.args[0])
    return _called(node.value) == "at" and step.startswith("Step") and "_WRITING" in step


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


def _takes_tx(function: ast.FunctionDef) -> bool:
    return any(each.arg == "tx" for each in function.args.args)


@dataclass
class Names:
    """The sources, followed."""

    trees: dict[Path, ast.Module]
    blocks: list[tuple[Path, int, list[ast.stmt]]] = field(default_factory=list)
    _functions: defaultdict[str, list[Function]] = field(default_factory=lambda: defaultdict(list))
    _known: dict[tuple[int, Ways], Ways] = field(default_factory=dict)
    _loops: list[set[bool]] = field(default_factory=list)
    _ends: list[set[bool]] = field(default_factory=list)
    _file: Path = SERVER

    def __post_init__(self) -> None:
        for path, tree in self.trees.items():
            for node in ast.walk(tree):
                self.blocks += [(path, node.lineno, block) for block in _transactions(node)]  # type: ignore[attr-defined]
                if isinstance(node, ast.FunctionDef) and _takes_tx(node):
                    self._functions[node.name].append((path, node))

    def missing(self) -> list[str]:
        """The transactions that can end with something unnamed."""
        self._known.clear()
        found = []
        for path, line, block in self.blocks:
            self._file = path
            if UNNAMED in self._through(block, frozenset({NAMED})):
                found.append(f"{path.relative_to(SERVER)}:{line}")
        return found

    def _through(self, block: Iterable[ast.stmt], ways: Ways) -> Ways:
        """How a block can be left, by its end or by a return from it."""
        self._ends.append(set())
        ways = self._all(block, ways)
        return ways | self._ends.pop()

    def _all(self, block: Iterable[ast.stmt], ways: Ways) -> Ways:
        for statement in block:
            ways = self._one(statement, ways) if ways else ways
        return ways

    def _one(self, statement: ast.stmt, ways: Ways) -> Ways:
        if is_naming(statement):
            return frozenset({NAMED})
        match statement:
            case ast.FunctionDef():
                return ways
            case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
                return self._left(statement, self._calls(statement, ways))
            case ast.If():
                ways = self._calls(statement.test, ways)
                return self._all(statement.body, ways) | self._all(statement.orelse, ways)
            case ast.For() | ast.While():
                return self._loop(statement, ways)
            case ast.With():
                for item in statement.items:
                    ways = self._calls(item.context_expr, ways)
                return self._all(statement.body, ways)
            case ast.Try():
                done = raised = ways
                for each in statement.body:  # what raises has written nothing; what holds more statements may have
                    raised |= done
                    done = self._one(each, done) if done else done
                    raised |= done if hasattr(each, "body") else raised
                caught = [self._all(each.body, raised) for each in statement.handlers]
                return self._all(statement.finalbody, self._all(statement.orelse, done).union(*caught))
        return self._calls(statement, ways)

    def _left(self, statement: ast.stmt, ways: Ways) -> Ways:
        if isinstance(statement, ast.Return):
            self._ends[-1] |= ways
        elif isinstance(statement, ast.Break | ast.Continue):
            (self._loops or self._ends)[-1].update(ways)
        return frozenset()

    def _loop(self, loop: ast.For | ast.While, ways: Ways) -> Ways:
        self._loops.append(set())
        ways = self._calls(loop.iter if isinstance(loop, ast.For) else loop.test, ways)
        for _ in range(2):
            ways |= self._all(loop.body, ways) | self._loops[-1]
        self._loops.pop()
        return self._all(loop.orelse, ways)

    def _calls(self, node: ast.AST, ways: Ways) -> Ways:
        """After all that an expression calls, innermost first; what it may leave out, it may."""
        for child in ast.iter_child_nodes(node):
            after = self._calls(child, ways)
            ways = ways | after if isinstance(node, ast.IfExp | ast.BoolOp | ast.comprehension) else after
        if not isinstance(node, ast.Call):
            return ways
        part = node.func.value if isinstance(node.func, ast.Attribute) else None
        if isinstance(part, ast.Attribute) and ast.unparse(part.value) == "tx":
            assert part.attr in Transaction.__slots__, f"a transaction has no {part.attr}"
            return ways if part.attr == "leases" or _called(node) in READS else frozenset({UNNAMED})
        given = [*node.args, *(each.value for each in node.keywords)]
        if not any(isinstance(each, ast.Name) and each.id == "tx" for each in given):
            return ways
        into = self._functions[_called(node)]
        assert into, f"line {node.lineno} gives its transaction to {_called(node)!r}, which is not found"
        own = [each for each in into if each[0] == self._file] if isinstance(node.func, ast.Name) else []
        return frozenset().union(*(self._function(*each, ways) for each in own or into))

    def _function(self, path: Path, function: ast.FunctionDef, ways: Ways) -> Ways:
        asked = id(function), ways
        if asked not in self._known:
            self._known[asked] = ways  # one that calls itself adds nothing by that
            before, self._file = self._file, path
            self._known[asked] = self._through(function.body, ways)
            self._file = before
        return self._known[asked]


def _transactions(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The block of a ``with``, and the function that `Store.together` runs in a transaction that others share."""
    if isinstance(node, ast.With):
        for item in node.items:
            begun = ast.unparse(item.context_expr)
            if begun.endswith("store.begin()"):
                assert item.optional_vars is not None, begun
                assert ast.unparse(item.optional_vars) == "tx", "a transaction is called tx, or it is not followed"
                yield node.body
    if isinstance(node, ast.FunctionDef):
        shared = {
            ast.unparse(call.args[0])
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and _called(call) == "together" and call.args
        }
        yield from (f.body for f in ast.walk(node) if isinstance(f, ast.FunctionDef) and f.name in shared)
