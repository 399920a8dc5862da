"""A release whose verdict is inside its epsilon, through a gateway and its workers: sealed, approved, attested."""

from dataclasses import replace
from pathlib import Path

import pytest

from synthgate.attestation import Decision, Judged
from synthgate.errors import PolicyRefused, WrongState
from synthgate.policy import DEFAULT_POLICY, MARGIN, VerdictKind
from synthgate.release import ReleaseState
from synthgate.report import ReportForm
from synthgate.statement import Scope
from synthgate.verify import verify
from tests.e2e.people import LENIENT
from tests.e2e.process import Served


@pytest.mark.guarantee("accounted-verdict")
def test_an_accounted_release_is_sealed_until_it_is_at_rest_and_attested_whole(served: Served, tmp_path: Path) -> None:
    """Nobody is copied: the margin is 96 units below 0, the noise has a scale of 8."""
    policy = replace(LENIENT, approvals=1, verdict=VerdictKind.ACCOUNTED)
    name = served.dataset("accounted", rows=1_200, policy=policy)
    assert served.analyst.dataset(name).policy == policy
    asked = served.analyst.create_release(name, epsilon=3.0, engine="independent")
    waiting = served.until(asked, ReleaseState.AWAITING_APPROVAL, client=served.officer)
    assert waiting.state is ReleaseState.AWAITING_APPROVAL
    assert waiting.margin is not None
    assert waiting.margin.pessimistic <= 0
    for client in (served.steward, served.officer):
        for form in ReportForm:
            with pytest.raises(WrongState, match="sealed"):
                client.report_file(asked.id, form=form)
    assert served.analyst.release(asked.id).margin is None

    assert served.approve(asked, reason="its purpose is known").state is ReleaseState.RELEASED
    assert tuple(served.analyst.watch(asked.id))[-1].margin is None
    report = served.officer.report(asked.id)
    assert "at least 95 of 100 draws refuse where" in report[MARGIN].note
    assert report[MARGIN].value == waiting.margin.value
    for form in (ReportForm.HTML, ReportForm.DECISION):
        assert b"one noisy margin" in served.steward.report_file(asked.id, form=form).lower()
    file, signed = served.analyst.download(asked.id, tmp_path / "r.parquet"), served.analyst.attestation(asked.id)
    found = verify(file, signed.envelope, signed.public_key)
    assert (found.statement.scope, found.statement.end_to_end) == (Scope.RELEASE, True)
    assert isinstance(found.origin, Judged)
    assert found.origin.decision == Decision(number=0, allowed=0, unaccounted=False)
    assert served.balance(name).verdicts == 0

    drawn = served.analyst.derive_release(asked.id, replicates=2)
    assert tuple(served.analyst.watch(drawn.id))[-1].state is ReleaseState.RELEASED
    file, signed = served.analyst.download(drawn.id, tmp_path / "d.parquet"), served.analyst.attestation(drawn.id)
    assert verify(file, signed.envelope, signed.public_key).statement == found.statement


def test_a_table_that_is_too_small_is_told_so_and_of_the_exact_verdict(served: Served) -> None:
    name = served.dataset("accounted-small", rows=1_200, policy=DEFAULT_POLICY)
    with pytest.raises(PolicyRefused, match="`verdict: exact`"):
        served.analyst.create_release(name, epsilon=1.0)
    quote = served.analyst.quote_release(name, epsilon=1.0)
    assert "targets a side" in quote.refusals[0]
    assert served.balance(name).taken_ppm == 0
