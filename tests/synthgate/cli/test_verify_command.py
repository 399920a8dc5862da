"""`synthgate verify`: shows what was attested, or says which step failed and exits with 6."""

import json

import pytest
from test_cli import run, state
from test_revocations import listed
from test_verify import ATTESTATION, DATA, ENVELOPE, KEY
from typer.testing import CliRunner

from synthgate.cli.main import app

__all__ = ["run", "state"]


@pytest.fixture
def verified(tmp_path):
    (tmp_path / "release.parquet").write_bytes(DATA)
    (tmp_path / "attestation.json").write_bytes(ENVELOPE)
    (tmp_path / "gateway.pub").write_bytes(KEY)

    def call(*more, code=0):
        names = ("release.parquet", "attestation.json", "--key", "gateway.pub")
        words = [str(tmp_path / n) if "." in n else n for n in (*names, *more)]
        result = CliRunner().invoke(app, ["verify", *words], env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        return result

    call.folder = tmp_path
    return call


def test_what_holds_is_shown(verified):
    shown = verified().output
    for text in ("verified", "people", "number 1 of 3", "risk.copies <= 0.01", "not covered 1", "olga"):
        assert text in shown
    assert json.loads(verified("--json").output) == ATTESTATION.to_statement()


def test_one_flipped_byte_is_told(verified):
    path = verified.folder / "release.parquet"
    path.write_bytes(bytes([DATA[0] ^ 1]) + DATA[1:])
    assert "step 5 of 6" in verified(code=6).stderr
    assert json.loads(verified("--json", code=6).stderr)["error"]["facts"] == {"step": "5"}


def test_a_missing_file_is_told(verified):
    (verified.folder / "attestation.json").unlink()
    assert "cannot be read" in verified(code=2).stderr


def test_a_revoked_release_is_refused(verified):
    words = ("--revocations", "revocations.json")
    path = verified.folder / "revocations.json"
    path.write_bytes(listed("r-7"))
    assert "not on list number 1 of 2026-02-03" in verified(*words).output
    assert "not asked" in verified().output
    path.write_bytes(listed("r-7", "r-1"))
    told = verified(*words, code=6).stderr
    assert "step 6 of 6: release r-1 was revoked on 2026-02-03T04:05:06+00:00 (OFFICER_REVOKED)" in told
    path.write_bytes(listed("r-7"))
    assert "older than number 2" in verified(*words, "--min-number", "2", code=6).stderr
    verified("--min-number", "2", code=2)


def test_a_list_is_exported(gateway, run, tmp_path):
    gateway.envelope, gateway.public_key = listed("r-7", "r-8"), KEY.decode()
    words = ("-o", tmp_path / "list.json", "--key-output", tmp_path / "key.pub")
    assert "number 2" in run("revocations", "export", *words).output
    assert ((tmp_path / "list.json").read_bytes(), (tmp_path / "key.pub").read_bytes()) == (gateway.envelope, KEY)
    assert json.loads(run("revocations", "export", *words, "--json").output)["number"] == 2
    gateway.envelope = ENVELOPE
    run("revocations", "export", *words, code=6)
