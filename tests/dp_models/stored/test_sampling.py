"""Laws of conditions and shares: on a model by hand the answer is that of its joint distribution, multiplied out; on
every engine's model each row satisfies what was asked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from dp_models.base import FloatArray
from dp_models.stored import sampling
from dp_models.stored.sampling import derive
from dp_models.tables.evidence import Factor, Message, intersects, posterior
from server.jobs.canonical import conform
from synthgate.derivation import Condition, Derivation, Rebalance, Share
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition
from tests.dp_models.private_tables import DOMAIN
from tests.dp_models.stored_models import ENGINES, SMALL, Rejected, fitted, joint, small

N = 60_000
SEXES, JOBS = ("F", "M"), ("a", "b", "c")


def asked(*, rebalance: Rebalance | None = None, **conditions: str) -> Derivation:
    named = tuple(Condition(column=c, value=v) for c, v in conditions.items())
    return Derivation(source="r", conditions=named, rebalance=rebalance)


def drawn(model: Any, domain: Domain, what: Derivation, rows: int = N, seed: int = 0) -> pa.Table:
    table, _ = derive(model, domain, what, rows=rows, generator=np.random.default_rng(seed))
    return conform(table, domain, rows=rows)


def frequencies(table: pa.Table) -> FloatArray:
    """The table's share of each (sex, job, age, rich)."""
    cells = [pc.index_in(table["sex"], value_set=pa.array(SEXES)), pc.index_in(table["job"], value_set=pa.array(JOBS))]
    cells += [table["age"], pc.cast(table["rich"], pa.int64())]
    counts = np.zeros((2, 3, 4, 2))
    np.add.at(counts, tuple(c.to_numpy() for c in cells), 1)
    return counts / table.num_rows


def distance(first: FloatArray, second: FloatArray) -> float:
    """Total variation."""
    return float(np.abs(first - second).sum() / 2)


MASKS = {
    "sex=F": (asked(sex="F"), np.s_[0]),
    "job=c": (asked(job="c"), np.s_[:, 2]),
    "rich=true": (asked(rich="true"), np.s_[..., 1]),
    "age=1..2": (asked(age="1..2"), np.s_[:, :, 1:3]),
    "age=3": (asked(age="3"), np.s_[:, :, 3]),
    "age=..0": (asked(age="..0"), np.s_[:, :, :1]),
    "sex=M, age=2.., rich=false": (asked(sex="M", age="2..", rich="false"), np.s_[1, :, 2:, 0]),
}


def conditioned(where: Any) -> FloatArray:
    weights = np.zeros_like(joint())
    weights[where] = joint()[where]
    return np.asarray(weights / weights.sum())


@pytest.mark.parametrize("by", [small, lambda: Rejected(small())], ids=["in closed form", "by rejection"])
@pytest.mark.parametrize(("what", "where"), MASKS.values(), ids=MASKS)
def test_conditions_give_the_conditional_distribution(by: Any, what: Derivation, where: Any) -> None:
    """24 cells, 60,000 rows: independent draws would be off by at most sqrt(24 / (2 pi 60,000)) = 0.008 on average."""
    assert distance(frequencies(drawn(by(), SMALL, what)), conditioned(where)) < 0.012


def test_a_condition_that_is_only_filtered_from_its_column_is_convicted() -> None:
    """The negative control: overwriting sex with F is no conditioning, since rich and job would stay as they were."""
    marginal = joint().sum(axis=0)
    wrong = np.stack([marginal, np.zeros_like(marginal)])
    assert distance(wrong, conditioned(np.s_[0])) > 0.05


SHARES = Rebalance(column="job", shares=(Share(value="a", share=0.2), Share(value="c", share=0.8)))


@pytest.mark.parametrize("by", [small, lambda: Rejected(small())], ids=["in closed form", "by rejection"])
@pytest.mark.parametrize(
    ("what", "where", "shares"),
    [
        (asked(rebalance=Rebalance(column="rich")), np.s_[:], {"rich": (0.5, 0.5)}),
        (asked(rebalance=SHARES), np.s_[:], {"job": (0.2, 0.0, 0.8)}),
        (asked(rebalance=SHARES, sex="M"), np.s_[1], {"job": (0.2, 0.0, 0.8)}),
    ],
    ids=["equal shares", "given shares", "given shares among men"],
)
def test_shares_are_exact_and_the_rest_is_the_models(
    by: Any, what: Derivation, where: Any, shares: dict[str, Sequence[float]]
) -> None:
    ((column, wanted),) = shares.items()
    axis = ("sex", "job", "age", "rich").index(column)
    given = conditioned(where)
    totals = given.sum(axis=tuple(i for i in range(4) if i != axis), keepdims=True)
    target = given / totals * np.reshape(wanted, totals.shape)
    found = frequencies(drawn(by(), SMALL, what))
    assert found.sum(axis=tuple(i for i in range(4) if i != axis)) == pytest.approx(wanted, abs=1e-12)
    assert distance(found, target) < 0.012


@pytest.mark.parametrize(
    ("rows", "shares", "counts"),
    [(7, (0.5, 0.5), {4, 3}), (1, (0.4, 0.6), {0, 1}), (10, (0.25, 0.75), {3, 7}), (0, (0.5, 0.5), {0})],
)
def test_shares_of_few_rows_are_rounded_to_whole_ones(rows: int, shares: tuple[float, ...], counts: set[int]) -> None:
    balance = Rebalance(
        column="rich", shares=tuple(Share(value=v, share=s) for v, s in zip(("false", "true"), shares, strict=True))
    )
    table = drawn(small(), SMALL, asked(rebalance=balance), rows=rows)
    true = pc.sum(pc.cast(table["rich"], pa.int64())).as_py() or 0
    assert {true, rows - true} == counts


