"""A release whose verdict is inside its epsilon: from the quote to the certificate, on 12,000 rows."""

import hashlib
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dp_models.base import Noise, Plan, VerdictShare
from dp_models.mechanisms.attempt import AttemptNoise
from dp_models.registry import synthesizer
from dp_models.verdict import plan_judged
from server import approvals, datasets, pipeline, releases, requests
from server.attestation import FAILURE_NOT_COVERED, REPORT_NOT_COVERED, VERDICT_NOISE, statement
from server.catalog.base import DatasetRecord, ReleaseRecord
from server.gateway import Gateway
from server.identity import Office, Principal
from server.jobs import evaluate as evaluating
from server.jobs import runner
from server.jobs.evaluate import evaluate
from server.jobs.fit import fit
from server.leases import revoke
from server.pipeline import run_release
from server.policy import admit, decide
from synthgate.accounted import Z95
from synthgate.attestation import Decision, Judged
from synthgate.budget import PrivacyBudget
from synthgate.cli.book import document
from synthgate.dataset import PrivacyUnit, PublicSizes, SizeOrigin
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind, Role
from synthgate.errors import FailedPrecondition, PolicyRefused, SynthgateError, WrongState
from synthgate.events import Composed, DiscreteGaussian, DpEvent
from synthgate.ledger import ReservationState
from synthgate.policy import COPIES, DEFAULT_POLICY, MARGIN, Policy, Rule, VerdictKind
from synthgate.recount import Recount
from synthgate.release import ReleaseState
from synthgate.report import Better, Report, Score
from synthgate.statement import PrivacyStatement, Scope
from synthgate.verify import verify_envelope
from tests.server import composed
from tests.server.composed import ANALYST, STEWARD, TICK_S, Clock, call, leased, registered

ROWS = 12_000
SIZES = PublicSizes(rows=ROWS, units=ROWS)
DOMAIN = Domain(
    columns=(
        Column(name="pay", kind=Kind.FLOAT, low=0.0, high=1.0),
        Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m")),
        Column(name="ill", kind=Kind.BOOLEAN, role=Role.SENSITIVE, secret=True),
    )
)
POLICY = replace(
    DEFAULT_POLICY,
    rules=(
        *(
            Rule(score=score, at_most=0.25)
            for score in ("risk.singling_out.univariate", "risk.inference.*", "utility.tv2")
        ),
        Rule(score=COPIES, at_most=0.1),
    ),
)
"""Wide bounds: an innocent table is more than six deviations of targets and noise away from them."""

OFFICER = Principal("officer", Office.OFFICER)
FORMS = ("report_json", "report_html", "report_decision")
pytestmark = pytest.mark.guarantee("accounted-verdict")


@dataclass
class Jobs:
    """Stands where `server.jobs.runner.run` does: the real fit and verdict, in this process; no page is drawn. Where
    ``copied``, the sample is made of trained rows; the first ``interrupted`` evaluations die after their verdict, all
    of them for ``dies``; pages are not drawn for ``undrawn``."""

    copied: bool = False
    interrupted: int = 0
    dies: runner.Reason | None = None
    undrawn: runner.Reason | None = None

    def __call__(
        self, kind: str, spec: Mapping[str, Any], *, folder: Path, secret: bytes, cancelled: threading.Event,
        progress: Callable[[str], None], limits: runner.Limits, python: Path | None,
    ) -> Mapping[str, Any]:  # fmt: skip
        folder.mkdir()
        try:
            return getattr(self, f"_{kind}")(spec, folder, secret)
        except SynthgateError as error:
            raise runner.JobFailed(runner.Reason.REFUSED, error=error) from error

    def _fit(self, spec: Mapping[str, Any], folder: Path, secret: bytes) -> Mapping[str, Any]:
        made = dict(fit(spec, folder=folder, secret=secret, progress=print))
        if self.copied:
            sample = folder / "sample.parquet"
            schema, train = pq.read_schema(sample), pq.read_table(spec["train"])
            rows = pa.concat_tables([train, train]).slice(0, ROWS).select(schema.names).cast(schema)
            pq.write_table(rows, sample)
            made["sha256"] = hashlib.sha256(sample.read_bytes()).hexdigest()
        return made

    def _evaluate(self, spec: Mapping[str, Any], folder: Path, secret: bytes) -> Mapping[str, Any]:
        made = evaluate(spec, folder=folder, secret=secret, progress=print)
        if self.interrupted:
            self.interrupted -= 1
            raise runner.JobFailed(runner.Reason.INTERRUPTED)
        if self.dies is not None:
            (folder / "report.json").unlink()
            raise runner.JobFailed(self.dies)
        return made

    def _render(self, _spec: Mapping[str, Any], folder: Path, _secret: bytes) -> Mapping[str, Any]:
        if self.undrawn is not None:
            raise runner.JobFailed(self.undrawn)
        for name in ("report.json", "report.html", "decision.html"):
            (folder / name).write_text(f"a form of a report, {name}")
        return {}


