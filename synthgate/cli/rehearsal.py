"""`synthgate release rehearse`: try engines on a released table before paying for another one.

The table is downloaded, checked against its attestation and the declared domain, and handed to a process on this
machine (`python -m server.rehearsal`, of the extra ``gateway``), which runs a release's own fit and evaluation on it.
The gateway is asked for what the role may have anyway, and learns nothing of what is tried.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from synthgate.attacker import Attacker
from synthgate.attestation import Attestation, Derived
from synthgate.budget import DELTA_MAX, PrivacyBudget
from synthgate.cli import output
from synthgate.cli.local import need_server
from synthgate.cli.session import Session, command
from synthgate.domain import Domain
from synthgate.errors import InternalError, InvalidArgument, VerificationFailed, WrongState, tree
from synthgate.release import ReleaseState
from synthgate.report import Score
from synthgate.verify import verify

if TYPE_CHECKING:
    from synthgate.client.client import Client

BANNER = (
    "Scores about synthetic rows that play the private ones: they say how engines compare, not what the gate will "
    "decide about a release. Nothing was charged."
)
REHEARSAL = "server.rehearsal"
MAX_RUNS = 20
_SPEC, _TABLE = "rehearsal.json", "surrogate.parquet"


def register(app: typer.Typer) -> None:
    """Add `rehearse` to the release's commands."""
    command(app, "rehearse")(rehearse)


