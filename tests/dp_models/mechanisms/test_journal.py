"""A journal gives back what was drawn, in order, under its own key, and nothing that was changed."""

from pathlib import Path

import numpy as np
import pytest

from dp_models.mechanisms.attempt import AttemptNoise
from dp_models.mechanisms.journal import Journal
from dp_models.mechanisms.noise import EXACT_CHOICES, EXACT_COUNTS
from synthgate.errors import FailedPrecondition

KEY, SECRET = bytes(range(32)), bytes(range(1, 33))
COUNTS = np.arange(6).reshape(2, 3)
SCORES = np.zeros(50)


def drawn(path: Path, *, steps: int = 3, key: bytes = KEY, secret: bytes = SECRET) -> list[list[int]]:
    """What an attempt draws whose steps are a table, a choice and a stream."""
    found: list[list[int]] = []
    with Journal(path, key) as journal:
        noise = AttemptNoise(journal, secret)
        acts = (
            lambda: noise.discrete_gaussian(COUNTS, sigma=50.0, sensitivity=1).ravel().tolist(),
            lambda: [noise.exponential(SCORES, epsilon=0.1, sensitivity=1.0)],
            lambda: noise.generator("gradients").integers(0, 10**9, 4).tolist(),
            lambda: noise.generator("gradients").integers(0, 10**9, 4).tolist(),
        )
        found += [act() for act in acts[:steps]]
        noise.finish()
    return found


def test_a_replay_draws_the_same_and_goes_on_where_it_broke(tmp_path: Path) -> None:
    first = drawn(tmp_path / "journal", steps=1)
    second = drawn(tmp_path / "journal", steps=4)
    assert second[:1] == first
    assert drawn(tmp_path / "journal", steps=4) == second
    assert second[2] != second[3]
    other = drawn(tmp_path / "other", steps=4, secret=KEY)
    assert not [a for a, b in zip(other, second, strict=True) if a == b and len(a) > 1]


def test_a_replay_counts_the_events_that_it_reads_and_names_their_noise(tmp_path: Path) -> None:
    events, told = [], []
    for _ in range(2):
        with Journal(tmp_path / "journal", KEY) as journal:
            noise = AttemptNoise(journal, SECRET)
            noise.discrete_gaussian(COUNTS, sigma=50.0, sensitivity=1)
            noise.exponential(SCORES, epsilon=0.1, sensitivity=1.0)
            events.append(noise.event)
            told.append(noise.properties)
    assert events[0] == events[1]
    assert told == [(EXACT_COUNTS, EXACT_CHOICES)] * 2


def test_a_record_that_was_not_written_whole_was_never_used(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = drawn(path, steps=1)
    whole = path.read_bytes()
    drawn(path, steps=2)
    for length in range(len(whole), path.stat().st_size):
        cut = tmp_path / f"cut-{length}"
        cut.write_bytes(path.read_bytes()[:length])
        assert drawn(cut, steps=2)[:1] == first


def test_whatever_is_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    drawn(path, steps=2)
    content = path.read_bytes()
    for at in range(4, len(content), 7):  # behind the first length, which says where the file ends
        changed = tmp_path / f"changed-{at}"
        changed.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(FailedPrecondition):
            drawn(changed, steps=0)
            drawn(changed, steps=2, key=bytes(32))
    with pytest.raises(FailedPrecondition):
        drawn(path, steps=2, key=bytes(32))


def test_a_replay_that_does_something_else_is_refused(tmp_path: Path) -> None:
    drawn(tmp_path / "journal", steps=2)
    with Journal(tmp_path / "journal", KEY) as journal, pytest.raises(FailedPrecondition, match="another draw"):
        AttemptNoise(journal, SECRET).discrete_gaussian(COUNTS, sigma=51.0, sensitivity=1)
    with pytest.raises(FailedPrecondition, match="ended before"):
        drawn(tmp_path / "journal", steps=1)


def test_the_journal_says_nothing_without_its_key(tmp_path: Path) -> None:
    (table, *_) = drawn(tmp_path / "journal", steps=1)
    content = (tmp_path / "journal").read_bytes()
    assert np.array(table, dtype="<i8").tobytes() not in content
    assert b"gaussian" not in content
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600
