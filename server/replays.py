"""Repeating an attempt that an infrastructure failure interrupted: to the same bytes, without a second charge.

An attempt's secret is made before its charge is committed and shredded, with its journal, when the release is at rest
or awaits approval. In between, `server.recovery` queues the release again, at most `REPLAYS` times. Out of memory, out
of time and a worker that dies are the job's own failures, and close it.
"""

from server import binding
from server.catalog.base import DatasetRecord, ReleaseRecord
from server.environments import interpreter
from server.failpoints import Step
from server.gateway import Gateway
from server.jobs import runner
from synthgate.dataset import DatasetState
from synthgate.errors import FailedPrecondition
from synthgate.release import ACTIVE

REPLAYS = 2
"""How often an attempt is repeated, at most."""


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
    machine, and the engine's noise is this project's. Whether the rows are the same shows once it runs."""
    return (
        record.replays < REPLAYS
        and record.release.derivation is None
        and dataset.dataset.state is not DatasetState.DELETED
        and interpreter(gateway.settings, record.release.engine) is None
        and gateway.sealed.binds(record.release.id, facts=binding.facts(record, dataset))
    )


def forget(gateway: Gateway, release: str) -> None:
    """Shred the secret and journal of a release that is at rest or awaits approval."""
    with gateway.store.begin() as tx:
        state = tx.releases.get(release).release.state
    if state not in ACTIVE:
        gateway.at(Step.SECRET_GOING)
        gateway.sealed.destroy(release)
        gateway.at(Step.SECRET_GONE)
