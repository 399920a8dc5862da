"""Every score can be a rule, and every name that a rule may have is some metric's."""

import random

import pytest
from stored_tables import MIXED, write
from test_evaluate import _rows as mixed_rows

from evaluation.run import evaluate
from synthgate import policy
from synthgate.errors import InvalidPolicy
from synthgate.fitness import GOOD_HIGH, worst_of
from synthgate.policy import FIXED_SCORES, INFERENCE, Rule
from synthgate.report import Better, Report


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of a table with columns of every kind, secrets and a target."""
    folder, paths = tmp_path_factory.mktemp("rich"), []
    for seed, size in enumerate((300, 100, 300)):
        cells = mixed_rows(size, random.Random(seed))
        cells = {name: [None if v == "\x00other" else v for v in column] for name, column in cells.items()}
        paths.append(write(folder / f"{seed}.parquet", MIXED, cells))
    return evaluate(MIXED, *paths, seed=bytes(16), progress=lambda _: None)


def _unruled(report: Report) -> list[str]:
    refused = []
    for score in report.scores:
        try:
            Rule(score=score.name, at_most=0.5)
        except InvalidPolicy:
            refused.append(score.name)
    return refused


def test_every_score_of_a_rich_table_is_accepted_by_a_rule(report: Report) -> None:
    assert _unruled(report) == []


def test_every_name_of_a_rule_is_given_by_a_metric(report: Report) -> None:
    given = {score.name for score in report.scores}
    assert given >= FIXED_SCORES
    assert {name for name in given if name.startswith(INFERENCE)} == {INFERENCE + s for s in MIXED.secrets}


def test_registration_knows_which_way_each_score_is_good_and_where_it_ends(report: Report) -> None:
    for score in report.scores:
        assert (score.better is Better.HIGHER) is (score.name in GOOD_HIGH), score.name
        if score.usable:
            worst = GOOD_HIGH.get(score.name, worst_of(score.name))
            assert score.value >= worst if score.name in GOOD_HIGH else score.value <= worst, score.name


def test_a_score_that_no_rule_knows_is_found(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "FIXED_SCORES", FIXED_SCORES - {"utility.tv3"})
    assert _unruled(report) == ["utility.tv3"]
