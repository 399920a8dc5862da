"""What a catalog refuses, as pure functions, so that both stores refuse alike and in the same words."""

from typing import NoReturn

from server.catalog.base import Lease, ReleaseRecord
from synthgate.dataset import DatasetState
from synthgate.errors import AlreadyExists, InvalidArgument, NotFound, RequestIdReused, WrongState
from synthgate.release import ReleaseState, allows


def no_dataset(name: str) -> NoReturn:
    """Raises NotFound."""
    raise NotFound(f"there is no dataset {name!r}")


def no_release(release: str) -> NoReturn:
    """Raises NotFound."""
    raise NotFound(f"there is no release {release!r}")


def dataset_taken(name: str) -> NoReturn:
    """Raises AlreadyExists."""
    raise AlreadyExists(f"a dataset {name!r} exists or existed; choose another name")


def release_taken(release: str) -> NoReturn:
    """Raises AlreadyExists."""
    raise AlreadyExists(f"release {release!r} exists")


def check_dataset_state(name: str, stored: DatasetState, expected: DatasetState) -> None:
    """Raises WrongState unless the stored dataset is in ``expected``."""
    if stored is not expected:
        raise WrongState(f"dataset {name!r} is {stored}, not {expected}")


def check_release_change(stored: ReleaseRecord, new: ReleaseRecord, expected: ReleaseState) -> None:
    """Raises WrongState unless the stored release is in ``expected`` and may become what ``new`` says, and
    InvalidArgument where ``new`` moves it to another dataset, account or source."""
    old, changed = stored.release, new.release
    if old.state is not expected:
        raise WrongState(f"release {old.id!r} is {old.state}, not {expected}")
    if changed.state is not old.state and not allows(old, changed.state):
        raise WrongState(f"release {old.id!r} is {old.state} and cannot become {changed.state}")
    if (old.dataset, old.account, old.derivation) != (changed.dataset, changed.account, changed.derivation):
        raise InvalidArgument(f"release {old.id!r} keeps its dataset, its account and what is asked of a source")


def check_lease(stored: Lease | None, new: Lease) -> None:
    """Raises WrongState where ``new`` would use a fence again: it grows with every new holder and never shrinks."""
    if stored is None:
        return
    same = new.holder in ("", stored.holder)
    if new.fence < stored.fence or (new.fence == stored.fence and not same):
        raise WrongState(f"the lease of {new.name!r} is at fence {stored.fence}; a new holder takes a larger one")


def answer_kept(payload: str, *, kept: str) -> None:
    """Raises RequestIdReused where the digest of the payload is not the ``kept`` one."""
    if payload != kept:
        raise RequestIdReused("this request id was used before with another payload; choose a new one")


def request_taken(request_id: str) -> NoReturn:
    """Raises AlreadyExists."""
    raise AlreadyExists(f"request {request_id!r} has been answered")
