"""What the gateway keeps, to and from protobuf: datasets, releases, quotes, accounts, entries.

Messages that only a gateway sends raise InternalError where they hold a state that this version does not know.
"""

from collections.abc import Iterable
from typing import TypeVar

from synthgate.accounted import NoisyMargin
from synthgate.budget import PrivacyBudget
from synthgate.client.convert.bindings import binding_from_proto, binding_to_proto
from synthgate.client.convert.derivations import derivation_from_proto, derivation_to_proto
from synthgate.client.convert.values import (
    domain_from_proto,
    domain_to_proto,
    policy_from_proto,
    policy_to_proto,
    sizes_from_proto,
    sizes_to_proto,
    time_from_proto,
    time_to_proto,
    unit_from_proto,
    unit_to_proto,
)
from synthgate.dataset import ColumnFindings, Dataset, DatasetState, DatasetView
from synthgate.errors import InternalError
from synthgate.ledger import Account, AccountView, Balance, Charge, Entry, EntryKind, PlanPrice
from synthgate.policy import Policy
from synthgate.release import Quote, Release, ReleaseState
from synthgate.v1 import dataset_service_pb2 as datasets
from synthgate.v1 import ledger_service_pb2 as ledger
from synthgate.v1 import release_service_pb2 as releases

DATASET_STATES = {s: getattr(datasets, f"DATASET_STATE_{s.name}") for s in DatasetState}
RELEASE_STATES = {s: getattr(releases, f"RELEASE_STATE_{s.name}") for s in ReleaseState}
ENTRY_KINDS = {k: getattr(ledger, f"ENTRY_KIND_{k.name}") for k in EntryKind}
_DATASET_STATE_OF = {number: state for state, number in DATASET_STATES.items()}
_RELEASE_STATE_OF = {number: state for state, number in RELEASE_STATES.items()}
_ENTRY_KIND_OF = {number: kind for kind, number in ENTRY_KINDS.items()}
Known = TypeVar("Known")


def dataset_to_proto(dataset: Dataset, *, policy: Policy, findings: Iterable[ColumnFindings] = ()) -> datasets.Dataset:
    """A dataset as a message. The caller passes findings, and leaves ``failure`` set, for stewards alone."""
    return datasets.Dataset(
        name=dataset.name,
        domain=domain_to_proto(dataset.domain),
        unit=unit_to_proto(dataset.unit),
        sizes=None if dataset.sizes is None else sizes_to_proto(dataset.sizes),
        account=dataset.account,
        policy=policy_to_proto(policy),
        state=DATASET_STATES[dataset.state],
        registered_by=dataset.registered_by,
        create_time=time_to_proto(dataset.created_at),
        failure=dataset.failure,
        warnings=dataset.warnings,
        findings=map(findings_to_proto, findings),
    )


def dataset_from_proto(message: datasets.Dataset) -> DatasetView:
    """The dataset in a message, with its policy and findings."""
    unit, policy = unit_from_proto(message.unit), policy_from_proto(message.policy)
    dataset = Dataset(
        name=message.name,
        domain=domain_from_proto(message.domain),
        unit=unit,
        sizes=sizes_from_proto(message.sizes, unit) if message.HasField("sizes") else None,
        account=message.account,
        policy=policy.name,
        state=_known(_DATASET_STATE_OF, message.state),
        registered_by=message.registered_by,
        created_at=time_from_proto(message.create_time),
        failure=message.failure,
        warnings=tuple(message.warnings),
    )
    return DatasetView(dataset=dataset, policy=policy, findings=tuple(map(findings_from_proto, message.findings)))


def findings_to_proto(findings: ColumnFindings) -> datasets.ColumnFindings:
    """One column's findings as a message."""
    return datasets.ColumnFindings(
        column=findings.column,
        empty=findings.empty,
        unparsable=findings.unparsable,
        clamped=findings.clamped,
        undeclared=findings.undeclared,
    )


def findings_from_proto(message: datasets.ColumnFindings) -> ColumnFindings:
    """One column's findings in a message."""
    return ColumnFindings(
        column=message.column,
        empty=message.empty,
        unparsable=message.unparsable,
        clamped=message.clamped,
        undeclared=message.undeclared,
    )


_RELEASE_SAME = (
    "id", "dataset", "account", "engine", "because", "epsilon", "delta", "share_ppm", "requested_by", "stage",
    "approvals_needed", "sha256", "bytes", "rows", "policy", "policy_version", "policy_digest",
)  # fmt: skip


def release_to_proto(release: Release) -> releases.Release:
    """A release as a message, exactly as given: the caller hides first what a role may not see."""
    return releases.Release(
        **{name: getattr(release, name) for name in _RELEASE_SAME},
        state=RELEASE_STATES[release.state],
        create_time=time_to_proto(release.created_at),
        update_time=time_to_proto(release.updated_at),
        reasons=release.reasons,
        approvals=release.approvals,
        derivation=None if release.derivation is None else derivation_to_proto(release.derivation),
        binding=None if release.binding is None else binding_to_proto(release.binding),
        margin=None if (m := release.margin) is None else releases.NoisyMargin(value=m.value, sigma=m.sigma),
    )


def release_from_proto(message: releases.Release) -> Release:
    """The release in a message."""
    m = message.margin
    return Release(
        **{name: getattr(message, name) for name in _RELEASE_SAME},
        state=_known(_RELEASE_STATE_OF, message.state),
        created_at=time_from_proto(message.create_time),
        updated_at=time_from_proto(message.update_time),
        reasons=tuple(message.reasons),
        approvals=tuple(message.approvals),
        derivation=derivation_from_proto(message.derivation) if message.HasField("derivation") else None,
        binding=binding_from_proto(message.binding) if message.HasField("binding") else None,
        margin=NoisyMargin(value=m.value, sigma=m.sigma) if message.HasField("margin") else None,
    )