def test_rows_come_in_an_order_that_tells_nothing() -> None:
    halves = drawn(small(), SMALL, asked(rebalance=Rebalance(column="rich")), rows=10_000)["rich"].to_numpy(False)
    assert abs(int(halves[:5_000].sum()) - 2_500) < 200


def test_what_has_no_probability_is_refused_by_name() -> None:
    """P(sex = F | job = c, not rich) is 0 by the table."""
    with pytest.raises(FailedPrecondition, match="the conditions on sex, job, rich no probability"):
        drawn(small(), SMALL, asked(sex="F", job="c", rich="false"), rows=10)
    with pytest.raises(FailedPrecondition, match=r"job=c under these conditions no probability.* give shares to other"):
        drawn(small(), SMALL, asked(sex="F", rich="false", rebalance=SHARES), rows=10)


def test_rejection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_DRAWS", 1_000)
    with pytest.raises(FailedPrecondition, match=r"of 1,160 rows drawn .* 0 satisfy"):
        drawn(Rejected(small()), SMALL, asked(sex="F", job="c", rich="false"), rows=10)


WIDE = [
    asked(size="11..39", weight="12.5..33.25", colour="blue"),
    asked(size="", seen="2010-01-01..2012-03-04T05:06:07"),
    asked(seen="..2001-02-03T00:00:01", smokes="true"),
    asked(weight="0..0.5", size="..-5"),
    asked(weight="20", ill="true"),
    asked(rebalance=Rebalance(column="smokes", shares=(Share(value="", share=0.5), Share(value="true", share=0.5)))),
    asked(weight="80.5"),
]


@pytest.mark.parametrize("what", WIDE[:2], ids=range(2))
@pytest.mark.parametrize("engine", ENGINES)
def test_every_row_of_every_engine_satisfies_every_condition(engine: str, what: Derivation) -> None:
    check(drawn(fitted(engine), DOMAIN, what, rows=200), what)


@pytest.mark.parametrize("what", WIDE[2:], ids=range(2, len(WIDE)))
@pytest.mark.parametrize("engine", ["aim", "tree"])
def test_narrow_conditions_are_met_or_refused(engine: str, what: Derivation) -> None:
    """Where the noise left a bin nothing there is nothing to draw, and of a second little: that depends on the noise, a
    wrong row does not."""
    try:
        table = drawn(fitted(engine), DOMAIN, what, rows=200)
    except FailedPrecondition as refused:
        moments = any(c.column == "seen" for c in what.conditions)
        assert "no probability" in refused.message or (moments and "200 were asked for" in refused.message)
    else:
        check(table, what)


def check(table: pa.Table, what: Derivation) -> None:
    for condition in what.conditions:
        cells, value = table[condition.column], condition.value
        if value == "":
            assert cells.null_count == len(cells)
            continue
        assert cells.null_count == 0
        low, _, high = value.partition("..")
        read: Any = {"seen": datetime.fromisoformat, "size": int, "weight": float}.get(condition.column)
        if read is None:
            assert set(cells.to_pylist()) == {{"true": True}.get(value, value)}
            continue
        ends = pc.min_max(cells).as_py()
        bounds = {"seen": (datetime(2001, 2, 3), datetime(2020, 1, 1)), "size": (-5, 200), "weight": (0.0, 80.5)}
        least = read(low) if low else bounds[condition.column][0]
        most = read(high) if high else bounds[condition.column][1] if ".." in value else least
        assert least <= ends["min"] <= ends["max"] <= most


@pytest.mark.parametrize("engine", ["aim", "mst", "tree"])
def test_closed_form_and_rejection_agree_on_fitted_models(engine: str) -> None:
    """Given colour = red: the shares of ill and of smokes among 20,000 rows, by both ways, within 0.02."""
    what = asked(colour="red", size="20..60")
    tables = [drawn(m, DOMAIN, what, rows=20_000) for m in (fitted(engine), Rejected(fitted(engine)))]
    for column in ("ill", "smokes"):
        first, second = (pc.mean(pc.cast(t[column], pa.int64())).as_py() for t in tables)
        assert first == pytest.approx(second, abs=0.02)


def test_the_posterior_of_a_chain_by_hand() -> None:
    """A -> B with P(A=1) = 1/4, P(B=1 | A) = 1/2, 1; seen B = 1: P = 5/8, P(A=1 | B=1) = 2/5."""
    factors = [
        Factor(0, (), np.array([0.75, 0.25])),
        Factor(1, (0,), np.array([[0.5, 0.5], [0.0, 1.0]])),
    ]
    (first, second), probability = posterior(factors, {1: [Message((1,), np.array([0.0, 1.0]))]})
    assert probability == pytest.approx(5 / 8)
    assert first == pytest.approx([0.6, 0.4])
    assert second == pytest.approx(np.array([[0.0, 1.0], [0.0, 1.0]]))


@pytest.mark.parametrize(
    ("scopes", "sums"),
    [
        ([(0, ()), (1, (0,)), (2, (0, 1))], True),
        ([(0, ()), (1, (0,)), (2, (0,)), (3, (1, 2))], False),
        ([(0, (1,)), (1, ())], False),
        ([(0, ()), (0, ())], False),
        ([(0, ()), (1, (0, 0))], False),
        ([], True),
    ],
)
def test_what_can_be_summed_clique_by_clique(scopes: list[tuple[int, tuple[int, ...]]], sums: bool) -> None:
    assert intersects(scopes) is sums