@pytest.fixture(autouse=True)
def nothing_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact scores take seconds, and no part in what is tested here."""
    monkeypatch.setattr(evaluating, "compare", lambda *_arguments, **_settings: Report(scores=()))


def prepared(gateway: Gateway, clock: Clock, jobs: Jobs, *, policy: Policy = POLICY) -> Gateway:
    """With a dataset that is READY."""
    registered(gateway, policy=policy, domain=DOMAIN, sizes=SIZES)
    draw, folder = np.random.default_rng(1), gateway.settings.rows / "table"
    folder.mkdir(parents=True)
    for part, count in (("train", 9_600), ("holdout", 2_400)):
        table = {
            "pay": pa.array(draw.random(count)),
            "sex": pa.array(draw.choice(["f", "m"], count), pa.string()),
            "ill": pa.array(draw.random(count) < 0.3, pa.bool_()),
            UNIT_COLUMN: pa.array(range(count), pa.int64()),
        }
        pq.write_table(pa.table(table), folder / f"{part}.parquet")
    clock.seconds += TICK_S + 1
    return replace(gateway, job=jobs)


def asked(gateway: Gateway, epsilon: float = 3.0) -> str:
    return requests.create(
        gateway, call(ANALYST), dataset="table", engine="independent", epsilon=epsilon, delta=None
    ).release.id


def run(gateway: Gateway, release: str) -> None:
    leased(gateway, release)
    run_release(gateway, release)


def record_of(gateway: Gateway, release: str) -> ReleaseRecord:
    with gateway.store.begin() as tx:
        return tx.releases.get(release)


def test_a_release_is_judged_inside_its_epsilon(gateway: Gateway, clock: Clock) -> None:
    """From the quote to the certificate."""
    gateway = prepared(gateway, clock, Jobs())
    quote = requests.quote(gateway, ANALYST, dataset="table", engine="independent", epsilon=3.0, delta=None)
    assert quote.refusals == ()
    assert quote.plan_epsilon <= 3.0
    release = asked(gateway)
    run(gateway, release)
    record = record_of(gateway, release)
    plan = Plan.from_json(record.plan)
    assert plan.verdict is not None
    assert plan.event == Composed((plan.fitted.event, DiscreteGaussian(plan.verdict.sigma, 1)))
    assert (plan.budget.epsilon, plan.fitted.budget) == (3.0, plan.verdict.left)
    assert record.release.state is ReleaseState.RELEASED, (record.failure, record.release.margin)
    margin = record.release.margin
    assert margin is not None
    assert (margin.sigma, margin.pessimistic) == (plan.verdict.sigma, margin.value + Z95 * margin.sigma)
    assert margin.pessimistic <= 0

    with gateway.artifacts.open(record.artifacts["attestation"]) as file:
        found = verify_envelope(file.read(), gateway.signer.public_pem)
    assert (found.statement.scope, found.statement.end_to_end) == (Scope.RELEASE, True)
    assert found.statement.not_covered == (REPORT_NOT_COVERED, FAILURE_NOT_COVERED)
    assert (found.statement.event, found.statement.epsilon <= 3.0) == (plan.event, True)
    assert isinstance(found.origin, Judged)
    assert found.origin.decision == Decision(number=0, allowed=0, unaccounted=False)
    assert found.origin.policy.rules == POLICY.concrete(DOMAIN)
    assert found.origin.policy.version == POLICY.version

    with gateway.store.begin() as tx:
        assert tx.releases.verdicts("people") == 0
        recount = Recount()
        for entry in tx.ledger.entries():
            recount.take(document(entry))
        assert [t.committed.rdp for t in recount.accounts] == [tx.ledger.balance("people").committed.rdp]
    clock.seconds += 2 * TICK_S
    assert releases.read(gateway, ANALYST, release).release.margin is None
    assert releases.read(gateway, OFFICER, release).release.margin == margin


@pytest.mark.parametrize("edited", ["policy", "sigma"])
def test_a_verdict_of_another_kind_or_noise_than_was_charged_opens_no_row(
    gateway: Gateway, clock: Clock, edited: str
) -> None:
    """Somebody edits the catalog between the request and the run."""
    gateway = prepared(gateway, clock, Jobs())
    record, dataset = record_of(gateway, asked(gateway)), dataset_of(gateway, "table")
    if edited == "policy":
        other = replace(record, policy=replace(record.policy, verdict=VerdictKind.EXACT))
    else:
        other = replace(record, plan={**record.plan, "verdict": {**record.plan["verdict"], "sigma": 0.01}})
    with gateway.store.begin() as tx:
        pipeline.seal(gateway, record, dataset)
        tx.ledger.commit(record.release.id, by="gateway")
    with pytest.raises((WrongState, FailedPrecondition), match=r"charge was reserved for|than it prices"):
        pipeline._secret(gateway, other, dataset)
    assert pipeline._secret(gateway, record, dataset)


def test_accounted_verdicts_are_not_counted_and_exact_ones_are(gateway: Gateway, clock: Clock) -> None:
    gateway = prepared(gateway, clock, Jobs())
    for _ in range(4):
        release = asked(gateway, epsilon=0.7)
        releases.cancel(gateway, call(ANALYST), release)
        asked(gateway, epsilon=0.7)
    assert record_of(gateway, release).verdict_number == 0
    registered(gateway, "exact")
    clock.seconds += TICK_S + 1
    first, second = (composed.asked(gateway, "exact") for _ in range(2))
    with gateway.store.begin() as tx:
        assert tx.releases.verdicts("people") == 2
        assert {first, second}.isdisjoint(tx.releases.accounted("people"))
        assert len(tx.releases.accounted("people")) == 8
    run(gateway, second)  # it has no rows; what is numbered at the commit stays
    assert (record_of(gateway, second).verdict_number, record_of(gateway, first).verdict_number) == (1, 1)
    claim = statement(Plan.from_json(record_of(gateway, second).plan), dataset_of(gateway, "exact"),
                      record_of(gateway, second), noise=(), weaknesses=())  # fmt: skip
    assert (claim.scope, claim.end_to_end) == (Scope.GENERATOR, False)


def test_a_request_for_an_accounted_verdict_counts_no_earlier_ones(
    gateway: Gateway, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take longer with every accounted release of the account."""
    gateway = prepared(gateway, clock, Jobs())
    with gateway.store.begin() as tx:
        monkeypatch.delattr(type(tx.releases), "verdicts")
    quote = requests.quote(gateway, ANALYST, dataset="table", engine="independent", epsilon=3.0, delta=None)
    assert (quote.refusals, record_of(gateway, asked(gateway)).verdict_number) == ((), 0)


