"""Every value survives the wire; every message that is no value raises the vocabulary's own error."""

from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synthgate.accounted import NoisyMargin
from synthgate.approval import Binding
from synthgate.attacker import Attacker
from synthgate.audience import Audience
from synthgate.budget import PrivacyBudget
from synthgate.client import convert
from synthgate.dataset import ColumnFindings, Dataset, DatasetState, DatasetView, PrivacyUnit, PublicSizes, SizeOrigin
from synthgate.derivation import Condition, Derivation, Rebalance, Share
from synthgate.domain import LEAST_WIDTH, Column, Domain, Kind, Role
from synthgate.errors import InternalError, InvalidDomain, InvalidPolicy
from synthgate.ledger import Account, AccountView, Balance, Charge, Entry, EntryKind
from synthgate.policy import ACCOUNTED, DEFAULT_POLICY, FIXED_SCORES, Policy, Rule, VerdictKind, for_audience
from synthgate.release import Quote, Release, ReleaseState
from synthgate.v1 import dataset_service_pb2, ledger_service_pb2, release_service_pb2, types_pb2

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.isprintable)
AMOUNTS = st.integers(0, 2**62)
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
REALS = st.floats(-1e300, 1e300)
ROLES = st.sampled_from([Role.AUXILIARY, Role.SENSITIVE])


@st.composite
def columns(draw, name):
    kind = draw(st.sampled_from(list(Kind)))
    role = draw(st.sampled_from(list(Role)))
    plain = {"name": name, "kind": kind, "nullable": draw(st.booleans()), "role": role}
    if role is Role.IDENTIFIER:
        return Column(**plain)
    plain |= {"secret": draw(st.booleans()), "protected": draw(st.booleans())}
    if kind is Kind.CATEGORICAL:
        labels = st.lists(TEXT.map(str.strip).filter(bool), min_size=1, max_size=5, unique=True)
        return Column(**plain, categories=tuple(draw(labels)))
    if kind is Kind.BOOLEAN:
        return Column(**plain)
    points = {Kind.INTEGER: st.integers(-(2**53), 2**53), Kind.FLOAT: REALS, Kind.DATETIME: MOMENTS}[kind]
    cuts = sorted(draw(st.lists(points, min_size=2, max_size=6, unique_by=Column.number)))
    assume(Column.number(cuts[-1]) - Column.number(cuts[0]) >= LEAST_WIDTH)
    return Column(**plain, low=cuts[0], bins=tuple(cuts[1:-1]), high=cuts[-1])


