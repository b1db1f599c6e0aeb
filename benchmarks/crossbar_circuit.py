"""One crossbar array with resistive wires, beside badcrossbar 1.1.0 in the same run.

    make badcrossbar; python tools/bench.py crossbar_circuit

badcrossbar runs in an environment of its own (BADCROSSBAR names its interpreter), on the same
arrays, asked for nothing but output currents. Its drawing library needs cairo, which currents do
not: where that is missing, an empty module stands in for it. CPU seconds of one thread, the least
of some runs, since machines are shared. Every answer is compared with ours, to 1e-6 of full scale.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# One thread for both: set before BLAS starts, in the child.
ONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
OHM, VOLT, SIZES, INPUTS, CHANGING = 2.0, 0.2, (64, 128, 256), 64, 4
REPEAT = 200
ROOT = Path(__file__).resolve().parent.parent


def seconds(runs: int, call: Callable[..., Any], *arguments: Any) -> float:
    """Return the least CPU time of some runs."""
    times: list[float] = []
    for _ in range(runs):
        begun = time.process_time()
        call(*arguments)
        times.append(time.process_time() - begun)
    return min(times)


def cases() -> dict[str, Any]:
    """Return arrays of 2 to 50 uS, inputs, gated inputs, and the noise of every cell of a read."""
    made: dict[str, Any] = {}
    random = np.random.default_rng(0)
    for n in SIZES:
        made[f"g{n}"] = random.uniform(2e-6, 50e-6, (n, n))
        made[f"v{n}"] = VOLT * random.random((INPUTS, n))
        made[f"gate{n}"] = random.random((CHANGING, n)) < 0.1
        made[f"noise{n}"] = 0.02 * made[f"g{n}"] * random.standard_normal((CHANGING, n, n))
    return made


def peer(file: str) -> None:
    """Time badcrossbar on the arrays of a file; print the times and write its currents beside."""
    try:
        import cairo  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports, reportUnusedImport]  # noqa: F401
    except ImportError:
        drawing: Any = types.ModuleType("cairo")
        drawing.Context = object
        sys.modules["cairo"] = drawing
    import badcrossbar  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    logging.disable(logging.CRITICAL)
    tool: Any = badcrossbar

    def solve(g: Any, v: Any) -> Any:
        with np.errstate(divide="ignore"):
            ohm = 1 / g
        found = tool.compute(v.T, ohm, r_i=OHM, node_voltages=False, all_currents=False)
        return found.currents.output

    def each(arrays: Any, volts: Any) -> Any:
        return np.array([solve(g, v[None])[0] for g, v in zip(arrays, volts, strict=True)])

    held, found, out = np.load(file), dict[str, float](), dict[str, Any]()
    for n in SIZES:
        g, v, gate, noise = (held[f"{k}{n}"] for k in ("g", "v", "gate", "noise"))
        runs = 5 if n < 256 else 2
        found[f"one {n}"] = seconds(runs, solve, g, v[:1])
        found[f"many {n}"] = seconds(runs, solve, g, v)
        out[f"many{n}"] = solve(g, v)
        volts = VOLT * gate
        changed = [gate[k][:, None] * (g + noise[k]) for k in range(CHANGING)]
        found[f"changing {n}"] = seconds(max(1, runs // 2), each, changed, volts)
        out[f"changing{n}"] = each(changed, volts)
    np.savez(Path(file).with_name("out.npz"), **out)
    print(json.dumps(found))


def repeated(v: Any, held_map: Any) -> None:
    """Give the outputs so often that a clock can tell."""
    for _ in range(REPEAT):
        np.matmul(v, held_map)


def ours(held: dict[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the times and the currents of spikec."""
    from spikec.backends.crossbar import Circuit, read
    from spikec.backends.crossbar.threads import one_thread

    found, out = dict[str, float](), dict[str, Any]()
    for n in SIZES:
        g, v, gate, noise = (held[f"{k}{n}"] for k in ("g", "v", "gate", "noise"))
        circuit = Circuit(g, OHM, OHM)
        with one_thread():
            held_map = circuit.effective()
            found[f"one {n}"] = seconds(9, read, g, v[:1], OHM, OHM)
            found[f"program {n}"] = seconds(5, circuit.effective)
            found[f"many {n}"] = seconds(5, repeated, v, held_map) / REPEAT
            out[f"many{n}"] = v @ held_map
            reading = g, VOLT * gate, OHM, OHM, gate, noise
            found[f"changing {n}"] = seconds(9, read, *reading)
            out[f"changing{n}"] = read(*reading).output
    return found, out


def rows(mine: dict[str, float], theirs: dict[str, float]) -> list[dict[str, Any]]:
    """Return what is measured: ours as a part of badcrossbar's time, and the times."""
    made: list[dict[str, Any]] = []

    def row(what: str, figure: float, limit: float | None = None) -> None:
        made.append({"what": what, "figure": figure, "limit": limit})

    parts = {"one": 1 / 3, "many": 1 / 100, "changing": 1 / 20}
    words = {"one": "one input", "many": f"{INPUTS} inputs, programmed"}
    words["changing"] = f"{CHANGING} reads, gated rows and noise"
    for kind, limit in parts.items():
        for n in SIZES:
            key = f"{kind} {n}"
            checked = None if kind == "many" and n == 64 else limit
            row(f"{words[kind]}, {n}: badcrossbar ms", 1e3 * theirs[key])
            row(f"{words[kind]}, {n}: spikec ms", 1e3 * mine[key])
            row(f"{words[kind]}, {n}: spikec / badcrossbar", mine[key] / theirs[key], checked)
    for n in SIZES:
        program = mine[f"program {n}"]
        one, many = theirs[f"one {n}"], theirs[f"many {n}"]
        more = max((many - one) / (INPUTS - 1), 1e-12)
        row(f"programming, {n}: spikec ms", 1e3 * program)
        # Of badcrossbar the first input costs ``one``, each further one in the same call ``more``.
        even = 1 + max(0.0, program - one) / more
        row(f"inputs from which programming pays, {n}: beside badcrossbar", np.ceil(even))
        row(f"the same, {n}: beside our own single reads", np.ceil(program / mine[f"one {n}"]))
    return made


def main() -> None:
    """Run both, compare their currents, and print the rows."""
    python = os.environ.get("BADCROSSBAR", str(ROOT / ".venv-badcrossbar" / "bin" / "python"))
    if not Path(python).exists():
        raise SystemExit(f"{python}: not there; make badcrossbar, or set BADCROSSBAR")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.npz"
        np.savez(file, **cases())
        arguments = [python, __file__, "--peer", str(file)]
        done = subprocess.run(
            arguments, check=True, text=True, stdout=subprocess.PIPE, env={**os.environ, **ONE}
        )
        theirs = json.loads(done.stdout.splitlines()[-1])
        mine, currents = ours(dict(np.load(file)))
        with np.load(file.with_name("out.npz")) as out:
            for name, found in currents.items():
                worst = np.abs(found - out[name]).max() / np.abs(out[name]).max()
                if not worst < 1e-6:
                    raise AssertionError(f"{name}: {worst} of full scale apart")
    print(json.dumps(rows(mine, theirs)))


if __name__ == "__main__":
    peer(sys.argv[2]) if sys.argv[1:2] == ["--peer"] else main()
