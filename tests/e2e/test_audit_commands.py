"""`synthgate audit` on a running gateway: exports that hold against a checkpoint, and a restore that is accepted."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.app import running
from server.config import Settings
from synthgate.client.client import Client

VERIFICATION_FAILED = 6


def command(*words: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "synthgate.cli.main", *map(str, words)], capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("SYNTHGATE_")},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def during(settings: Settings, work: Callable[[], Any]) -> str:
    """Do something while a gateway runs; returns why it only reads."""

    async def run() -> str:
        async with running(settings) as (gateway, _port):
            await asyncio.to_thread(work)
            return gateway.doubt.reason

    return asyncio.run(run())


@pytest.mark.guarantee("restored-backup")
def test_books_are_exported_verified_restored_and_accepted(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "state", port=0)
    state, backup = ("--state", settings.state), tmp_path / "backup.db"
    signed, key, audit, ledger = (tmp_path / n for n in ("signed.json", "key.pem", "audit.jsonl", "ledger.jsonl"))
    compared = ("audit", "verify", signed, "--key", key)

    def export() -> None:
        with Client.from_state(settings.state, "officer") as client:
            client.open_account("people", epsilon=3.0, delta=1e-6)
        auditor = (*state, "--role", "auditor", "--json")
        command(*auditor, "audit", "checkpoint", signed, "--key-output", key)
        command(*auditor, "audit", "export", audit)
        command(*auditor, "ledger", "export", ledger)
        listed = json.loads(command(*auditor, "audit", "list"))
        assert listed == [json.loads(line) for line in audit.read_text().splitlines()]
        assert listed[-1]["action"] == "OpenAccount"

    during(settings, lambda: None)
    shutil.copy(settings.state / "gateway.db", backup)
    assert during(settings, export) == ""
    assert "verified" in command(*compared, "--audit", audit, "--ledger", ledger)

    whole = audit.read_text()
    audit.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    assert "cut off" in command(*compared, "--audit", audit, code=VERIFICATION_FAILED)
    audit.write_text(whole.replace("OpenAccount", "ShutAccount"))
    assert "edited" in command(*compared, "--audit", audit, code=VERIFICATION_FAILED)
    ledger.write_text(ledger.read_text().replace('"officer"', '"nobody"'))
    assert "edited" in command(*compared, "--ledger", ledger, code=VERIFICATION_FAILED)

    shutil.copy(backup, settings.state / "gateway.db")
    assert "restored or cut" in during(settings, lambda: None)
    accept = ("audit", "accept", *state, "--reason", "the disk died")
    refused = command(*accept, "--token-file", settings.tokens / "analyst", code=1)
    assert "an officer may" in refused
    assert "accepted: " in command(*accept)
    assert during(settings, lambda: None) == ""
