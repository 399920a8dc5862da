"""Audiences, attackers and versions of policies: what is allowed, what is widened, and digests that stay."""

import json
from dataclasses import replace

import pytest

from synthgate.attacker import Attacker
from synthgate.audience import Audience
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.errors import InvalidPolicy
from synthgate.fitness import check, check_audience
from synthgate.policy import ATTACKS, DEFAULT_POLICY, EXACT_POLICY, Policy
from synthgate.schema import read_policy

PLAIN = {"kind": Kind.INTEGER, "low": 0, "high": 9}
DOMAIN = Domain(
    columns=(
        Column(name="id", kind=Kind.CATEGORICAL, role=Role.IDENTIFIER),
        Column(name="age", **PLAIN),
        Column(name="sex", **PLAIN),
        Column(name="town", **PLAIN),
        Column(name="wage", **PLAIN, role=Role.SENSITIVE, secret=True),
        Column(name="debt", **PLAIN, role=Role.SENSITIVE),
    )
)


def test_what_a_policy_leaves_out_is_not_written():
    assert set(DEFAULT_POLICY.to_dict()) == {
        "name", "epsilon_max", "certified_only", "verdicts_max", "approvals", "verdict", "rules",
    }  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        {"version": 2},
        {"audience": "world"},
        {"audience": "internal", "version": 7},
        {"attacker": {"also_knows": ["debt"]}},
        {"attacker": {"also_secret": ["debt", "age"], "also_knows": ["wage"]}},
        {"attacker": {"also_joins": [5, 7]}},
        {"verdict": "exact", "audience": "controlled"},
    ],
)
def test_what_is_new_is_written_read_and_digested(document):
    made = Policy.from_dict(document)
    assert made.digest != DEFAULT_POLICY.digest
    assert Policy.from_dict(made.to_dict()) == made
    assert document.items() <= made.to_dict().items()


@pytest.mark.parametrize("base", [DEFAULT_POLICY, EXACT_POLICY], ids=lambda policy: policy.verdict)
@pytest.mark.parametrize(("audience", "most"), [("world", 0.05), ("controlled", 0.09), ("internal", 0.15)])
def test_an_audience_sets_the_thresholds(audience, most, base):
    made = Policy.from_dict({"audience": audience, "verdict": str(base.verdict)})
    attacks = [r for r in made.rules if r.score in ATTACKS]
    assert {r.at_most for r in attacks} == {most}
    assert len(attacks) == 4
    assert [r for r in made.rules if r not in attacks] == [r for r in base.rules if r.score not in ATTACKS]
    assert Audience(audience).threshold == most
    assert "0070" in Audience(audience).source
    check(made, DOMAIN)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"audience": "friends"}, "world, controlled, internal"),
        ({"audience": ["world"]}, "world, controlled, internal"),
        ({"version": 0}, "version is a whole number"),
        ({"version": 1.5}, "version is a whole number"),
        ({"version": True}, "version is a whole number"),
        ({"attacker": ["debt"]}, "attacker is a mapping"),
        ({"attacker": {"knows": ["debt"]}}, "no others"),
        ({"attacker": {"also_knows": "debt"}}, "list of column names"),
        ({"attacker": {"also_knows": [1]}}, "list of column names"),
        ({"attacker": {"also_knows": ["debt", "debt"]}}, "each of them once"),
        ({"attacker": None}, "attacker is a mapping"),
        ({"public": True}, "unknown key 'public'"),
    ],
)
def test_faulty_policies_say_what_to_do(document, words):
    with pytest.raises(InvalidPolicy, match=words):
        Policy.from_dict(document)


@pytest.mark.parametrize(
    ("document", "most"),
    [
        ({"audience": "world", "rules": DEFAULT_POLICY.to_dict()["rules"]}, "0.05"),
        (
            {"audience": "internal", "verdict": "exact", "rules": [{"score": "risk.linkability", "at_most": 0.16}]},
            "0.15",
        ),
        ({"audience": "controlled", "rules": [{"score": "risk.inference.*", "at_most": 0.0901}]}, "0.09"),
        ({"audience": "internal", "rules": [{"score": "risk.copies", "at_most": 0.02}]}, "0.01"),
    ],
)
def test_a_rule_that_is_looser_than_the_audience_is_refused(tmp_path, document, most):
    for refusing in (check_audience, lambda made: check(made, DOMAIN)):
        with pytest.raises(InvalidPolicy, match=f"allows at most {most}"):
            refusing(Policy.from_dict(document))
    (tmp_path / "policy.yaml").write_text(json.dumps(document))
    with pytest.raises(InvalidPolicy, match=f"allows at most {most}"):
        read_policy(tmp_path / "policy.yaml")


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ([], "risk.copies"),
        (["risk.copies"], "risk.singling_out.univariate"),
        (["risk.copies", "risk.singling_out.univariate", "risk.singling_out.multivariate"], "risk.linkability"),
        (
            ["risk.copies", "risk.singling_out.univariate", "risk.singling_out.multivariate", "risk.linkability"],
            "risk.inference.wage",
        ),
    ],
)
def test_an_audience_needs_a_rule_on_every_attack(rules, missing):
    made = Policy.from_dict({"audience": "world", "rules": [{"score": s, "at_most": 0.01} for s in rules]})
    with pytest.raises(InvalidPolicy, match=f"needs a rule on {missing}"):
        check(made, DOMAIN)


