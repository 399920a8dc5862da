"""`posterior`: a network of conditional tables given evidence, exactly, by passing sums from its leaves to its roots.

For trees this is Pearl's belief propagation (1982), for junction trees that of Lauritzen and Spiegelhalter (1988). The
columns come in an order in which parents come first, and the last parent of a column is joined to all its others (the
running intersection), so that no sum is over more cells than the largest table has: time and memory are linear in the
model. The answer is a network of the same shape, so that a conditioned model is sampled as the model was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dp_models.base import FloatArray

Scope = tuple[int, ...]
"""Columns by position; the axes of a table."""


@dataclass(frozen=True, slots=True)
class Factor:
    """P(``column`` | ``given``): ``table`` (sizes of ``given`` ..., size of ``column``), rows of positive sum."""

    column: int
    given: Scope
    table: FloatArray


@dataclass(frozen=True, slots=True)
class Message:
    """A factor (sizes of ``scope`` ...) on what lies towards the roots."""

    scope: Scope
    values: FloatArray


def posterior(factors: Sequence[Factor], evidence: Mapping[int, Sequence[Message]]) -> tuple[list[FloatArray], float]:
    """The factors' tables given the evidence, as rows that sum to 1, and the probability of the evidence.

    ``evidence`` holds likelihoods by the last column of their scope. Cells that no longer can occur keep their rows.
    """
    order = {factor.column: i for i, factor in enumerate(factors)}
    waiting = {column: list(evidence.get(column, ())) for column in order}
    tables: list[FloatArray] = []
    probability = 1.0
    for factor in reversed(factors):
        prior = factor.table / factor.table.sum(axis=-1, keepdims=True)
        weights = prior
        for message in waiting[factor.column]:
            weights = weights * _spread(message, (*factor.given, factor.column))
        sums = weights.sum(axis=-1)
        possible = sums[..., None] > 0
        tables.append(np.where(possible, weights / np.where(possible, sums[..., None], 1.0), prior))
        if factor.given:
            waiting[max(factor.given, key=order.__getitem__)].append(Message(factor.given, sums))
        else:
            probability *= float(sums)
    return tables[::-1], probability


def intersects(scopes: Sequence[tuple[int, Scope]]) -> bool:
    """Whether columns with their parents come in an order that `posterior` can sum: parents first, once each, and the
    last parent joined to all the others."""
    given: dict[int, Scope] = {}
    order: dict[int, int] = {}
    for column, parents in scopes:
        if column in given or len(set(parents)) != len(parents) or not set(parents) <= set(given):
            return False
        if parents:
            last = max(parents, key=order.__getitem__)
            if not set(parents) - {last} <= set(given[last]):
                return False
        order[column], given[column] = len(order), parents
    return True


def weighed(table: FloatArray, likelihood: FloatArray) -> FloatArray:
    """Rows (..., codes) times a likelihood (codes,), as probabilities; a row that is left with nothing stays."""
    found = table * likelihood
    total = found.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(total > 0, found / np.where(total > 0, total, 1.0), table))


def _spread(message: Message, axes: Scope) -> FloatArray:
    """The message with the axes of another table, length 1 where it does not depend on one."""
    kept = [message.scope.index(c) for c in axes if c in message.scope]
    shape = [message.values.shape[message.scope.index(c)] if c in message.scope else 1 for c in axes]
    return message.values.transpose(kept).reshape(shape)
