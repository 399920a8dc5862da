"""Three unaccounted verdicts an account, whatever a policy says; what an officer grants beyond shows ever after."""

from dataclasses import replace

import pytest

from dp_models.base import Plan
from server import accounts, erasure
from server.attestation import statement
from server.gateway import Gateway
from server.identity import Appointment, Office, Principal
from server.pipeline import run_release
from server.policy import verdicts_allowed
from synthgate.errors import PermissionDenied, PolicyRefused
from synthgate.policy import EXACT_POLICY
from tests.server.composed import ANALYST, STEWARD, TICK_S, Clock, asked, call, leased, registered
from tests.server.several import TINY

OFFICER = Principal("officer", Office.OFFICER)
GENEROUS = replace(EXACT_POLICY, verdicts_max=100)


@pytest.mark.parametrize(
    ("policy", "limit", "granted", "allowed"),
    [(3, 3, 0, 3), (100, 3, 0, 3), (1, 3, 0, 1), (100, 3, 2, 5), (3, 0, 1, 1)],
)
def test_a_policy_lowers_the_limit_and_a_grant_raises_it(policy: int, limit: int, granted: int, allowed: int) -> None:
    assert verdicts_allowed(replace(EXACT_POLICY, verdicts_max=policy), limit=limit, granted=granted) == allowed


def test_the_fourth_verdict_is_refused_free_of_charge_until_it_is_granted(gateway: Gateway, clock: Clock) -> None:
    registered(gateway)
    second = registered(gateway, "second", policy=GENEROUS)
    assert "allows an account 3 verdicts" in second.dataset.warnings[-1]
    clock.seconds = TICK_S
    with gateway.store.begin() as tx:
        for number in range(3):
            tx.ledger.reserve("people", f"r{number}", TINY, by="analyst")
            tx.ledger.commit(f"r{number}", by="gateway")
        head = tx.ledger.head()
    for dataset in ("table", "second"):
        with pytest.raises(PolicyRefused, match="3 of 3 unaccounted verdicts; an officer can grant more"):
            asked(gateway, dataset)
    with gateway.store.begin() as tx:
        assert tx.ledger.head() == head
    accounts.amend_account(
        gateway, call(OFFICER), name="people", epsilon=None, delta=None, verdicts_granted=1, reason="the board of 3 May"
    )
    fourth = asked(gateway, "second")
    with pytest.raises(PolicyRefused, match="4 of 4"):
        asked(gateway)

    leased(gateway, fourth)
    run_release(gateway, fourth)  # there are no rows: what is numbered at the commit stays
    with gateway.store.begin() as tx:
        record = tx.releases.get(fourth)
        granted = next(e.at for e in tx.ledger.entries("people") if e.kind == "amend")
        logged = [r.detail for r in tx.audit.records() if r.principal == "officer"]
    assert (record.verdict_number, record.verdicts_allowed) == (4, 4)
    amounts = {"epsilon": "3", "delta": "1e-06", "verdicts_granted": "1"}
    assert logged == [amounts | {"reason": "the board of 3 May"}]
    claim = statement(Plan.from_json(record.plan), second, record, noise=(), weaknesses=())
    words = f"4 of 4 allowed on this account for its life, 1 of them granted by officer, last on {granted:%Y-%m-%d}"
    assert words in claim.not_covered[0]


@pytest.mark.parametrize("deleted", [False, True])
def test_nobody_grants_on_what_they_registered_or_asked_for(gateway: Gateway, clock: Clock, deleted: bool) -> None:
    registered(gateway)
    clock.seconds = TICK_S
    asked(gateway)
    if deleted:
        erasure.delete(gateway, call(STEWARD), "table")
    with gateway.store.begin() as tx:
        head = tx.ledger.head()
    for name in (STEWARD.name, ANALYST.name):
        with pytest.raises(PermissionDenied, match="nobody amends"):
            granted(gateway, Principal(name, Office.OFFICER))
    with gateway.store.begin() as tx:
        assert tx.ledger.head() == head
    granted(gateway, OFFICER)


@pytest.mark.parametrize("name", ["steward", "analyst"])
def test_a_change_of_the_settings_lets_nobody_grant(gateway: Gateway, clock: Clock, name: str) -> None:
    """Who registered or asked was one person with an officer at that time."""
    offices = {"steward": Office.STEWARD, "analyst": Office.ANALYST, "otto": Office.OFFICER}
    before = {p: Appointment(office, "same" if p in (name, "otto") else "") for p, office in offices.items()}
    first = replace(gateway, settings=gateway.settings.model_copy(update={"principals": before}))
    registered(first)
    clock.seconds = TICK_S
    asked(first)
    after = {p: Appointment(office) for p, office in offices.items() if p != name}
    later = replace(gateway, settings=gateway.settings.model_copy(update={"principals": after}))
    with pytest.raises(PermissionDenied, match="nobody amends"):
        granted(later, Principal("otto", Office.OFFICER))
    granted(later, OFFICER)


def granted(gateway: Gateway, who: Principal) -> None:
    accounts.amend_account(
        gateway, call(who), name="people", epsilon=None, delta=None, verdicts_granted=1, reason="the board"
    )
