"""Sealed secrets and journals: bound to facts and rows, one journal a fence, and gone when they are destroyed."""

from pathlib import Path

import pytest

from server.keys import Keys
from server.sealed import Sealed
from synthgate.errors import FailedPrecondition

FACTS, OTHER = bytes(32), bytes(range(32))
RELEASE = "r-1"


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    return Sealed(tmp_path / "attempts", Keys(tmp_path / "keys"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    folder = tmp_path / "rows"
    folder.mkdir()
    for part in ("train", "holdout"):
        (folder / f"{part}.parquet").write_bytes(part.encode())
    return folder


def test_a_secret_is_the_same_under_the_same_facts_and_rows_alone(sealed: Sealed, rows: Path) -> None:
    sealed.make(RELEASE, facts=FACTS)
    first = sealed.attempt(RELEASE, facts=FACTS, rows=rows)
    assert sealed.attempt(RELEASE, facts=FACTS, rows=rows) == first
    assert sealed.binds(RELEASE, facts=FACTS)
    assert not sealed.binds(RELEASE, facts=OTHER)
    with pytest.raises(FailedPrecondition, match="another request, code or machine"):
        sealed.attempt(RELEASE, facts=OTHER, rows=rows)
    (rows / "train.parquet").write_bytes(b"others")
    assert sealed.attempt(RELEASE, facts=FACTS, rows=rows) != first
    sealed.make(RELEASE, facts=FACTS)
    (rows / "train.parquet").write_bytes(b"train")
    assert sealed.attempt(RELEASE, facts=FACTS, rows=rows) != first


def test_a_fence_goes_on_from_the_journal_before_it_and_shares_it_with_nobody(sealed: Sealed) -> None:
    sealed.make(RELEASE, facts=FACTS)
    first = sealed.journal(RELEASE, fence=9)
    assert not first.exists()
    first.write_bytes(b"drawn")
    second = sealed.journal(RELEASE, fence=10)
    assert second.read_bytes() == b"drawn"
    first.write_bytes(b"drawn by a former holder")
    assert sealed.journal(RELEASE, fence=10).read_bytes() == b"drawn"
    second.write_bytes(b"drawn on")
    assert sealed.journal(RELEASE, fence=12).read_bytes() == b"drawn on"


def test_what_is_destroyed_is_gone_and_overwritten(sealed: Sealed, rows: Path, tmp_path: Path) -> None:
    sealed.make(RELEASE, facts=FACTS)
    secret = sealed.folder / RELEASE / "secret"
    content = secret.read_bytes()
    assert secret.stat().st_mode & 0o777 == 0o600
    with secret.open("rb") as still_open:
        sealed.destroy(RELEASE)
        assert still_open.read() != content
    assert sealed.releases() == ()
    sealed.destroy(RELEASE)
    with pytest.raises(FailedPrecondition, match="gone"):
        sealed.attempt(RELEASE, facts=FACTS, rows=rows)
    with pytest.raises(FileNotFoundError):
        sealed.journal(RELEASE, fence=2).open("wb")


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", ".x"])
def test_a_malformed_id_names_no_folder(sealed: Sealed, name: str) -> None:
    with pytest.raises(FailedPrecondition, match="malformed"):
        sealed.destroy(name)
