"""Cancel and delete: what they free, what they destroy, and what stays for ever."""

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from synthgate.dataset import DatasetState
from synthgate.errors import AlreadyExists, NotFound, WrongState
from synthgate.ledger import EntryKind
from synthgate.release import ReleaseState
from synthgate.verify import verify
from tests.e2e.people import LENIENT, declaration
from tests.e2e.process import Served


def test_cancel_frees_what_was_reserved_and_keeps_what_was_committed(served: Served) -> None:
    name = served.dataset("cancelled", rows=300)
    first = served.steward.create_release(name, epsilon=0.5, engine="stalling")
    served.until(first, "fitting")
    alone = served.balance(name)
    waiting = served.analyst.create_release(name, epsilon=1.0)
    assert served.balance(name).taken_ppm > alone.taken_ppm
    assert served.steward.release(waiting.id).state is ReleaseState.PENDING

    for _ in range(2):
        cancelled = served.steward.cancel(waiting.id, request_id="cancel-waiting")
        assert cancelled.state is ReleaseState.CANCELLED
    assert served.balance(name) == alone
    with pytest.raises(WrongState):
        served.steward.cancel(waiting.id)
    with pytest.raises(NotFound):
        served.analyst.cancel(first.id)

    workers = served.workers()
    served.steward.cancel(first.id)
    assert served.ended(first).state is ReleaseState.CANCELLED
    assert not psutil.wait_procs(workers, timeout=10)[1]
    assert served.balance(name) == alone
    assert [(e.kind, e.reservation) for e in served.steward.entries(name)] == [
        (EntryKind.OPEN, ""),
        (EntryKind.RESERVE, first.id),
        (EntryKind.COMMIT, first.id),
        (EntryKind.RESERVE, waiting.id),
        (EntryKind.VOID, waiting.id),
    ]


def test_an_analyst_cannot_see_when_a_charge_is_committed(served: Served) -> None:
    """It would tell how long the job before it took, and that says something of its rows."""
    name = served.dataset("unseen", rows=300)
    first = served.steward.create_release(name, epsilon=0.5, engine="stalling")
    served.until(first, "fitting")
    asked = served.analyst.create_release(name, epsilon=0.5, engine="stalling")
    seen, known = served.analyst.balance(name), served.balance(name)
    served.steward.cancel(first.id)
    assert served.until(asked, "fitting").state is ReleaseState.TRAINING
    assert served.analyst.balance(name) == seen
    assert served.analyst.release(asked.id) == asked
    assert served.balance(name).balance.committed != known.balance.committed
    served.steward.cancel(asked.id)
    served.ended(asked)


def test_a_cancelled_request_on_an_untouched_account_leaves_it_empty(served: Served) -> None:
    blocker = served.steward.create_release(served.dataset("blocker", rows=300), epsilon=0.5, engine="stalling")
    served.until(blocker, "fitting")
    name = served.dataset_later("untouched", rows=300)
    with pytest.raises(WrongState, match="not READY"):
        served.analyst.create_release(name, epsilon=1.0)
    served.steward.cancel(blocker.id)
    served.ended(blocker)
    served.steward.wait_ready(name)
    blocker = served.steward.create_release("blocker", epsilon=0.5, engine="stalling")
    served.until(blocker, "fitting")
    waiting = served.analyst.create_release(name, epsilon=1.0)
    assert served.analyst.cancel(waiting.id).state in (
        ReleaseState.PENDING,
        ReleaseState.CLOSED,
    )  # before or after a tick
    assert tuple(served.analyst.watch(waiting.id))[-1].state is ReleaseState.CLOSED
    view = served.balance(name)
    assert (view.taken_ppm, view.verdicts) == (0, 0)
    served.steward.cancel(blocker.id)
    served.ended(blocker)


def test_deletion_destroys_rows_and_what_was_not_released_and_keeps_the_books(served: Served, tmp_path: Path) -> None:
    name = served.dataset("erased", rows=1_200, policy=replace(LENIENT, approvals=1), cap=10.0)
    released, kept = (served.analyst.create_release(name, epsilon=1.0, engine="fresh") for _ in range(2))
    served.until(released, ReleaseState.AWAITING_APPROVAL)
    served.approve(released, reason="looked")
    awaiting = served.until(kept, ReleaseState.AWAITING_APPROVAL)
    training = served.analyst.create_release(name, epsilon=1.0, engine="stalling")
    served.until(training, "fitting")
    waiting = served.analyst.create_release(name, epsilon=1.0, engine="fresh")
    before, charged = served.steward.entries(name), served.balance(name).balance.committed
    assert (served.state / "rows" / name / "train.parquet").exists()
    assert (served.state / "artifacts" / awaiting.sha256).exists()

    for _ in range(2):
        view = served.steward.delete_dataset(name, request_id="delete-erased")
        assert view.dataset.state is DatasetState.DELETED
    for release in (kept, training, waiting):
        assert served.ended(release).state is ReleaseState.CANCELLED
    assert not (served.state / "rows" / name).exists()
    assert not (served.state / "artifacts" / awaiting.sha256).exists()
    assert list((served.state / "uploads").glob(f"{name}*")) == []

    assert served.steward.entries(name)[: len(before)] == before
    assert [e.kind for e in served.steward.entries(name)[len(before) :]] == [EntryKind.VOID]
    assert served.balance(name).balance.committed == charged
    assert served.balance(name).balance.reserved.epsilon == 0
    signed = served.analyst.attestation(released.id)
    file = served.analyst.download(released.id, tmp_path / "release.parquet")
    assert verify(file, signed.envelope, signed.public_key).dataset == name
    with pytest.raises(WrongState, match="destroyed with its dataset"):
        served.officer.report(released.id)

    with pytest.raises(AlreadyExists):
        served.steward.create_dataset(name, declaration(1_200), account=name)
    with pytest.raises(NotFound):
        served.steward.dataset(name)
    assert name not in {view.dataset.name for view in served.steward.datasets()}
    for act in (served.analyst.create_release, served.analyst.quote_release):
        with pytest.raises(NotFound):
            act(name, epsilon=1.0)
    with pytest.raises(NotFound):
        served.steward.delete_dataset(name)
