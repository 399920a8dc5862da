"""Three unaccounted verdicts an account, whatever a policy says; what an officer grants beyond shows ever after."""

from dataclasses import replace

import pytest

from dp_models.base import Plan
from server import accounts
from server.attestation import statement
from server.gateway import Gateway
from server.identity import Office, Principal
from server.pipeline import run_release
from server.policy import verdicts_allowed
from synthgate.errors import PolicyRefused
from synthgate.policy import DEFAULT_POLICY
from tests.server.composed import TICK_S, Clock, asked, call, leased, registered
from tests.server.several import TINY

OFFICER = Principal("officer", Office.OFFICER)
GENEROUS = replace(DEFAULT_POLICY, verdicts_max=100)


@pytest.mark.parametrize(
    ("policy", "limit", "granted", "allowed"),
    [(3, 3, 0, 3), (100, 3, 0, 3), (1, 3, 0, 1), (100, 3, 2, 5), (3, 0, 1, 1)],
)
def test_a_policy_lowers_the_limit_and_a_grant_raises_it(policy: int, limit: int, granted: int, allowed: int) -> None:
    assert verdicts_allowed(replace(DEFAULT_POLICY, verdicts_max=policy), limit=limit, granted=granted) == allowed


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
        logged = [r.detail["reason"] for r in tx.audit.records() if r.principal == "officer"]
    assert (record.verdict_number, record.verdicts_allowed, logged) == (4, 4, ["the board of 3 May"])
    claim = statement(Plan.from_json(record.plan), second, record, weaknesses=())
    words = f"4 of 4 allowed on this account for its life, 1 of them granted by officer, last on {granted:%Y-%m-%d}"
    assert words in claim.not_covered[0]
