"""What rebalancing would change, from the released rows alone.

A derived release that rebalances a column draws, for each of its values, rows of the same model under that condition.
In distribution that is the canonical sample with every row weighted by the wanted share of its value over the share
that it has. So the shares of all other groups after rebalancing are weighted shares of the sample: no model is asked
and no private row read, and what stands here may go with a release. How well it is known is said by Kish's effective
number of rows, (sum of weights)^2 over the sum of their squares. A value that no released row has cannot be weighted;
then this says so, and a derived release can still be asked for.
"""

from typing import Any

import numpy as np
import pandas as pd

from evaluation.fairness.groups import groupings
from evaluation.tables import codes
from synthgate.domain import NUMERIC, Domain


def rebalanced(sample: pd.DataFrame, domain: Domain) -> list[dict[str, Any]]:
    """An entry for every protected categorical or boolean column, as if its declared values had equal shares.

    ``column``; ``absent``, the declared values that no released row has; without any, ``effective_rows`` and
    ``groups``: [label, share before, share after] of the groups of every protected column, and of the classes of a
    categorical or boolean target.
    """
    return [_entry(sample, domain, name) for name in domain.protected if domain[name].kind not in NUMERIC]


def _entry(sample: pd.DataFrame, domain: Domain, name: str) -> dict[str, Any]:
    column = domain[name]
    found, size = codes(sample, column)
    values = list(column.categories or ("false", "true"))
    counts = np.bincount(found, minlength=size)[: size - 1]
    absent = [value for value, count in zip(values, counts, strict=True) if count == 0]
    if absent:
        return {"column": name, "absent": absent}
    weights = np.append(len(sample) / (len(values) * counts), 0.0)[found]
    groups = [
        [label, *_shares(grouping.places[0] == group, weights)]
        for grouping in groupings(domain, (sample,))
        if len(grouping.columns) == 1
        for group, label in grouping.labels.items()
    ]
    target = None if domain.target is None else domain[domain.target]
    if target is not None and target.kind not in NUMERIC and not target.protected:
        places = codes(sample, target)[0]
        names = target.categories or ("false", "true")
        groups += [[f"{target.name}={v}", *_shares(places == i, weights)] for i, v in enumerate(names)]
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    return {"column": name, "absent": [], "effective_rows": round(effective, 1), "groups": groups}


def _shares(inside: Any, weights: Any) -> tuple[float, float]:
    return round(float(inside.mean()), 6), round(float(weights[inside].sum() / weights.sum()), 6)
