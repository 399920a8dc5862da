"""Repeating an attempt that an infrastructure failure interrupted: to the same bytes, without a second charge.

An attempt's secret is made before its charge is committed and shredded, with its journal, when the release is at rest
or awaits approval. In between the release is queued again, at most `REPLAYS` times, after a failure that is not its own
(`interrupted`): a gateway that was lost or stopped, a worker killed from outside, a disk that is full or broken, a
database that cannot be written. Out of memory, out of time, refused and crashed are the job's own failures: they close
it.
"""

from dataclasses import replace

from server import binding
from server.catalog.base import DatasetRecord, ReleaseRecord
from server.config import BUILT_IN_ENGINES
from server.environments import interpreter
from server.failpoints import Step
from server.gateway import GATEWAY, Gateway
from server.jobs import runner
from server.jobs.worker import DISK
from server.releases import move
from synthgate.dataset import DatasetState
from synthgate.errors import FailedPrecondition, Unavailable
from synthgate.release import ACTIVE, ReleaseState

REPLAYS = 2
"""How often an attempt is repeated, at most."""
UNDER_WAY = (ReleaseState.TRAINING, ReleaseState.EVALUATING)
"""The states of a charged release that is being worked on."""


def seal(gateway: Gateway, record: ReleaseRecord, dataset: DatasetRecord) -> None:
    """Make the secret of a new attempt, before its charge is committed: a crash in between leaves a secret that has
    drawn nothing, which the next beginning replaces, and no charge."""
    gateway.at(Step.SECRET_MAKING)
    gateway.sealed.make(record.release.id, facts=binding.facts(record, dataset))
    gateway.at(Step.SECRET_MADE)


def unsealed(gateway: Gateway, record: ReleaseRecord, dataset: DatasetRecord) -> bytes:
    """What keys the attempt. Opens the rows' files, so only once the charge is durable. Raises JobFailed where the
    secret is bound to anything else."""
    gateway.at(Step.COMMITTED)
    place = gateway.settings.rows / dataset.dataset.name
    try:
        secret = gateway.sealed.attempt(record.release.id, facts=binding.facts(record, dataset), rows=place)
    except FailedPrecondition as error:
        raise runner.JobFailed(runner.Reason.REFUSED, error=error) from error
    gateway.at(Step.SECRET_OPENED)
    return secret


def repeatable(gateway: Gateway, record: ReleaseRecord, dataset: DatasetRecord) -> bool:
    """Whether the attempt can run again and draw the same: its secret is kept and bound to the same request, code and
    machine, and the engine is one whose noise this project answers for. Whether the rows are the same shows once it
    runs."""
    return (
        record.replays < REPLAYS
        and record.release.derivation is None
        and dataset.dataset.state is not DatasetState.DELETED
        and record.release.engine in BUILT_IN_ENGINES
        and interpreter(gateway.settings, record.release.engine) is None
        and gateway.sealed.binds(record.release.id, facts=binding.facts(record, dataset))
    )


def interrupted(error: Exception) -> bool:
    """Whether an attempt died of something that is not its own."""
    if isinstance(error, runner.JobFailed):
        return error.reason is runner.Reason.INTERRUPTED
    return isinstance(error, Unavailable) or (isinstance(error, OSError) and error.errno in DISK)


def queue_again(gateway: Gateway, release: str) -> bool:
    """Put the release of an interrupted attempt back into the queue if it can be repeated; tells whether. Raises Fenced
    without its lease."""
    with gateway.store.begin() as tx:
        gateway.leases.check(tx, release)
        record = tx.releases.get(release)
        if record.release.state not in UNDER_WAY:
            return False
        if not repeatable(gateway, record, tx.datasets.get(record.release.dataset)):
            return False
        again = move(gateway, tx, replace(record, replays=record.replays + 1), ReleaseState.PENDING)
        tx.audit.append(principal=GATEWAY, action="Replay", resource=release, detail={"number": str(again.replays)})
        gateway.at(Step.REPLAY_WRITING)
    gateway.at(Step.REPLAY)
    return True


def forget(gateway: Gateway, release: str) -> None:
    """Shred the secret and journal of a release that is at rest or awaits approval."""
    with gateway.store.begin() as tx:
        state = tx.releases.get(release).release.state
    if state not in ACTIVE:
        gateway.at(Step.SECRET_GOING)
        gateway.sealed.destroy(release)
        gateway.at(Step.SECRET_GONE)
