"""`derive`: rows of a stored model under conditions and with shares. Post-processing: nothing here reads a private row.

Tables and junction trees are conditioned in closed form (`ExactModel`), then sampled as ever; where moments have
calendar parts their rows are kept if the moment that came of all three lies in the range. Other models are sampled by
rejection alone, which is exact too. It is bounded by a public number of draws. Either way every row satisfies what was
asked, there are as many as were asked for, and what a model cannot give is refused by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dp_models.base import FloatArray
from dp_models.encoding.table import arrow_schema
from dp_models.stored import evidence
from dp_models.stored.registry import EXACT, StoredModel
from synthgate.derivation import Allowed, Derivation, allowed, strata
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition

MAX_DRAWS, DRAWS_EACH = 4_000_000, 16
"""Rows that are drawn at most for one derived sample by rejection: so many, and so many for each row asked for."""
BATCH = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """``rows`` rows that all satisfy ``conditions``; ``named`` is the value of the rebalanced column."""

    rows: int
    conditions: tuple[Allowed, ...]
    named: str = ""


def derive(
    model: StoredModel, domain: Domain, derivation: Derivation, *, rows: int, generator: np.random.Generator
) -> tuple[pa.Table, str]:
    """``rows`` rows in the canonical schema, in an order that tells nothing, and in words how they were drawn.

    Raises FailedPrecondition where the model gives what was asked no probability, or too little for rejection.
    """
    parts = [p for p in _parts(domain, derivation, rows) if p.rows]
    drawn = (_draw(model, p, p.rows * (MAX_DRAWS + DRAWS_EACH * rows) // rows, generator) for p in parts)
    tables = [arrow_schema(domain).empty_table(), *drawn]
    shuffled = pa.concat_tables(tables).take(pa.array(generator.permutation(rows)))
    return shuffled, _how(model, domain, derivation)


def _how(model: StoredModel, domain: Domain, derivation: Derivation) -> str:
    if not derivation.conditions and derivation.rebalance is None:
        return "from the model's own distribution"
    if isinstance(model, EXACT):
        moments = evidence.moments(model.columns, [allowed(c, domain) for c in derivation.conditions])
        then = ", moments by rejection" if moments else ""
        return f"from the model's distribution given what was asked, in closed form{then}"
    return "from the model's distribution given what was asked, by rejection"


def _parts(domain: Domain, derivation: Derivation, rows: int) -> list[Part]:
    """Whole rows for each share: the expected number rounded down, what is left to the largest remainders."""
    conditions = tuple(allowed(c, domain) for c in derivation.conditions)
    if derivation.rebalance is None:
        return [Part(rows=rows, conditions=conditions)]
    wanted = strata(derivation.rebalance, domain)
    expected = np.array([share * rows for _, share in wanted])
    counts = np.floor(expected + 1e-9).astype(np.int64)
    first = np.argsort(-(expected - counts), kind="stable")[: rows - int(counts.sum())]
    counts[first] += 1
    return [
        Part(rows=int(n), conditions=(*conditions, value), named=_name(value))
        for n, (value, _) in zip(counts, wanted, strict=True)
    ]


def _name(value: Allowed) -> str:
    shown = "null" if value.null else str(value.value).lower() if isinstance(value.value, bool) else value.value
    return f"{value.column.name}={shown}"


def _draw(model: StoredModel, part: Part, most: int, generator: np.random.Generator) -> pa.Table:
    columns, conditions = model.columns, part.conditions
    if not conditions:
        return columns.decode(model.codes(part.rows, generator=generator), generator=generator)
    wanted = evidence.likelihoods(columns, conditions)
    if not isinstance(model, EXACT):
        return _rejected(model, part, wanted, most, generator)
    posterior, probability = model.given(wanted)
    if not probability > 0:
        raise _impossible(part)
    if evidence.moments(columns, conditions):
        return _rejected(posterior, part, [np.ones_like(w) for w in wanted], most, generator)
    return evidence.decode(columns, posterior.codes(part.rows, generator=generator), conditions, generator=generator)


def _rejected(
    model: StoredModel, part: Part, likelihoods: Sequence[FloatArray], most: int, generator: np.random.Generator
) -> pa.Table:
    """Rows that satisfy the conditions, of at most so many draws: one is kept with the product of its codes'
    likelihoods, if its moments came out in their ranges."""
    kept: list[pa.Table] = []
    found = drawn = 0
    while found < part.rows:
        if drawn >= most:
            raise _rare(model, part, found, drawn)
        batch = min(BATCH, most - drawn)
        drawn += batch
        codes = np.stack([np.asarray(c) for c in model.codes(batch, generator=generator)])
        chance = np.ones(batch)
        for row, likelihood in zip(codes, likelihoods, strict=True):
            chance *= likelihood[row]
        codes = codes[:, generator.random(batch) < chance]
        table = evidence.decode(model.columns, list(codes), part.conditions, generator=generator)
        holds = evidence.holds(model.columns, table, part.conditions)
        kept.append(table if holds is None else table.filter(holds))
        found += kept[-1].num_rows
    return pa.concat_tables(kept).slice(0, part.rows)


def _asked(part: Part) -> str:
    if part.named:
        return f"{part.named} under these conditions" if len(part.conditions) > 1 else part.named
    return f"the conditions on {', '.join(c.column.name for c in part.conditions)}"


def _impossible(part: Part) -> FailedPrecondition:
    advice = "give shares to other values alone" if part.named else "ask for something wider"
    return FailedPrecondition(f"the model gives {_asked(part)} no probability, so it has no such rows; {advice}")


def _rare(model: StoredModel, part: Part, found: int, drawn: int) -> FailedPrecondition:
    other = (
        "" if isinstance(model, EXACT) else ", or derive from a release of a table engine, which rejects few or none"
    )
    return FailedPrecondition(
        f"of {drawn:,} rows drawn from the model {found:,} satisfy {_asked(part)}, and {part.rows:,} were asked for;"
        f" ask for fewer rows or something wider{other}"
    )
