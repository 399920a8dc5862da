"""What the database itself refuses: rewriting history, and a line that does not follow the newest one.

The same refusals on SQLite and PostgreSQL, as integrity errors. Used by revisions, so what a function here gives for
the same arguments stays as it is.
"""

from collections.abc import Iterator

GENESIS = "0" * 64


def append_only(dialect: str, table: str, *, verbs: tuple[str, ...]) -> Iterator[str]:
    """Statements that make ``table`` refuse ``verbs`` (UPDATE, DELETE)."""
    for verb in verbs:
        name, refusal = f"{table}_no_{verb.lower()}", f"{table}: no {verb} is allowed"
        if dialect == "sqlite":
            yield f"CREATE TRIGGER {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            continue
        yield _function(name, _raise(refusal))
        yield f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
        if verb == "DELETE":
            yield f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION {name}()"


def chained(dialect: str, table: str) -> Iterator[str]:
    """Statements that make ``table`` refuse a line whose sequence or previous digest does not follow the newest."""
    name, refusal = f"{table}_in_order", f"{table}: a line follows the newest one"
    distinct = "IS NOT" if dialect == "sqlite" else "IS DISTINCT FROM"
    broken = (
        f"NEW.sequence {distinct} (SELECT coalesce(max(sequence), 0) + 1 FROM {table}) OR NEW.previous {distinct} "  # noqa: S608 (our own names)
        f"coalesce((SELECT digest FROM {table} ORDER BY sequence DESC LIMIT 1), '{GENESIS}')"
    )
    if dialect == "sqlite":
        yield (
            f"CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN {broken} BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )
        return
    yield _function(name, f"IF {broken} THEN {_raise(refusal)} END IF; RETURN NEW;")
    yield f"CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"


def fenced(dialect: str, table: str) -> Iterator[str]:
    """Statements that make ``table`` refuse a fence that shrinks, or stays although the holder changes to somebody."""
    name, refusal = f"{table}_fence_grows", f"{table}: a new holder takes a larger fence"
    reused = "NEW.fence = OLD.fence AND NEW.holder NOT IN ('', OLD.holder)"
    broken = f"NEW.name <> OLD.name OR NEW.fence < OLD.fence OR ({reused})"
    if dialect == "sqlite":
        yield (
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} WHEN {broken} BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
        )
        return
    yield _function(name, f"IF {broken} THEN {_raise(refusal)} END IF; RETURN NEW;")
    yield f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"


def _function(name: str, body: str) -> str:
    return f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


def _raise(refusal: str) -> str:
    return f"RAISE EXCEPTION '{refusal}' USING ERRCODE = 'integrity_constraint_violation';"