@st.composite
def domains(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    declared = [draw(columns(name)) for name in names]
    if all(c.role is Role.IDENTIFIER for c in declared):
        declared[0] = Column(name=names[0], kind=Kind.BOOLEAN)
    modelled = [c.name for c in declared if c.role is not Role.IDENTIFIER]
    link = ((modelled[0],), tuple(modelled[1:])) if len(modelled) > 1 and draw(st.booleans()) else ((), ())
    target = draw(st.none() | st.sampled_from(modelled))
    others = draw(st.lists(st.sampled_from(modelled), unique=True)) if target else []
    numbers = [c.name for c in declared if c.name in modelled and c.kind in (Kind.INTEGER, Kind.FLOAT)]
    ordered = (tuple(numbers),) if len(numbers) > 1 and draw(st.booleans()) else ()
    return Domain(
        columns=tuple(declared), target=target, link=link, ordered=ordered,
        other_targets=tuple(name for name in others if name != target),
    )  # fmt: skip


@st.composite
def units_and_sizes(draw):
    unit = draw(st.builds(PrivacyUnit, column=NAMES, max_rows=st.integers(1, 1_000)) | st.just(PrivacyUnit()))
    units = draw(st.integers(1, 10_000))
    rows = draw(st.integers(units, units * unit.max_rows))
    sizes = PublicSizes(rows=rows, units=units, max_rows=unit.max_rows, origin=draw(st.sampled_from(SizeOrigin)))
    return unit, draw(st.none() | st.just(sizes))


@st.composite
def policies(draw):
    verdict = draw(st.sampled_from(VerdictKind))
    exact = verdict is VerdictKind.EXACT
    scores = draw(st.lists(st.sampled_from(sorted(FIXED_SCORES if exact else ACCOUNTED)), max_size=4, unique=True))
    bounds = ["at_most", "at_least"] if exact else ["at_most"]
    rules = [Rule(score=s, **{draw(st.sampled_from(bounds)): draw(REALS)}) for s in scores]
    named = st.lists(NAMES, max_size=3, unique=True).map(tuple)
    joins = st.lists(st.integers(2, 10), max_size=3, unique=True).map(tuple)
    audience = draw(st.none() | st.sampled_from(Audience))
    return Policy(
        name=draw(NAMES), epsilon_max=draw(st.floats(1e-3, 100)), certified_only=draw(st.booleans()),
        verdicts_max=draw(st.integers(0, 1_000)), approvals=draw(st.integers(0, 10)), version=draw(st.integers(1, 999)),
        rules=tuple(rules) if audience is None else for_audience(DEFAULT_POLICY.rules, audience), audience=audience,
        attacker=draw(st.builds(Attacker, also_knows=named, also_secret=named, also_joins=joins)), verdict=verdict,
    )  # fmt: skip


CHARGES = st.builds(Charge, epsilon=AMOUNTS, delta=AMOUNTS, rdp=st.none() | AMOUNTS)
CAPS = st.builds(PrivacyBudget, AMOUNTS, AMOUNTS)
SMALL = st.integers(0, 2**31 - 1)
ACCOUNTS = st.builds(
    Account, name=TEXT, cap=CAPS, order=SMALL, capacity=AMOUNTS, sandbox=st.booleans(), opened_by=TEXT, opened_at=TIMES,
    verdicts_granted=SMALL,
)  # fmt: skip
VIEWS = st.builds(
    AccountView, balance=st.builds(Balance, account=ACCOUNTS, committed=CHARGES, reserved=CHARGES), taken_ppm=AMOUNTS,
    largest_epsilon=REALS, verdicts=SMALL,
)  # fmt: skip
ENTRIES = st.builds(
    Entry, sequence=AMOUNTS, account=TEXT, kind=st.sampled_from(EntryKind), principal=TEXT, reason=TEXT, at=TIMES,
    previous=TEXT, digest=TEXT, reservation=TEXT, charge=st.none() | CHARGES, cap=st.none() | CAPS, order=SMALL,
    capacity=AMOUNTS, sandbox=st.booleans(), verdicts_granted=SMALL,
)  # fmt: skip
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
CONDITIONS = st.lists(st.builds(Condition, column=TEXT, value=TEXT), max_size=3, unique_by=lambda c: c.column)
SHARES = st.lists(st.builds(Share, value=TEXT, share=REALS), max_size=3).map(tuple)
DERIVATIONS = st.builds(Derivation, source=TEXT, rows=AMOUNTS, replicates=st.integers(2, 100)) | st.builds(
    Derivation, source=TEXT, conditions=CONDITIONS.map(tuple), rows=AMOUNTS,
    rebalance=st.none() | st.builds(Rebalance, column=st.just("the last"), shares=SHARES),
)  # fmt: skip
BOUND = {"verdict": AMOUNTS, "verdicts_allowed": AMOUNTS, "registrar_names": TEXTS, "requester_names": TEXTS}
BINDINGS = st.builds(Binding, **{f.name: BOUND.get(f.name, TEXT) for f in fields(Binding)})
RELEASES = st.builds(
    Release, id=TEXT, dataset=TEXT, account=TEXT, engine=TEXT, because=TEXT, epsilon=REALS, delta=REALS,
    share_ppm=AMOUNTS, state=st.sampled_from(ReleaseState), requested_by=TEXT, created_at=TIMES, updated_at=TIMES,
    stage=TEXT, reasons=TEXTS, approvals=TEXTS, approvals_needed=SMALL, sha256=TEXT, bytes=AMOUNTS, rows=AMOUNTS,
    derivation=st.none() | DERIVATIONS, binding=st.none() | BINDINGS, policy=TEXT, policy_version=SMALL,
    policy_digest=TEXT, margin=st.none() | st.builds(NoisyMargin, value=st.integers(-(2**40), 2**40), sigma=REALS),
)  # fmt: skip
QUOTES = st.builds(
    Quote, engine=TEXT, because=TEXT, epsilon=REALS, delta=REALS, plan_epsilon=REALS, share_ppm=AMOUNTS,
    taken_ppm=AMOUNTS, after_ppm=AMOUNTS, largest_epsilon=REALS, refusals=TEXTS, rows=AMOUNTS,
)  # fmt: skip
FINDINGS = st.builds(
    ColumnFindings, column=TEXT, empty=AMOUNTS, unparsable=AMOUNTS, clamped=AMOUNTS, undeclared=AMOUNTS
)


def wire(message):
    """The message after a trip over the wire."""
    return type(message).FromString(message.SerializeToString())


@given(domains())
def test_a_domain_and_its_digest_survive(domain):
    back = convert.domain_from_proto(wire(convert.domain_to_proto(domain)))
    assert back == domain
    assert back.digest == domain.digest


def test_a_declaration_without_what_came_later_keeps_its_digest():
    columns = (Column(name="a", kind=Kind.BOOLEAN, secret=True), Column(name="b", kind=Kind.FLOAT, low=0, high=1))
    plain = Domain(columns=columns, target="a")
    assert plain.digest == "0763429ab0c9e66d1d4533620a3b2830dc35f3a583ddc49966708345da4e4097"
    later = Domain(columns=(columns[0], replace(columns[1], protected=True)), target="a", other_targets=("b",))
    assert later.digest != plain.digest
    assert Domain.from_dict(later.to_dict()) == later


@given(units_and_sizes())
def test_unit_and_sizes_survive(pair):
    unit, sizes = pair
    assert convert.unit_from_proto(wire(convert.unit_to_proto(unit))) == unit
    assert convert.sizes_from_proto(wire(convert.sizes_to_proto(sizes)), unit) == sizes


@given(policies())
def test_a_policy_survives(policy):
    assert convert.policy_from_proto(wire(convert.policy_to_proto(policy))) == policy


@given(domains(), units_and_sizes(), policies(), st.sampled_from(DatasetState), TIMES, TEXT, TEXTS, st.lists(FINDINGS))
def test_a_dataset_survives(domain, pair, policy, state, at, text, warnings, findings):
    unit, sizes = pair
    dataset = Dataset(
        name=text, domain=domain, unit=unit, sizes=sizes, account=text, policy=policy.name, state=state,
        registered_by=text, created_at=at, failure=text, warnings=warnings,
    )  # fmt: skip
    message = convert.dataset_to_proto(dataset, policy=policy, findings=findings)
    assert convert.dataset_from_proto(wire(message)) == DatasetView(
        dataset=dataset, policy=policy, findings=tuple(findings)
    )


@given(RELEASES, QUOTES, VIEWS, ENTRIES)
def test_records_survive(release, quote, view, entry):
    assert convert.release_from_proto(wire(convert.release_to_proto(release))) == release
    assert convert.quote_from_proto(wire(convert.quote_to_proto(quote))) == quote
    assert convert.balance_from_proto(wire(convert.balance_to_proto(view))) == view
    assert convert.entry_from_proto(wire(convert.entry_to_proto(entry))) == entry


def point(**value):
    return types_pb2.Point(**value)


@pytest.mark.parametrize(
    "column",
    [
        {"name": "a"},
        {"name": "a", "kind": 99},
        {"name": "a", "kind": "KIND_BOOLEAN", "role": 99},
        {"name": "", "kind": "KIND_BOOLEAN"},
        {"name": "a", "kind": "KIND_INTEGER"},
        {"name": "a", "kind": "KIND_INTEGER", "low": point(), "high": point()},
        {"name": "a", "kind": "KIND_INTEGER", "low": point(real=0.0), "high": point(real=1.0)},
        {"name": "a", "kind": "KIND_FLOAT", "low": point(integer=0), "high": point(integer=1)},
        {"name": "a", "kind": "KIND_FLOAT", "low": point(real=0.0), "high": point(real=float("nan"))},
        {"name": "a", "kind": "KIND_FLOAT", "low": point(real=0.0), "high": point(real=float("inf"))},
        {"name": "a", "kind": "KIND_INTEGER", "low": point(integer=2), "high": point(integer=1)},
        {"name": "a", "kind": "KIND_DATETIME", "low": point(moment={"seconds": 10**15}), "high": point(moment={})},
        {"name": "a", "kind": "KIND_BOOLEAN", "low": point(integer=0)},
        {"name": "a", "kind": "KIND_CATEGORICAL"},
        {"name": "a", "kind": "KIND_CATEGORICAL", "categories": [str(i) for i in range(1_001)]},
    ],
)
def test_a_faulty_column_is_an_invalid_domain(column):
    with pytest.raises(InvalidDomain):
        convert.domain_from_proto(types_pb2.Domain(columns=[types_pb2.Column(**column)]))


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (lambda: convert.domain_from_proto(types_pb2.Domain()), InvalidDomain),
        (lambda: convert.unit_from_proto(types_pb2.PrivacyUnit()), InvalidDomain),
        (lambda: convert.sizes_from_proto(types_pb2.PublicSizes(), PrivacyUnit()), InvalidDomain),
        (lambda: convert.sizes_from_proto(types_pb2.PublicSizes(rows=1, origin=9), PrivacyUnit()), InvalidDomain),
        (lambda: convert.policy_from_proto(types_pb2.Policy()), InvalidPolicy),
        (
            lambda: convert.policy_from_proto(
                types_pb2.Policy(name="p", epsilon_max=1, rules=[types_pb2.Rule(score="risk.copies")])
            ),
            InvalidPolicy,
        ),
        (lambda: convert.release_from_proto(release_service_pb2.Release()), InternalError),
        (lambda: convert.entry_from_proto(ledger_service_pb2.Entry()), InternalError),
    ],
)
def test_an_unset_message_is_refused(read, error):
    with pytest.raises(error):
        read()


def test_link_needs_two_groups():
    message = convert.domain_to_proto(Domain(columns=(Column(name="a", kind=Kind.BOOLEAN),)))
    message.link.add(columns=["a"])
    with pytest.raises(InvalidDomain):
        convert.domain_from_proto(message)


def test_an_absent_policy_is_the_default():
    assert convert.requested_policy(dataset_service_pb2.CreateDatasetRequest()) == DEFAULT_POLICY
    given_one = dataset_service_pb2.CreateDatasetRequest(policy=types_pb2.Policy())
    with pytest.raises(InvalidPolicy):
        convert.requested_policy(given_one)
