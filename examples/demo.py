"""The whole story on public data: `make demo`, or `.venv/bin/python examples/demo.py`.

Starts a gateway on demo/state and plays steward, analyst and officer on the command line, as users would: every command
is printed before it runs. Noise makes verdicts random, so a refusal is told and is no fault; the exit code is other
than 0 where something happened that must not.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
DEMO = Path("demo")
STATE = DEMO / "state"
DATA, CSV, FLIPPED = DEMO / "release.parquet", DEMO / "release.csv", DEMO / "flipped.parquet"
ATTESTATION, KEY, REPORT = DEMO / "attestation.json", DEMO / "gateway.pub", DEMO / "report.html"
DECISION = DEMO / "decision.html"
COMMAND = str(Path(sys.executable).with_name("synthgate"))
NAME = "randhie"
REFUSED, FORGED, CLOSED = 3, 6, 7
START_S = 60
console = Console(highlight=False)


class Fault(Exception):
    """Something happened that must not, whatever the noise."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One line of the closing table."""

    request: str
    verdict: str
    share_ppm: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A release that was followed to its end."""

    id: str
    outcome: Outcome
    released: bool
    reasons: tuple[str, ...]


def title(text: str) -> None:
    console.print()
    console.rule(f"[bold]{text}", align="left")


def say(text: str) -> None:
    console.print(text, style="italic", markup=False)


def synthgate(*arguments: str | Path, role: str = "", expect: Sequence[int] = (0,)) -> int:
    """Run one command as ``role`` where everybody can read along, and return its exit code. Raises Fault for another
    code than those expected."""
    words = [*(("--state", str(STATE), "--role", role) if role else ()), *map(str, arguments)]
    console.print(f"$ synthgate {' '.join(words)}", style="bold cyan", markup=False, soft_wrap=True)
    sys.stdout.flush()
    code = subprocess.run([COMMAND, *words], cwd=ROOT).returncode
    if code not in expect:
        raise Fault(f"the command above ended with {code}, where {' or '.join(map(str, expect))} was expected")
    return code


def answer(*arguments: str, role: str) -> Any:
    """The answer of one command as JSON, without showing it."""
    words = ["--state", str(STATE), "--role", role, "--json", *arguments]
    done = subprocess.run([COMMAND, *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise Fault(f"`synthgate {' '.join(words)}` failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


@contextmanager
def gateway() -> Iterator[str]:
    """A gateway on ``STATE`` that answers; yields the fingerprint of its key, and ends with the block."""
    words = ["serve", "--state", str(STATE)]
    console.print(f"$ synthgate {' '.join(words)} &", style="bold cyan", markup=False)
    with (ROOT / DEMO / "gateway.log").open("wb") as log:
        process = subprocess.Popen([COMMAND, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        try:
            fingerprint = ""
            for line in process.stdout:
                console.print(line.rstrip(), markup=False, soft_wrap=True)
                if line.startswith("key "):
                    fingerprint = line.split()[1]
                    break
            if not fingerprint:
                raise Fault(f"the gateway did not start; {DEMO / 'gateway.log'} says why")
            yield fingerprint
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=START_S)


def register(table: Path) -> None:
    title("1. An officer opens the population's budget, a steward registers the table")
    synthgate("ledger", "open", NAME, "--epsilon", "3", "--delta", "1e-6", role="officer")
    schema = Path("examples") / "randhie.yaml"
    say("With 5,912 persons the verdict has to be exact: an accounted one, the default, needs more of them.")
    policy = Path("examples") / "exact.yaml"
    given = ("--schema", schema, "--file", table, "--account", NAME, "--policy", policy)
    synthgate("dataset", "create", NAME, *given, role="steward")


def ask(*options: str) -> Asked:
    """Ask as an analyst, follow as the steward, and wait until the analyst may know."""
    start = time.monotonic()
    known = {r["id"] for r in answer("release", "list", role="steward")}
    synthgate("release", "create", NAME, *options, role="analyst")
    release = next(r["id"] for r in answer("release", "list", role="steward") if r["id"] not in known)
    synthgate("release", "watch", release, role="steward", expect=(0, CLOSED))
    seconds = time.monotonic() - start
    say("The analyst is told one bit, on a tick: released or closed.")
    synthgate("release", "watch", release, role="analyst", expect=(0, CLOSED))
    seen = answer("release", "show", release, role="steward")
    if seen["state"] not in ("RELEASED", "REJECTED"):
        raise Fault(f"release {release} is {seen['state']}: neither a verdict for nor against it")
    request = f"epsilon {seen['epsilon']:g}, {seen['engine']}"
    outcome = Outcome(request=request, verdict=seen["state"], share_ppm=seen["share_ppm"], seconds=seconds)
    released, reasons = seen["state"] == "RELEASED", tuple(seen["reasons"])
    if not released:
        say(f"The gate refused it: {'; '.join(reasons)}. Its rows are destroyed, its charge stays.")
    return Asked(id=release, outcome=outcome, released=released, reasons=reasons)


def first_release() -> Asked:
    title("2. An analyst asks what a release would take, then asks for it")
    synthgate("release", "create", NAME, "--epsilon", "1", "--dry-run", role="analyst")
    return ask("--epsilon", "1")


def second_release() -> Asked:
    title("3. Another one, from a VAE that is trained with DP-SGD")
    return ask("--epsilon", "1", "--engine", "vae")


def over_budget() -> Outcome:
    title("4. A request that no longer fits is refused before any row is opened")
    synthgate("release", "create", NAME, "--epsilon", "3", role="analyst", expect=(REFUSED,))
    synthgate("ledger", "show", NAME, role="analyst")
    return Outcome(request="epsilon 3, auto", verdict="refused by the budget")


def check(release: Asked, fingerprint: str) -> None:
    title("5. Anybody can check the file offline, with the public key alone")
    synthgate("release", "download", release.id, "-o", DATA, role="analyst")
    synthgate("release", "attestation", release.id, "-o", ATTESTATION, "--key-output", KEY, role="analyst")
    key = load_pem_public_key((ROOT / KEY).read_bytes())
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if sha256(der).hexdigest() != fingerprint:
        raise Fault("the key that came with the data is not the one whose fingerprint the gateway printed")
    say("The key has the fingerprint that the gateway printed when it started.")
    synthgate("verify", DATA, ATTESTATION, "--key", KEY)
    content = bytearray((ROOT / DATA).read_bytes())
    content[len(content) // 2] ^= 1
    (ROOT / FLIPPED).write_bytes(content)
    say("The same file with one bit of its middle byte flipped:")
    synthgate("verify", FLIPPED, ATTESTATION, "--key", KEY, expect=(FORGED,))
    (ROOT / FLIPPED).unlink()


def fetch(release: Asked) -> None:
    title("6. What is left behind")
    if release.released:
        synthgate("release", "download", release.id, "-o", CSV, role="analyst")
    synthgate("release", "report", release.id, "-o", REPORT, role="steward")
    synthgate("release", "report", release.id, "--format", "decision", "-o", DECISION, role="steward")


def closing(outcomes: Sequence[Outcome], seconds: float) -> None:
    table = Table("request", "verdict", "share of the account", "seconds", title_justify="left")
    for o in outcomes:
        share = "" if o.share_ppm is None else f"{o.share_ppm / 10_000:.1f} %"
        table.add_row(o.request, o.verdict, share, "" if o.seconds is None else f"{o.seconds:.0f}")
    console.print()
    console.print(table)
    meaning = {
        DATA: "the synthetic table, attested",
        CSV: "the same as CSV",
        ATTESTATION: "what the gateway signed about it",
        KEY: "the gateway's public key",
        REPORT: "the steward's report: exact, so not to be forwarded",
        DECISION: "the same for whoever decides, short and for paper",
    }
    for path, words in meaning.items():
        if (ROOT / path).exists():
            console.print(f"  {path!s:24} {words}", markup=False)
    console.print(f"Done in {seconds:.0f} s.")


def play(table: Path) -> tuple[Outcome, ...]:
    with gateway() as fingerprint:
        register(table)
        first, second = first_release(), second_release()
        refused = over_budget()
        shown = first if first.released or not second.released else second
        if shown.released:
            check(shown, fingerprint)
        else:
            say("Neither table passed, so there is nothing to check. Noise makes verdicts random: run the demo again.")
        fetch(shown)
    return first.outcome, second.outcome, refused


def main() -> int:
    start = time.monotonic()
    shutil.rmtree(ROOT / STATE, ignore_errors=True)
    (ROOT / DEMO).mkdir(exist_ok=True)
    for left in (DATA, CSV, ATTESTATION, KEY, REPORT, DECISION):
        (ROOT / left).unlink(missing_ok=True)
    try:
        with as_file(files("statsmodels") / "datasets" / NAME / "src" / f"{NAME}.csv") as table:
            outcomes = play(table)
    except Fault as fault:
        console.print(f"fault: {fault}", style="bold red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    closing(outcomes, time.monotonic() - start)
    return 0


if __name__ == "__main__":
    sys.exit(main())