def dataset_of(gateway: Gateway, name: str) -> DatasetRecord:
    with gateway.store.begin() as tx:
        return tx.datasets.get(name)


def test_a_release_of_copies_is_refused_and_charged(gateway: Gateway, clock: Clock) -> None:
    """Every trained row is released: 2,000 targets more than are allowed, and noise of 8."""
    gateway = prepared(gateway, clock, Jobs(copied=True))
    release = asked(gateway)
    run(gateway, release)
    record = record_of(gateway, release)
    assert record.release.state is ReleaseState.REJECTED
    assert record.release.reasons == (f"{MARGIN} ABOVE_THRESHOLD",)
    with gateway.store.begin() as tx:
        assert tx.ledger.reservation(release).state is ReservationState.COMMITTED


class Forgetful(AttemptNoise):
    """Noise that is drawn anew whenever a verdict is repeated."""

    def _drawn(self, _request: bytes, _event: DpEvent, make: Callable[[], bytes]) -> bytes:
        return make()


@pytest.mark.parametrize("planted", [False, True])
def test_an_interrupted_verdict_is_drawn_once(
    gateway: Gateway, clock: Clock, monkeypatch: pytest.MonkeyPatch, planted: bool
) -> None:
    """The job dies three times after its verdict was drawn; its repetitions decide the same. With a sigma of 369 three
    draws of their own are equal with a chance of 6e-7."""
    drawn: list[int] = []
    real = evaluating.noisy

    def told(exact: int, share: VerdictShare, noise: Noise) -> Score:
        score = real(exact, share, noise)
        drawn.append(int(score.value))
        return score

    monkeypatch.setattr(evaluating, "noisy", told)
    if planted:
        monkeypatch.setattr(evaluating, "AttemptNoise", Forgetful)
    rules = (Rule(score=COPIES, at_most=0.9),)
    gateway = prepared(gateway, clock, Jobs(interrupted=3), policy=replace(POLICY, rules=rules))
    release = asked(gateway, epsilon=0.05)
    for _ in range(3):
        run(gateway, release)
        with gateway.store.begin() as tx:
            revoke(tx, release)  # the next one holds it under another fence, with journals of its own
    record = record_of(gateway, release)
    assert (record.replays, len(drawn)) == (2, 3)
    assert record.release.margin is not None
    passed = record.release.margin.pessimistic <= 0
    assert record.release.state is (ReleaseState.RELEASED if passed else ReleaseState.REJECTED)
    assert (len(set(drawn)) == 1) is not planted
    assert not (gateway.sealed.folder / release).exists()


