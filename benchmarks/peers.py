"""SmartNoise's synthesizers on the tables of `engines`, as their users run them: with SmartNoise's own accounting.

They get the declared domain as codes (numbers in 32 bins of equal width, as wide as declared), since what they would
otherwise learn from the rows is not in their charge. Codes come back as values drawn evenly within their bins. Runs in
``.venv-smartnoise`` (``make smartnoise``), one process a fit. Scores are kept in ``benchmarks/peers.json`` with
versions and date; a run that was stopped goes on where it ended. `engines` compares with them; times are `times`'s.

    .venv/bin/python benchmarks/peers.py                      # everything: half a day on two cores
    .venv/bin/python benchmarks/peers.py --peers mst patectgan
    .venv/bin/python benchmarks/peers.py --check              # is a spared `patectgan` (`spare`) the same?

`aim` and `dpctgan` get 15 minutes of processor time (they keep one core busy); what needs more is kept as not
ended. `dpctgan` trains for as many epochs as ``--dpctgan-epochs`` says, since its default of
300 does not end in 25 minutes.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from tables import Prepared

HERE = Path(__file__).parent
PYTHON = HERE.parent / ".venv-smartnoise" / "bin" / "python"
PEERS = ("mst", "patectgan", "dpctgan", "aim")
LIMIT_S = {"aim": 900, "dpctgan": 900, "mst": 3_600, "patectgan": 10_800}
"""Processor time that a fit may use."""
STOPPED = (-24, -9)
"""Return codes of a process that used more."""


def fit(
    peer: str, epsilon: float, delta: float, rows: int, epochs: int, folder: str, spared: bool, seed: int | None = None
) -> dict[str, Any]:
    """One fit in this process, which runs in SmartNoise's environment: codes in, codes out."""
    from importlib.metadata import version

    import numpy as np
    from safetensors.numpy import load_file, save_file
    from snsynth import Synthesizer
    from snsynth.transform import LabelTransformer, OneHotEncoder, TableTransformer

    limit = LIMIT_S[peer]
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    stored = load_file(Path(folder) / "codes.safetensors")
    codes, sizes = stored["codes"], stored["sizes"]
    gan = peer.endswith("gan")
    made = TableTransformer([OneHotEncoder() if gan else LabelTransformer(nullable=False) for _ in sizes])
    made.fit([tuple(min(i, int(size) - 1) for size in sizes) for i in range(int(sizes.max()))])
    options: dict[str, Any] = {"epsilon": epsilon, "delta": delta, "verbose": False}
    if peer == "dpctgan":
        options["epochs"] = epochs
    if peer == "patectgan" and spared:
        spare()
    if seed is not None:
        import torch

        np.random.seed(seed)
        torch.manual_seed(seed)
    start = time.perf_counter()
    engine = Synthesizer.create(peer, **options)
    engine.fit([tuple(row) for row in codes.tolist()], transformer=made)
    sample = np.asarray(engine.sample(rows), dtype=np.int64)
    save_file({"sample": np.ascontiguousarray(sample)}, Path(folder) / "sample.safetensors")
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time(), 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
        "versions": {name: version(name) for name in ("smartnoise-synth", "mbi", "jax", "torch", "opacus")},
    }


def spare() -> None:
    """Spare `patectgan` what its sample does not depend on: gradients of the generator in the fakes that it makes for
    discriminators (the generator's own step sets them to zero first), and an index of the rows built anew in every
    step. It takes a third less time; on one seed the sample is the same to the bit (``--check``)."""
    import torch
    from snsynth.pytorch.nn import patectgan

    build, forward = patectgan.DataSampler, patectgan.Generator.forward
    built: dict[int, tuple[Any, Any]] = {}
    for_discriminators = False

    def sampler(data: "np.ndarray", *arguments: Any, **named: Any) -> Any:
        """Asked for before every batch of fakes but those of the generator's own step."""
        nonlocal for_discriminators
        for_discriminators = True
        if id(data) not in built:
            built[id(data)] = data, build(data, *arguments, **named)
        return built[id(data)][1]

    def fakes(generator: torch.nn.Module, latent: torch.Tensor) -> torch.Tensor:
        nonlocal for_discriminators
        with torch.set_grad_enabled(not for_discriminators):
            made: torch.Tensor = forward(generator, latent)
        for_discriminators = False
        return made

    patectgan.DataSampler, patectgan.Generator.forward = sampler, fakes


class Codes:
    """Rows as codes (n, columns) and back. A table that is published as codes keeps them; any other is cut into its
    declared categories and bins of equal width."""

    def __init__(self, prepared: "Prepared") -> None:
        from dp_models.encoding.codes import Codec

        self._codec, self._published = Codec(prepared.domain), prepared.judged_domain
        self.names = [c.name for c in prepared.domain.modelled]
        published = json.loads(self._published.read_text()) if self._published else {}
        self.sizes = [published[n] for n in self.names] if published else list(self._codec.sizes)

    def encode(self, rows: "pa.Table") -> "np.ndarray":
        import numpy as np

        if self._published:
            return np.stack([rows.column(n).to_numpy().astype(np.int64) for n in self.names], axis=1)
        return self._codec.encode(rows).T

    def decode(self, codes: "np.ndarray") -> "pa.Table":
        import numpy as np
        import pyarrow as pa
        from tables import judged

        if self._published:
            return pa.table(dict(zip(self.names, codes.T, strict=True)))
        return judged(self._codec.decode(codes.T, generator=np.random.default_rng(0)))


