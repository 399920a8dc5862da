"""`synthgate verify`: shows what was attested, or says which step failed and exits with 6."""

import json

import pytest
from test_verify import ATTESTATION, DATA, ENVELOPE, KEY
from typer.testing import CliRunner

from synthgate.cli.main import app


@pytest.fixture
def verified(tmp_path):
    (tmp_path / "release.parquet").write_bytes(DATA)
    (tmp_path / "attestation.json").write_bytes(ENVELOPE)
    (tmp_path / "gateway.pub").write_bytes(KEY)

    def call(*more, code=0):
        names = ("release.parquet", "attestation.json", "--key", "gateway.pub")
        words = [str(tmp_path / n) if "." in n else n for n in names]
        result = CliRunner().invoke(app, ["verify", *words, *more], env={"COLUMNS": "200"})
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
    assert "step 5 of 5" in verified(code=6).stderr
    assert json.loads(verified("--json", code=6).stderr)["error"]["facts"] == {"step": "5"}


def test_a_missing_file_is_told(verified):
    (verified.folder / "attestation.json").unlink()
    assert "cannot be read" in verified(code=2).stderr