_QUOTE_SAME = (
    "engine", "because", "epsilon", "delta", "plan_epsilon", "share_ppm", "taken_ppm", "after_ppm", "largest_epsilon",
    "rows",
)  # fmt: skip


def quote_to_proto(quote: Quote) -> releases.QuoteReleaseResponse:
    """A quote as a message."""
    same = {name: getattr(quote, name) for name in _QUOTE_SAME}
    return releases.QuoteReleaseResponse(**same, refusals=quote.refusals)


def quote_from_proto(message: releases.QuoteReleaseResponse) -> Quote:
    """The quote in a message."""
    same = {name: getattr(message, name) for name in _QUOTE_SAME}
    return Quote(**same, refusals=tuple(message.refusals))


def budget_to_proto(budget: PrivacyBudget) -> ledger.Budget:
    """A budget as a message, in its exact units."""
    return ledger.Budget(epsilon_units=budget.epsilon_units, delta_units=budget.delta_units)


def budget_from_proto(message: ledger.Budget) -> PrivacyBudget:
    """The budget in a message, in its exact units."""
    return PrivacyBudget(message.epsilon_units, message.delta_units)


def account_to_proto(account: Account) -> ledger.Account:
    """An account as a message."""
    return ledger.Account(
        name=account.name,
        cap=budget_to_proto(account.cap),
        order=account.order,
        capacity=account.capacity,
        sandbox=account.sandbox,
        opened_by=account.opened_by,
        open_time=time_to_proto(account.opened_at),
        verdicts_granted=account.verdicts_granted,
    )


def account_from_proto(message: ledger.Account) -> Account:
    """The account in a message."""
    return Account(
        name=message.name,
        cap=budget_from_proto(message.cap),
        order=message.order,
        capacity=message.capacity,
        sandbox=message.sandbox,
        opened_by=message.opened_by,
        opened_at=time_from_proto(message.open_time),
        verdicts_granted=message.verdicts_granted,
    )


def charge_to_proto(charge: Charge) -> ledger.Charge:
    """A charge as a message; ``rdp`` stays absent where only meter A can hold it."""
    return ledger.Charge(epsilon=charge.epsilon, delta=charge.delta, rdp=charge.rdp)


def charge_from_proto(message: ledger.Charge) -> Charge:
    """The charge in a message."""
    rdp = message.rdp if message.HasField("rdp") else None
    return Charge(epsilon=message.epsilon, delta=message.delta, rdp=rdp)


def balance_to_proto(view: AccountView) -> ledger.Balance:
    """An account's balance and derived figures as a message."""
    return ledger.Balance(
        account=account_to_proto(view.balance.account),
        committed=charge_to_proto(view.balance.committed),
        reserved=charge_to_proto(view.balance.reserved),
        taken_ppm=view.taken_ppm,
        largest_epsilon=view.largest_epsilon,
        verdicts=view.verdicts,
    )


def balance_from_proto(message: ledger.Balance) -> AccountView:
    """The balance and derived figures in a message."""
    balance = Balance(
        account=account_from_proto(message.account),
        committed=charge_from_proto(message.committed),
        reserved=charge_from_proto(message.reserved),
    )
    return AccountView(
        balance=balance,
        taken_ppm=message.taken_ppm,
        largest_epsilon=message.largest_epsilon,
        verdicts=message.verdicts,
    )


def entry_to_proto(entry: Entry) -> ledger.Entry:
    """A line of the book as a message."""
    return ledger.Entry(
        sequence=entry.sequence,
        account=entry.account,
        kind=ENTRY_KINDS[entry.kind],
        principal=entry.principal,
        reason=entry.reason,
        time=time_to_proto(entry.at),
        previous=entry.previous,
        digest=entry.digest,
        reservation=entry.reservation,
        charge=None if entry.charge is None else charge_to_proto(entry.charge),
        cap=None if entry.cap is None else budget_to_proto(entry.cap),
        order=entry.order,
        capacity=entry.capacity,
        sandbox=entry.sandbox,
        verdicts_granted=entry.verdicts_granted,
        salt=entry.salt,
    )


def entry_from_proto(message: ledger.Entry) -> Entry:
    """The line of the book in a message."""
    return Entry(
        sequence=message.sequence,
        account=message.account,
        kind=_known(_ENTRY_KIND_OF, message.kind),
        principal=message.principal,
        reason=message.reason,
        at=time_from_proto(message.time),
        previous=message.previous,
        digest=message.digest,
        reservation=message.reservation,
        charge=charge_from_proto(message.charge) if message.HasField("charge") else None,
        cap=budget_from_proto(message.cap) if message.HasField("cap") else None,
        order=message.order,
        capacity=message.capacity,
        sandbox=message.sandbox,
        verdicts_granted=message.verdicts_granted,
        salt=message.salt,
    )


def plan_price_to_proto(price: PlanPrice) -> ledger.PlanPrice:
    """What a plan costs alone as a message."""
    return ledger.PlanPrice(
        release=price.release, epsilon=price.epsilon, delta=price.delta, accountant=price.accountant
    )


def plan_price_from_proto(message: ledger.PlanPrice) -> PlanPrice:
    """What a plan costs alone, in a message."""
    return PlanPrice(
        release=message.release, epsilon=message.epsilon, delta=message.delta, accountant=message.accountant
    )


def _known(values: dict[int, Known], number: int) -> Known:
    if number not in values:
        raise InternalError("the gateway sent a state that this version does not know; upgrade synthgate")
    return values[number]