def cell(peer: str, table: str, epsilon: float, epochs: int) -> dict[str, Any]:
    """One cell: encode, fit, decode, judge; or why there is none."""
    import numpy as np
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file
    from tables import prepare

    prepared = prepare(table)
    rows, codec = pq.read_table(prepared.rows), Codes(prepared)
    head = {"table": table, "engine": f"smartnoise-{peer}", "epsilon": epsilon, "date": date.today().isoformat()}
    if peer == "dpctgan":
        head["epochs"] = epochs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays = {"codes": np.ascontiguousarray(codec.encode(rows)), "sizes": np.asarray(codec.sizes)}
        save_file(arrays, folder / "codes.safetensors")
        ran = run(peer, epsilon, rows.num_rows, epochs, folder, spared=True)
        if ran.returncode:
            over = ran.returncode in STOPPED
            last = (ran.stderr.strip().splitlines() or [""])[-1]
            return head | {"failed": f"over {LIMIT_S[peer]} s of processor time" if over else last[:200]}
        return head | json.loads(ran.stdout.splitlines()[-1]) | scores(prepared, codec, folder)


def scores(prepared: "Prepared", codec: Codes, folder: Path) -> dict[str, float]:
    """What the judge says of the codes that a fit left in ``folder``."""
    import pyarrow.parquet as pq
    from safetensors.numpy import load_file
    from tables import judge

    sample = load_file(folder / "sample.safetensors")["sample"]
    pq.write_table(codec.decode(sample), folder / "sample.parquet")
    return judge(prepared, folder / "sample.parquet")


def run(
    peer: str, epsilon: float, rows: int, epochs: int, folder: Path, *, spared: bool, seed: int | None = None
) -> "subprocess.CompletedProcess[str]":
    arguments = {"peer": peer, "epsilon": epsilon, "delta": 1 / (10 * rows), "rows": rows, "epochs": epochs}
    spec = json.dumps(arguments | {"folder": str(folder), "spared": spared, "seed": seed})
    return subprocess.run([str(PYTHON), __file__, "--fit", spec], capture_output=True, text=True)


def check() -> dict[str, Any]:
    """`patectgan` spared and as it comes, on one made-up table and one seed: are the samples the same, and how long did
    either take, in seconds of processor time?"""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    sizes, rows = np.array([40] * 10 + [3] * 6), 8_000
    drawn = np.random.default_rng(0)
    samples, seconds = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        codes = np.stack([drawn.integers(size, size=rows) for size in sizes], axis=1)
        save_file({"codes": codes, "sizes": sizes}, folder / "codes.safetensors")
        for spared in (False, True):
            ran = run("patectgan", 1.0, rows, 0, folder, spared=spared, seed=0)
            ran.check_returncode()
            seconds.append(json.loads(ran.stdout.splitlines()[-1])["cpu_seconds"])
            samples.append(load_file(folder / "sample.safetensors")["sample"])
    same, of_one_value = (bool((samples[0] == other).all()) for other in (samples[1], samples[0][:1]))
    return {"same": same and not of_one_value, "cpu_seconds": seconds[0], "cpu_seconds_spared": seconds[1]}


def main() -> None:
    if sys.argv[1:2] == ["--fit"]:
        print("\n" + json.dumps(fit(**json.loads(sys.argv[2]))))
        return
    from engines import EPSILONS
    from tables import NAMES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS, help="which synthesizers")
    parser.add_argument("--tables", nargs="+", default=list(NAMES), choices=NAMES, help="which tables (default all)")
    parser.add_argument("--epsilons", nargs="+", type=float, default=list(EPSILONS), help="which budgets")
    parser.add_argument("--runs", type=int, default=1, help="fits of each cell (default 1); medians are compared")
    parser.add_argument("--dpctgan-epochs", type=int, default=3, help="epochs of dpctgan (default 3)")
    parser.add_argument("--check", action="store_true", help="compare a spared patectgan with one as it comes instead")
    options = parser.parse_args()
    if not PYTHON.exists():
        parser.error("there is no .venv-smartnoise; run `make smartnoise`")
    if options.check:
        print(json.dumps(check()))
        return
    kept = HERE / "peers.json"
    known: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    for peer in options.peers:
        for epsilon in options.epsilons:
            for table in options.tables:
                asked = (table, f"smartnoise-{peer}", epsilon)
                done = sum((p["table"], p["engine"], p["epsilon"]) == asked for p in known)
                for _ in range(done, options.runs):
                    found = cell(peer, table, epsilon, options.dpctgan_epochs)
                    known = [*(json.loads(kept.read_text()) if kept.exists() else []), found]
                    kept.write_text(json.dumps(known, indent=1) + "\n")
                    told = "failed" not in found and f"auc {found['tstr']:.4f} tvd3 {found['tvd3']:.4f}"
                    print(f"{table} {peer} epsilon {epsilon:g}: {told or found['failed']}", flush=True)
    print(json.dumps({"cells": len(known), "failed": sum("failed" in p for p in known)}))


if __name__ == "__main__":
    main()
