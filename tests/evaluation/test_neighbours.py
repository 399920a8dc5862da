"""Distances are anonymeter's, but for rounding to 2^-35 of a range; guesses too, where one row alone is nearest."""

import numpy as np
import pandas as pd
import pytest
from anonymeter.evaluators.inference_evaluator import evaluate_inference_guesses
from anonymeter.neighbors.mixed_types_kneighbors import KNNInferencePredictor, MixedTypeKNeighbors, gower_distance

from evaluation.risk import inference, neighbours
from evaluation.risk.attack import Targets
from evaluation.risk.guesses import right
from evaluation.risk.inference import guessed_from
from evaluation.risk.neighbours import APART, Encoded, Missing, encode, nearest, search
from evaluation.tables import MISSING
from synthgate.domain import Column, Domain, Kind

ROUNDING = 1e-9
"""More than 300 columns rounded to 2^-35 each can differ by."""


def _number(name: str) -> Column:
    return Column(name=name, kind=Kind.FLOAT, low=-3.0, high=7.0, nullable=True, secret=True)


def _label(name: str) -> Column:
    return Column(name=name, kind=Kind.CATEGORICAL, categories=("x", "y", "z"), nullable=True, secret=True)


DOMAIN = Domain(columns=(_number("a"), _label("b"), _number("c"), _label("d"), _number("e")))
"""Numbers and labels dealt alternately, so that a column's place is not its part's."""
NAMES = tuple(c.name for c in DOMAIN.columns)
NUMBERS = ("a", "c", "e")


def _rows(size: int, seed: int, *, nulls: float = 0.0, digits: int = 9) -> pd.DataFrame:
    """The first two rows hold both bounds, so that the observed range is the declared one."""
    draw = np.random.default_rng(seed)
    cells: dict[str, np.ndarray] = {}
    for name in NAMES:
        empty = draw.random(size) < nulls
        if name in NUMBERS:
            values = draw.uniform(-3, 7, size).round(digits)
            values[:2] = -3.0, 7.0
            cells[name] = np.where(empty & (np.arange(size) > 1), np.nan, values)
        else:
            values = draw.choice(np.array(["x", "y", "z"], dtype=object), size)
            cells[name] = np.where(empty, MISSING, values).astype(object)
    return pd.DataFrame(cells)


def _all(encoded: Encoded, left_out: int | None = None) -> np.ndarray:
    """Every distance, shape (targets, candidates), one candidate at a time."""
    columns = [
        search(
            Encoded(
                targets=encoded.targets,
                candidates=np.ascontiguousarray(encoded.candidates[:, [j]]),
                numbers=encoded.numbers,
                owners=encoded.owners,
            ),
            [left_out],
        ).distances[0]
        for j in range(encoded.candidates.shape[1])
    ]
    return np.column_stack(columns)


@pytest.mark.parametrize("nulls", [0.0, 0.3])
def test_every_distance_is_what_anonymeters_function_gives(nulls: float) -> None:
    """Its rule for cells without a value included: two differ by 1, one alone makes the distance undefined."""
    queries, candidates = _rows(30, 1, nulls=nulls), _rows(40, 2, nulls=nulls)
    encoded = encode(queries, candidates, DOMAIN, NAMES, missing=Missing.DIFFERENT)
    ours = _all(encoded)
    both = pd.concat([queries, candidates], ignore_index=True)
    parts = [(both[n].to_numpy() + 3) / 10 for n in NUMBERS]
    parts += [both[n].map({"x": 0.0, "y": 1.0, "z": 2.0}).to_numpy() for n in ("b", "d")]
    rows = np.column_stack(parts).astype(float)
    theirs = np.array([[gower_distance(q, c, len(NUMBERS)) for c in rows[30:]] for q in rows[:30]])
    undefined = np.isnan(theirs)
    assert undefined.any() == (nulls > 0)
    assert (ours[undefined] >= APART).all()
    np.testing.assert_allclose(ours[~undefined], theirs[~undefined], rtol=0, atol=ROUNDING)
    if not nulls:
        assert (_all(encode(queries, candidates, DOMAIN, NAMES)) == ours).all(), "the rules differ in nulls alone"