def test_while_a_release_awaits_approval_its_exact_scores_are_sealed(gateway: Gateway, clock: Clock) -> None:
    gateway = prepared(gateway, clock, Jobs(), policy=replace(POLICY, approvals=1))
    release = asked(gateway)
    run(gateway, release)
    waiting = releases.read(gateway, OFFICER, release).release
    assert waiting.state is ReleaseState.AWAITING_APPROVAL
    assert waiting.margin is not None
    assert waiting.binding is not None
    for kind in FORMS:
        with pytest.raises(WrongState, match="sealed until it is at rest"):
            releases.report(gateway, OFFICER, release, kind=kind)
    approvals.reject(gateway, call(OFFICER), release, reason="no purpose")
    assert all(releases.report(gateway, OFFICER, release, kind=kind) for kind in FORMS)


@pytest.mark.parametrize("epsilon", [0.05, 0.1])
def test_a_request_whose_noise_leaves_no_room_is_refused_free_of_charge(
    gateway: Gateway, clock: Clock, epsilon: float
) -> None:
    gateway = prepared(gateway, clock, Jobs())
    with gateway.store.begin() as tx:
        head = tx.ledger.head()
    with pytest.raises(PolicyRefused, match=r"accounted verdict: 2253 targets .*`verdict: exact`"):
        asked(gateway, epsilon)
    quote = requests.quote(gateway, ANALYST, dataset="table", engine="independent", epsilon=epsilon, delta=None)
    assert "`verdict: exact`" in quote.refusals[0]
    with gateway.store.begin() as tx:
        assert tx.ledger.head() == head


