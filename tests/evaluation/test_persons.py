"""Persons with several rows, through every attack: one target a person, whichever of its rows was copied."""

import numpy as np
import pytest
from population import DOMAIN, people

from evaluation.base import Comparison, Findings, Metric
from evaluation.registry import default

PERSONS, ROWS = 300, 3
UNITS = np.repeat(np.arange(PERSONS), ROWS)
RISKS = [metric for metric in default() if metric.name.startswith("risk.")]
TRAIN, HOLDOUT = (people(PERSONS * ROWS, seed=seed) for seed in (1, 2))
FRESH = people(PERSONS * ROWS, seed=3)


def _found(metric: Metric, sample: str, *, persons: bool = True) -> Findings:
    units = {"train_units": UNITS, "holdout_units": UNITS} if persons else {}
    rows = {"copies": TRAIN, "last rows": TRAIN.iloc[ROWS - 1 :: ROWS], "fresh": FRESH}[sample]
    tables = Comparison(domain=DOMAIN, train=TRAIN, holdout=HOLDOUT, sample=rows.reset_index(drop=True), **units)
    return metric.measure(tables, generator=np.random.default_rng(4))


@pytest.mark.parametrize("metric", RISKS, ids=lambda m: m.name)
def test_targets_are_persons_and_not_rows(metric: Metric) -> None:
    """The figures of copies and near copies are of units; the attacks say how many targets they had."""
    if "copies" in metric.name:
        as_persons, as_rows = (_found(metric, "copies", persons=p).scores[0] for p in (True, False))
        assert as_persons.low != as_rows.low, "the interval is of units"
        return
    share = 2 if metric.name == "risk.membership" else 1
    for persons, units in ((True, PERSONS), (False, PERSONS * ROWS)):
        attacks = _found(metric, "fresh", persons=persons).details["attacks"]
        assert set(attacks.values() if isinstance(attacks, dict) else [attacks]) == {units // share}


@pytest.mark.parametrize("metric", RISKS, ids=lambda m: m.name)
def test_copies_of_the_last_row_of_each_person_are_told(metric: Metric) -> None:
    """A third of the rows; an attack by the first row of each person alone would see nothing."""
    told = [score for score in _found(metric, "last rows").scores if score.low > 0]
    innocent = [score for score in _found(metric, "fresh").scores if score.low > 0]
    assert len(told) > len([s for s in innocent if not s.name.endswith("_tpr")])