@pytest.mark.parametrize("missing", list(Missing))
def test_what_is_left_after_a_subtraction_is_the_distance_of_the_other_columns_to_the_bit(missing: Missing) -> None:
    queries, candidates = _rows(50, 1, nulls=0.2), _rows(70, 2, nulls=0.2)
    found = search(encode(queries, candidates, DOMAIN, NAMES, missing=missing), [*range(5), None])
    for i, secret in enumerate([*NAMES, None]):
        alone = search(
            encode(queries, candidates, DOMAIN, tuple(n for n in NAMES if n != secret), missing=missing), [None]
        )
        assert (found.places[i] == alone.places[0]).all()
        assert (found.distances[i] == alone.distances[0]).all()


def test_distances_and_unique_guesses_are_those_of_anonymeters_search() -> None:
    """Whole search against whole search, every column the secret once; labels without a value are alike to both."""
    _agrees_with_anonymeter()


def test_a_secret_that_is_left_in_the_distances_is_convicted_by_the_same_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The planted fault: nothing is subtracted, so that the attacker knows what is to be guessed."""
    monkeypatch.setattr(inference, "search", lambda encoded, left_out: search(encoded, [None] * len(left_out)))
    with pytest.raises(AssertionError):
        _agrees_with_anonymeter()


def _agrees_with_anonymeter() -> None:
    targets, control, rows = _rows(200, 1), _rows(200, 2), _rows(3000, 3)
    for frame in (targets, control, rows):
        frame.loc[5:60, "b"] = MISSING
    found = guessed_from(Targets(main=targets, control=control), rows, DOMAIN, NAMES)
    unique = 0
    for secret in NAMES:
        known = [n for n in NAMES if n != secret]
        for side, places in zip((targets, control), found[secret], strict=True):
            distances, _ = (
                MixedTypeKNeighbors(n_jobs=1)
                .fit(rows[known])
                .kneighbors(side[known], n_neighbors=2, return_distance=True)
            )
            ours = search(encode(side, rows, DOMAIN, known), [None])
            np.testing.assert_allclose(ours.distances[0], distances[:, 0], rtol=0, atol=ROUNDING)
            alone = distances[:, 1] - distances[:, 0] > ROUNDING
            theirs = KNNInferencePredictor(rows, known, secret, 1).predict(side)
            guesses = rows[secret].iloc[places]
            assert guesses.to_numpy()[alone].tolist() == theirs.to_numpy()[alone].tolist()
            unique += int(alone.sum())
            if alone.all() and secret not in NUMBERS:
                counted = evaluate_inference_guesses(theirs, side[secret], regression=False)
                assert (right(guesses.to_numpy(), side[secret].to_numpy(), DOMAIN[secret], 0.0) == counted).all()
    assert unique > 1900


def test_of_equally_near_rows_the_first_stands_whatever_the_order_of_columns() -> None:
    """0.1 + 0.2 is not 0.3 to a sum of floats; rounded shares of a range are equal in every order."""
    domain = Domain(columns=tuple(Column(name=n, kind=Kind.FLOAT, low=0.0, high=1.0) for n in "abc"))
    queries = pd.DataFrame({"a": [0.0], "b": [0.0], "c": [0.0]})
    rows = pd.DataFrame({"a": [0.6, 0.1, 0.3], "b": [0.0, 0.2, 0.1], "c": [0.1, 0.3, 0.2]})
    for names in ("abc", "cab", "bca"):
        assert nearest(queries, rows, domain, tuple(names)).tolist() == [1]
        assert nearest(queries, rows.iloc[::-1], domain, tuple(names)).tolist() == [0]


def test_candidates_of_several_blocks_are_searched_alike() -> None:
    queries, candidates = _rows(20, 1, nulls=0.1), _rows(2 * neighbours.BLOCK + 17, 2, nulls=0.1)
    encoded = encode(queries, candidates, DOMAIN, NAMES)
    found, every = search(encoded, [None]), _all(encoded)
    assert (found.places[0] == every.argmin(axis=1)).all()
    assert (found.distances[0] == every.min(axis=1)).all()