def test_a_plan_without_a_share_is_not_admitted_for_an_accounted_policy() -> None:
    plan = synthesizer("independent").plan(DOMAIN, SIZES, PrivacyBudget.spend(1.0, 1e-6))
    found = admit(POLICY, plan, DOMAIN, certified=True, sandbox=False, verdicts=99, allowed=3)
    assert found == ("the plan leaves nothing for the accounted verdict that the policy asks for; ask again",)


def test_without_a_margin_nothing_passes() -> None:
    """A report of perfect exact scores says nothing to an accounted policy."""
    scores = [Score(name=r.score, value=0.0, low=0.0, high=0.0, better=Better.LOWER) for r in POLICY.concrete(DOMAIN)]
    plan = plan_judged(synthesizer("independent"), DOMAIN, SIZES, PrivacyBudget.spend(1.0, 1e-6))
    claim = PrivacyStatement(
        scope=Scope.RELEASE, end_to_end=True, unit="row", sizes=SIZES, accountant="", event=plan.event, epsilon=1.0,
        delta=1e-6, epsilon_substitute_one=2.0, not_covered=(), noise=(), weakened_by=(),
    )  # fmt: skip
    assert decide(POLICY, DOMAIN, claim, Report(scores=tuple(scores))).reasons == (f"{MARGIN} SCORE_MISSING",)
    for value, high, passed in ((-40.0, -4.6, True), (-30.0, 5.4, False), (math.nan, math.nan, False)):
        margin = Score(name=MARGIN, value=value, low=value - 1, high=high, better=Better.LOWER)
        assert decide(POLICY, DOMAIN, claim, Report(scores=(margin,))).passed is passed
    assert not decide(replace(POLICY, rules=()), DOMAIN, claim, Report(scores=(margin,))).passed


@pytest.mark.parametrize(("rows", "warned"), [(2_000, True), (12_000, False)])
def test_who_registers_a_table_that_is_too_small_is_told_at_once(gateway: Gateway, rows: int, warned: bool) -> None:
    record = datasets.register(
        gateway, call(STEWARD), name="small", domain=DOMAIN, unit=PrivacyUnit(),
        sizes=PublicSizes(rows=rows, units=rows), account="people", policy=DEFAULT_POLICY,
    )  # fmt: skip
    assert [("`verdict: exact`" in text) for text in record.dataset.warnings] == [True] * warned


@pytest.mark.parametrize(
    ("origin", "sandbox", "scope", "whole"),
    [
        (SizeOrigin.DECLARED, False, Scope.RELEASE, True),
        (SizeOrigin.COUNTED, False, Scope.RELEASE, False),
        (SizeOrigin.DECLARED, True, Scope.NONE, False),
    ],
)
def test_end_to_end_is_what_publishes_nothing_else(
    gateway: Gateway, clock: Clock, origin: SizeOrigin, sandbox: bool, scope: Scope, whole: bool
) -> None:
    gateway = prepared(gateway, clock, Jobs())
    record = replace(record_of(gateway, asked(gateway)), sandbox=sandbox)
    plan = Plan.from_json(record.plan)
    plan = replace(plan, sizes=replace(plan.sizes, origin=origin))
    claim = statement(plan, dataset_of(gateway, "table"), record, noise=(), weaknesses=())
    assert (claim.scope, claim.end_to_end) == (scope, whole)
    assert claim.noise == (VERDICT_NOISE,)
    assert any("counted" in text for text in claim.not_covered) is (origin is SizeOrigin.COUNTED)
