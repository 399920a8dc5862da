"""`replicates`: several tables of a stored model, each of another population that its noisy tables leave plausible.

Post-processing: nothing here reads a private row. Every replicate has a key of its own, so that it is what it is
whatever others are drawn beside it. Rows are drawn one by one (`draw_apart`), not evenly as a single sample's are,
since whoever combines replicates takes them for independent rows (`synthgate.inference`).
"""

import hmac
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from dp_models.encoding.table import replicates_schema
from dp_models.engines.independent import IndependentModel
from dp_models.graphical.model import GraphModel, drawn
from dp_models.graphical.posterior import Posterior
from dp_models.stored.registry import StoredModel
from dp_models.tables.drawing import draw_apart
from dp_models.tables.network import TreeModel
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition

SAMPLING = "one population each, from the posterior given the noisy tables; rows drawn one by one"


def replicates(model: StoredModel, *, count: int, rows: int, seed: bytes) -> Iterator[pa.Table]:
    """``count`` canonical tables of ``rows`` rows. ``seed`` (16 bytes or more) keys every draw.

    Raises FailedPrecondition for models of other engines than the table engines, for those that were stored without
    their noisy tables, and for units of several rows.
    """
    if not isinstance(model, (GraphModel, IndependentModel, TreeModel)):
        raise FailedPrecondition(
            "only table engines (independent, star, tree, mst, aim) keep the noisy tables that replicates are drawn"
            " from; derive from a release of one of them"
        )
    if model.bought is None:
        raise FailedPrecondition(
            "this model was stored without its noisy tables, by an earlier version or another engine; replicates are"
            " drawn of releases that keep them"
        )
    posterior = Posterior(model.columns, model.bought)
    for number in range(1, count + 1):
        generator = _keyed(seed, number)
        yield _sampled(posterior.draw(generator=generator), rows, generator)


def together(tables: Iterable[pa.Table], domain: Domain) -> pa.Table:
    """All replicates in one table, with the number of each row's replicate (1, 2, ...) in front."""
    schema = replicates_schema(domain)
    numbered = [
        pa.Table.from_arrays([pa.array(np.full(t.num_rows, number)), *t.columns], schema=schema)
        for number, t in enumerate(tables, 1)
    ]
    return pa.concat_tables([schema.empty_table(), *numbered])


def _keyed(seed: bytes, number: int) -> np.random.Generator:
    digest = hmac.digest(seed, b"synthgate replicate %d" % number, "sha256")
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _sampled(model: GraphModel, rows: int, generator: np.random.Generator) -> pa.Table:
    groups = drawn(model.steps, model.sizes, rows, by=draw_apart, generator=generator)
    codes = [draw_apart(p, rows, generator=generator, given=groups[i]) for i, p in enumerate(model.within)]
    return model.columns.decode(codes, generator=generator)
