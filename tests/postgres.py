"""A private PostgreSQL cluster for tests: made at the first use in a process, gone with it, on a socket alone.

`initdb` refuses root, so a run as root makes it as the user `postgres` (or `nobody`). It does not sync its files: what
tests prove of durability they prove on SQLite; here they prove transactions, locks and refusals.
"""

import atexit
import functools
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

_numbers = itertools.count(1)
_OPTIONS = "-c listen_addresses='' -c fsync=off -c max_connections=200 -c shared_buffers=32MB"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, the newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]), reverse=True)
    on_path = shutil.which("initdb")
    return found[0].parent if found else Path(on_path).parent if on_path else None


def database(*, like: str = "") -> str:
    """The URL of a new database: empty, or a copy of the one whose URL is ``like``, which nobody may have open. Skips
    the test where PostgreSQL is not installed."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    socket = _cluster()
    name = f"t{next(_numbers)}"
    with psycopg.connect(f"host={socket} user=gateway dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {make_url(like).database if like else 'template1'}")
    return f"postgresql://gateway@/{name}?host={socket}"


@functools.cache
def _cluster() -> Path:
    """Start the cluster; returns the folder of its socket."""
    folder, bin_ = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp")), programs()
    assert bin_ is not None
    data, as_user = folder / "data", []
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = "postgres" if "postgres" in names else "nobody"
        shutil.chown(folder, user)
        as_user = [shutil.which("runuser") or "/usr/sbin/runuser", "-u", user, "--"]
    control = [*as_user, str(bin_ / "pg_ctl"), "-D", str(data), "-w", "-s"]

    def run(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    run(*as_user, str(bin_ / "initdb"), "-D", str(data), "-U", "gateway", "-A", "trust", "-E", "UTF8", "--no-sync")
    run(*control, "-l", str(folder / "log"), "-o", f"{_OPTIONS} -k {folder}", "start")

    def end() -> None:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return folder
