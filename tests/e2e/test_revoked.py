"""What an officer takes back fails verification wherever it has gone, once the gateway's list is asked."""

import json
import subprocess
import sys
from pathlib import Path

from synthgate.release import ReleaseState
from tests.e2e.process import Served


def test_a_copy_that_has_left_is_refused_by_the_signed_list(served: Served, tmp_path: Path) -> None:
    name = served.dataset("taken-back", rows=1_200)
    release = served.ended(served.analyst.create_release(name, epsilon=1.0, engine="fresh"))
    tuple(served.analyst.watch(release.id))
    file = served.analyst.download(release.id, tmp_path / "release.parquet")
    command = [sys.executable, "-m", "synthgate.cli.main"]

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*command, *map(str, words)], capture_output=True, text=True)

    def exported(to: Path) -> int:
        done = run("revocations", "export", "--state", served.state, "-o", to, "--json")
        assert done.returncode == 0, done.stderr
        number: int = json.loads(done.stdout)["number"]
        return number

    before, after, attestation, key = (tmp_path / n for n in ("before", "after", "attestation.json", "gateway.pub"))
    run("release", "attestation", release.id, "--state", served.state, "-o", attestation, "--key-output", key)
    number = exported(before)
    checked = ("verify", file, attestation, "--key", key, "--revocations")
    assert run(*checked, before).returncode == 0

    served.officer.revoke(release.id, reason="a mistake in the declaration")
    assert served.steward.release(release.id).state is ReleaseState.REVOKED
    assert any(exported(after) > number for _ in range(20)), "the list names it from the next tick on"
    refused = run(*checked, after)
    assert refused.returncode == 6
    assert f"release {release.id} was revoked on" in refused.stderr
    assert run(*checked, before, "--min-number", number + 1).returncode == 6
    assert run("verify", file, attestation, "--key", key).returncode == 0
