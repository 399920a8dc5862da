"""The worker's own part: what a job's end becomes, and files that are whole or absent."""

import json

import pytest

from server.jobs.worker import (
    EXIT_CRASHED,
    EXIT_OUT_OF_MEMORY,
    EXIT_REFUSED,
    FAILURE,
    RESULT,
    SPEC,
    work,
    write_json,
)
from synthgate.errors import BudgetExhausted, DataCorrupted, SynthgateError
from tests.server.jobs.kinds import PRIVATE


def outcome(folder, job, spec="{}"):
    (folder / SPEC).write_text(spec)
    return work(job, folder=folder, secret=bytes(32), progress=lambda stage: None)


def raising(error):
    def job(spec, *, folder, secret, progress):
        raise error

    return job


def test_a_result_is_what_the_job_returned(tmp_path):
    def job(spec, *, folder, secret, progress):
        return {"rows": spec["rows"] + 1, "bytes": len(secret)}

    assert outcome(tmp_path, job, '{"rows": 3}') == 0
    assert json.loads((tmp_path / RESULT).read_text()) == {"rows": 4, "bytes": 32}
    assert sorted(path.name for path in tmp_path.iterdir()) == [RESULT, SPEC]


@pytest.mark.parametrize(
    "error", [DataCorrupted("upload it again"), BudgetExhausted("no", facts={"share": "3 %"}), SynthgateError("x")]
)
def test_an_error_raised_on_purpose_is_written_down(tmp_path, error):
    assert outcome(tmp_path, raising(error)) == EXIT_REFUSED
    document = json.loads((tmp_path / FAILURE).read_text())
    assert document == {"reason": error.reason, "message": error.message, "facts": error.facts}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError(PRIVATE), EXIT_CRASHED),
        (KeyboardInterrupt(PRIVATE), EXIT_CRASHED),
        (SystemExit(0), EXIT_CRASHED),
        (MemoryError(PRIVATE), EXIT_OUT_OF_MEMORY),
    ],
)
def test_foreign_errors_leave_no_file(tmp_path, error, code):
    assert outcome(tmp_path, raising(error)) == code
    assert [path.name for path in tmp_path.iterdir()] == [SPEC]


@pytest.mark.parametrize("spec", ["", "{", "\x00"])
def test_a_spec_that_cannot_be_read_is_a_crash(tmp_path, spec):
    assert outcome(tmp_path, raising(ValueError()), spec) == EXIT_CRASHED


def test_a_document_that_cannot_be_written_leaves_the_earlier_one(tmp_path):
    write_json(tmp_path / RESULT, {"rows": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / RESULT, {"rows": object()})
    assert json.loads((tmp_path / RESULT).read_text()) == {"rows": 1}