def rehearse(
    session: Session,
    release: Annotated[str, typer.Argument(help="A RELEASED release that the role may download.")],
    engine: Annotated[
        list[str] | None, typer.Option("--engine", help="An engine to try; repeatable (default: auto).")
    ] = None,
    epsilon: Annotated[
        list[float] | None, typer.Option("--epsilon", help="An epsilon to try, 0.001 to 100; repeatable (default: 1).")
    ] = None,
    delta: Annotated[
        float | None, typer.Option("--delta", help="Delta of each, 1e-15 to 0.01 (default: the release's).")
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", min=0, help="Rows that play the dataset (default: 0, its public number).")
    ] = 0,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, max=604_800, help="Limit of each fit and evaluation, in seconds.")
    ] = 3_600.0,
) -> None:
    """Try engines and epsilons on released synthetic rows, here and free of charge, and compare their scores.

    Every engine is tried at every epsilon, at most 20 in all. Needs the gateway's package on this machine
    (pip install 'synthgate[gateway]'). Whoever may download the release.
    """
    need_server()
    tried = [(name, value) for name in engine or ["auto"] for value in epsilon or [1.0]]
    if len(tried) > MAX_RUNS:
        raise InvalidArgument(f"at most {MAX_RUNS} combinations of engine and epsilon are tried at once")
    for _, spend in tried:
        PrivacyBudget.spend(spend, DELTA_MAX if delta is None else delta)  # raises InvalidBudget
    with tempfile.TemporaryDirectory(prefix="synthgate-rehearsal-") as name:
        folder = Path(name)
        with session.client() as gateway:
            surrogate = fetch(gateway, release, folder / _TABLE)
        spent = surrogate.delta if delta is None else delta
        runs = [{"engine": e, "epsilon": value, "delta": spent} for e, value in tried]
        spec = surrogate.spec(folder / _TABLE, rows) | {"runs": runs, "timeout_s": timeout}
        (folder / _SPEC).write_text(json.dumps(spec), encoding="utf-8")
        done = [_line(line, session) for line in lines(folder)]
    found = [d for d in done if d is not None]
    played = {"rows": spec["rows"], "units": spec["units"]}
    value = {"banner": BANNER, "release": release, **played, "runs": found}
    session.show(value, lambda console: draw(console, release, found))


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A checked release: what is attested of it, what its dataset declares, and what the policy adds to attackers."""

    attested: Attestation
    domain: Domain
    rows: int
    attacker: Attacker

    @property
    def delta(self) -> float:
        """Delta of the release, for runs that name none."""
        return self.attested.statement.delta

    def spec(self, table: Path, rows: int) -> dict[str, Any]:
        """What the process is told of the table; ``rows`` 0 stands for the dataset's public number, as far as the
        release has so many. Units have as many rows as the dataset's on average. Raises InvalidArgument."""
        sizes = self.attested.statement.sizes
        if rows > self.rows:
            raise InvalidArgument(f"release {self.attested.release!r} has {self.rows:,} rows; ask for at most as many")
        played = rows or min(sizes.rows, self.rows)
        units = max(1, -(-played * sizes.units // sizes.rows))
        domain = self.domain.to_dict()
        return {
            "domain": domain, "table": str(table), "rows": played, "units": min(units, played),
            "max_rows": sizes.max_rows, "attacker": self.attacker.to_dict(),
        }  # fmt: skip


def fetch(gateway: "Client", release: str, table: Path) -> Surrogate:
    """Download and check a release. Raises WrongState for one that is not RELEASED, InvalidArgument for one of
    replicates, VerificationFailed where file, attestation and declaration do not belong together."""
    found = gateway.release(release)
    if found.state is not ReleaseState.RELEASED:
        raise WrongState(f"release {release} is {found.state}; rehearse on one that is RELEASED")
    if found.derivation is not None and found.derivation.replicates:
        raise InvalidArgument(f"release {release} holds replicates; rehearse on its source {found.derivation.source}")
    signed = gateway.attestation(release)
    view = gateway.dataset(found.dataset)
    domain = view.dataset.domain
    attested = verify(gateway.download(release, table), signed.envelope, signed.public_key)
    if attested.domain_digest != domain.digest or attested.release != release:
        raise VerificationFailed("the attestation is not about this release and its dataset's declaration")
    if isinstance(attested.origin, Derived) and attested.origin.derivation.replicates:
        raise VerificationFailed("the attestation speaks of replicates, which the gateway does not show")
    return Surrogate(attested, domain, found.rows, view.policy.attacker)


def lines(folder: Path) -> Iterator[Mapping[str, Any]]:
    """What the process says, line by line; it ends, and its workers do, when the caller stops reading. Raises
    InternalError where it broke off."""
    words = [sys.executable, "-P", "-m", REHEARSAL, str(folder)]
    with (folder / "rehearsal.log").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None  # noqa: S101  Popen was asked for a pipe
        ended = False
        for line in process.stdout:
            told = json.loads(line)
            ended = ended or "error" in told
            yield told
        if process.wait() != 0 and not ended:
            raise InternalError("the rehearsal stopped unexpectedly; its process was killed or could not start")
    finally:
        process.send_signal(signal.SIGINT)  # not SIGTERM: it stops its own workers first
        process.wait()


def _line(told: Mapping[str, Any], session: Session) -> Mapping[str, Any] | None:
    """A run's result; None for a stage, which is said. Raises the error of the tree that the process ended with."""
    if "error" in told:
        raise tree().get(str(told["error"]["reason"]), InternalError)(str(told["error"]["message"]))
    if "run" in told:
        run: Mapping[str, Any] = told["run"]
        return run
    session.note(str(told.get("stage", "")))
    return None


def draw(console: Console, release: str, runs: Sequence[Mapping[str, Any]]) -> None:
    """A row for each score, a column for each run."""
    scores = [{s["name"]: Score.from_dict(s) for s in run["scores"]} for run in runs]
    names = list(dict.fromkeys(name for found in scores for name in found))
    rows = [(name, *(_cell(found.get(name)) for found in scores)) for name in names]
    took = ["seconds", *(f"{sum(run['seconds'].values()):.1f}" if run["seconds"] else "" for run in runs)]
    heads = ["score", *(f"{run['engine']}, epsilon {run['epsilon']:g}" for run in runs)]
    console.print(BANNER, markup=False)
    output.listing(console, f"rehearsal on {release}", heads, [*rows, took])
    for run in runs:
        if run["failure"]:
            text = f"{run['engine']} at epsilon {run['epsilon']:g}: {run['failure']}"
            console.print(output.printable(text), markup=False)


def _cell(score: Score | None) -> str:
    if score is None:
        return ""
    ends = f" ({score.low:.3f} to {score.high:.3f})" if score.low < score.high else ""
    return f"{score.value:.3f}{ends}" + ("" if score.conclusive else ", inconclusive")
