"""What `vae` and `gan` have in common: a tree of noisy tables for a part of the budget, DP-SGD for the rest.

Both halves are fixed by public facts and priced together, so the plan's event is the tree's events followed by one
`PoissonGaussian`. Where gradients have nothing to gain, by public facts, the whole budget buys a tree, or a star where
pairs would be faint. Loads no torch.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dp_models.base import IntArray, Noise, Plan, Rows
from dp_models.encoding.codes import Codec
from dp_models.encoding.grid import MIN_CELLS
from dp_models.encoding.table import BATCH_ROWS
from dp_models.engines.chain import Chain
from dp_models.engines.star import tree_or_star
from dp_models.engines.tree import Tree
from dp_models.mechanisms.calibration import calibrate, round_up
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import UNIT_COLUMN, Domain
from synthgate.errors import FailedPrecondition
from synthgate.events import Composed, DpEvent, PoissonGaussian

MAX_ROWS_PER_UNIT = 16
_DROWNED = "noise would drown gradients"
UnitCodes = npt.NDArray[np.signedinteger[Any]]
"""Codes (units, rows, columns) of any width, -1 in rows that are padding."""


def two_stages(
    engine: str,
    domain: Domain,
    sizes: PublicSizes,
    budget: PrivacyBudget,
    *,
    share_tables: float,
    batch_units: int,
    steps: int,
    drowns: Callable[[float], bool],
) -> Plan:
    """A plan whose ``parameters`` are ``tables``, those of a tree with ``share_tables`` of the budget (as rho), and the
    rate, noise and divisor of ``steps`` of DP-SGD with at most ``batch_units`` units expected in a batch.

    Where the noise on a coordinate of a mean gradient ``drowns``, none fits the budget, or a single column leaves
    gradients nothing to find, it is a plan of tables alone, without ``steps``. Raises FailedPrecondition as `Tree`
    does, and for more than 16 rows a unit.
    """
    if sizes.max_rows > MAX_ROWS_PER_UNIT:
        raise FailedPrecondition(f"{engine} takes at most {MAX_ROWS_PER_UNIT} rows a unit; declare a smaller max_rows")
    if len(Codec(domain, MIN_CELLS).columns) == 1:  # a datetime has calendar parts beside it
        return _tables_alone(engine, domain, sizes, budget, "one column has no relations that gradients could find")
    part = PrivacyBudget(math.ceil(budget.epsilon_units * math.sqrt(share_tables)), budget.delta_units)
    units = max(sizes.train_units, 1)
    rate = round(min(1.0, batch_units / units), 6) or 1e-6
    try:
        tables = Tree().plan(domain, sizes, part)
        bought = tables.event.events if isinstance(tables.event, Composed) else (tables.event,)

        def event_at(scale: float) -> DpEvent:
            return Composed((*bought, PoissonGaussian(rate, scale, steps)))

        scale = round_up(calibrate(lambda s: event_at(round_up(s)), budget))
    except FailedPrecondition:
        return _tables_alone(engine, domain, sizes, budget, _DROWNED)
    if drowns(scale / (rate * units)):
        return _tables_alone(engine, domain, sizes, budget, _DROWNED)
    gradients = {
        "sampling_rate": rate,
        "noise_multiplier": scale,
        "steps": steps,
        "expected_batch": rate * units,
        "clip_norm": 1.0,
    }
    return replace(
        tables,
        engine=engine,
        budget=budget,
        event=event_at(scale),
        parameters={"tables": dict(tables.parameters), **gradients},
    )


def _tables_alone(engine: str, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget, why: str) -> Plan:
    tables = tree_or_star(domain, sizes, budget)
    because = f"{tables.because}; {why}, so a {tables.engine} takes the whole budget"
    return replace(tables, engine=engine, because=because)


def first_stage(rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> tuple[Chain, UnitCodes]:
    """Buy the tree of a plan; then the rows as its groups, (units, max_rows, columns), as `by_unit` lays them out.

    Raises DataCorrupted for rows that ingest did not make.
    """
    tree = Tree().fit(rows, domain, replace(plan, parameters=plan.parameters["tables"]), noise=noise)
    chain = Chain.of(tree)
    batches = rows.to_batches(max_chunksize=BATCH_ROWS)
    groups = (chain.groups(tree.columns.codec.encode(batch)) for batch in batches)
    return chain, by_unit(groups, rows.column(UNIT_COLUMN).to_numpy(), plan.sizes.max_rows, chain.sizes)


def by_unit(batches: Iterable[IntArray], unit: IntArray, max_rows: int, sizes: Sequence[int]) -> UnitCodes:
    """Batches of codes (columns, n), each below its column's ``sizes``, as (units, max_rows, columns), each unit's rows
    together; -1 where a unit has fewer rows. ``unit`` is the unit of each row of all batches.

    All rows are held at once, so in the narrowest type: one byte a cell up to 128 codes.
    """
    _, number = np.unique(unit, return_inverse=True)
    order = np.argsort(number, kind="stable")
    rows = np.bincount(number) if len(number) else np.zeros(0, dtype=np.int64)
    rank = np.empty_like(number)
    rank[order] = np.arange(len(number)) - np.repeat(np.cumsum(rows) - rows, rows)
    together = np.full((len(rows), max_rows, len(sizes)), -1, dtype=np.min_scalar_type(-max(sizes)))
    done = 0
    for codes in batches:
        part = slice(done, done + codes.shape[1])
        together[number[part], rank[part]] = codes.T
        done = part.stop
    return together