def test_an_audience_asks_only_for_attacks_that_can_be_made():
    bare = Domain(columns=(Column(name="age", **PLAIN),))
    rules = ["risk.copies", "risk.singling_out.univariate", "risk.singling_out.multivariate"]
    check(Policy.from_dict({"audience": "world", "rules": [{"score": s, "at_most": 0.01} for s in rules]}), bare)


def test_an_attacker_widens_and_never_narrows():
    wider = Attacker(also_knows=("debt", "wage", "age"), also_secret=("age", "wage")).widened(DOMAIN)
    assert set(wider.auxiliary) == {"age", "sex", "town", "wage", "debt"}
    assert set(wider.secrets) == {"wage", "age"}
    for before, after in zip(DOMAIN.halves, wider.halves, strict=True):
        assert set(before) <= set(after)
    assert DOMAIN.halves == (("age", "town"), ("sex",))
    assert wider.halves == (("age", "town", "wage"), ("sex", "debt"))
    assert [c.name for c in wider.columns] == [c.name for c in DOMAIN.columns]
    assert {c.name: c.edges for c in wider.modelled} == {c.name: c.edges for c in DOMAIN.modelled}


def test_dealing_the_halves_again_would_narrow_one():
    """Why new columns join the halves that there are: dealt anew, a party would forget a column."""
    dealt = replace(DOMAIN, columns=tuple(replace(c, role=Role.AUXILIARY) for c in DOMAIN.columns[1:])).halves
    first = Domain(columns=(replace(DOMAIN["debt"], role=Role.AUXILIARY), *DOMAIN.columns[1:4])).halves
    assert dealt == (("age", "town", "debt"), ("sex", "wage"))
    assert not set(DOMAIN.halves[0]) <= set(first[0])


def test_declared_halves_keep_their_columns_and_get_new_ones_too():
    linked = replace(DOMAIN, link=(("age",), ("sex", "wage")))
    assert Attacker(also_knows=("debt", "wage")).widened(linked).halves == (("age", "debt"), ("sex", "wage"))


def test_an_evaluation_is_told_what_is_declared_where_more_is_known():
    spec = Attacker(also_knows=("debt",), also_secret=("age",), also_joins=(2,)).spec(DOMAIN)
    wider, declared = (Domain.from_dict(spec[name]) for name in ("domain", "declared"))
    assert spec["joins"] == [2]
    assert (declared.auxiliary, declared.halves) == (DOMAIN.auxiliary, DOMAIN.halves)
    assert set(wider.auxiliary) == {*DOMAIN.auxiliary, "debt"}
    assert declared.secrets == wider.secrets == ("age", "wage")
    for alike in (Attacker(), Attacker(also_knows=("age",)), Attacker(also_secret=("debt",))):
        assert alike.spec(DOMAIN)["declared"] is None


def test_halves_appear_where_the_policy_gives_a_second_column():
    lone = Domain(columns=(DOMAIN["age"], DOMAIN["debt"]))
    assert not all(lone.halves)
    assert Attacker(also_knows=("debt",)).widened(lone).halves == (("age",), ("debt",))


@pytest.mark.parametrize("key", ["also_knows", "also_secret"])
@pytest.mark.parametrize("name", ["id", "nobody"])
def test_an_attacker_names_columns_that_are_released(key, name):
    made = Policy.from_dict({"attacker": {key: [name]}})
    with pytest.raises(InvalidPolicy, match=f"{key} names '{name}'"):
        check(made, DOMAIN)


@pytest.mark.parametrize("joins", [[1], [11], [5, 5], [True], ["5"], [2.0], 5])
def test_questions_join_two_to_ten_columns(joins):
    with pytest.raises(InvalidPolicy, match="attacker: "):
        Policy.from_dict({"attacker": {"also_joins": joins}})


@pytest.mark.parametrize("names", [[["age"]], [{}], [1], [""], ["age", "age"]])
@pytest.mark.parametrize("key", ["also_knows", "also_secret"])
def test_attackers_know_and_look_for_columns_by_name(key, names):
    with pytest.raises(InvalidPolicy, match="attacker: "):
        Policy.from_dict({"attacker": {key: names}})


def test_no_more_columns_are_joined_than_are_released():
    check(Policy.from_dict({"attacker": {"also_joins": [5]}}), DOMAIN)
    with pytest.raises(InvalidPolicy, match="asks for 6 columns together, and 5 are released"):
        check(Policy.from_dict({"attacker": {"also_joins": [5, 6]}}), DOMAIN)
    assert Attacker(also_joins=(5,)).widened(DOMAIN) is DOMAIN


def test_rules_on_every_secret_hold_for_those_that_the_policy_adds():
    made = Policy.from_dict({"attacker": {"also_secret": ["debt"]}})
    names = [rule.score for rule in made.concrete(DOMAIN)]
    assert {"risk.inference.wage", "risk.inference.debt"} <= set(names)
