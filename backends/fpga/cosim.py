"""Emitted RTL in a simulator: built once, cached by its contents, run on events of the host."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from spikec.backends.fpga import tools
from spikec.backends.fpga.engine import COUNTERS
from spikec.backends.fpga.plan import Plan, Stream
from spikec.backends.fpga.top import digest, trace_words
from spikec.compiler.errors import SpikecError
from spikec.compiler.types import Array

SIMULATORS = ("verilator", "cxxrtl")
NEEDS = {"verilator": ("verilator", "perl", "g++"), "cxxrtl": ("pyosys", "g++")}
# Seconds a run may take; cycles without any event after which a design hangs.
LIMIT = 3600.0
PATIENCE = 1_000_000
BENCH = "bench.cpp"


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What came out of a simulation.

    Attributes:
        out: Words of the output stream, by sample.
        trace: Words of 32 bits (groups, n) of each engine, by sample.
        counters: By engine, by name, over all samples.
        cycles: Clock cycles of each sample.
    """

    out: tuple[Array, ...]
    trace: tuple[tuple[Array, ...], ...]
    counters: tuple[Mapping[str, int], ...]
    cycles: tuple[int, ...]


def available() -> str:
    """Return the first simulator that is installed.

    Raises:
        SpikecError: SPK1854 when none is.
    """
    for name in SIMULATORS:
        if tools.have(*NEEDS[name]):
            return name
    raise SpikecError(
        "SPK1854",
        "fpga",
        "neither Verilator nor Yosys is installed, or there is no C++ compiler",
        "Install spikec[fpga], g++ and perl",
    )


def bench_text() -> str:
    """Return the test bench in C++, which is the same for every design and both simulators."""
    return files("spikec.hw").joinpath("cosim", BENCH).read_text(encoding="utf-8")


def design_header(plan: Plan, simulator: str) -> str:
    """Return the part of the test bench that depends on the design."""
    words = [trace_words(e) for e in plan.engines]
    if simulator == "cxxrtl":
        model = ['#include "design.cc"', f"using Model = cxxrtl_design::p_{_doubled(plan.label)};"]
    else:
        model = ['#include "Vdesign.h"', "using Model = Vdesign;"]
    return "\n".join(
        [
            *model,
            f"constexpr size_t ENGINES = {len(words)};",
            f"constexpr size_t TRACE_WORDS[] = {{{', '.join(map(str, words))}}};",
            f"constexpr size_t OUT_BITS = {Stream(plan.outputs).bits};",
            f"constexpr uint32_t COUNTERS = {len(COUNTERS)};",
            f"constexpr uint32_t HASH = 0x{digest(plan)[:8]};",
            f"constexpr uint64_t PATIENCE = {PATIENCE};",
            "",
        ]
    )


def _doubled(name: str) -> str:
    return name.replace("_", "__")


def bench(plan: Plan, made: Mapping[str, str], simulator: str, text: str | None = None) -> Path:
    """Return the folder that holds ``bench``, built if it is not in the cache.

    Args:
        plan: Of the design.
        made: Its files.
        simulator: One of ``SIMULATORS``.
        text: Of another bench in place of ``bench_text``.

    Raises:
        SpikecError: SPK1801 to SPK1803 with what a tool said.
    """
    parts = {name: text for name, text in made.items() if name.startswith("rtl/")}
    if simulator == "cxxrtl":  # its memories are part of the program
        parts |= {name: text for name, text in made.items() if name.startswith("mem/")}
    parts["design.h"] = design_header(plan, simulator)
    parts[BENCH] = bench_text() if text is None else text
    digest = hashlib.sha256(simulator.encode())
    for name in sorted(parts):
        digest.update(f"{name}\0{len(parts[name])}\0{parts[name]}".encode())
    place = cache() / f"{simulator}-{digest.hexdigest()[:32]}"
    if not (place / "bench").is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".build-", dir=place.parent) as temporary:
            folder = Path(temporary)
            _write(parts, folder)
            build = _verilator if simulator == "verilator" else _cxxrtl
            program = build(plan, sorted(n for n in parts if n.startswith("rtl/")), folder)
            done = Path(tempfile.mkdtemp(prefix=".done-", dir=place.parent))
            shutil.copy2(program, done / "bench")
            _publish(done, place)
    return place


def cache() -> Path:
    """Return the user's folder of built simulations."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "spikec" / "cosim"


def _write(parts: Mapping[str, str], folder: Path) -> None:
    for name, text in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _verilator(plan: Plan, sources: list[str], folder: Path) -> Path:
    options = ["--cc", "-O3", "-DSPIKEC_TRACE", "--prefix", "Vdesign", "--Mdir", "obj"]
    tools.command(["verilator", *options, "--top-module", plan.label, *sources], folder)
    parts = sorted(p.relative_to(folder).as_posix() for p in (folder / "obj").glob("*.cpp"))
    # In one piece: the headers are most of what is compiled.
    (folder / "all.cpp").write_text("".join(f'#include "{name}"\n' for name in (*parts, BENCH)))
    library = [str(path) for path in _verilated()]
    options = ["-std=c++17", "-O1", "-pthread", "-Iobj", "-I.", *_includes()]
    tools.command(["g++", *options, "all.cpp", *library, "-o", "bench"], folder)
    return folder / "bench"


def _includes() -> list[str]:
    include = tools.package_folder("verilator") / "include"
    return [f"-I{include}", f"-I{include / 'vltstd'}"]


def _verilated() -> list[Path]:
    """Return the objects of Verilator's own library, compiled once."""
    include = tools.package_folder("verilator") / "include"
    names = ("verilated", "verilated_threads")
    digest = hashlib.sha256(str(include).encode())
    for name in names:
        digest.update((include / f"{name}.cpp").read_bytes())
    place = cache() / f"library-{digest.hexdigest()[:32]}"
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        done = Path(tempfile.mkdtemp(prefix=".done-", dir=place.parent))
        for name in names:
            source = str(include / f"{name}.cpp")
            options = ["-std=c++17", "-O1", "-pthread", "-c", *_includes()]
            tools.command(["g++", *options, source, "-o", f"{name}.o"], done)
        _publish(done, place)
    return [place / f"{name}.o" for name in names]


def _publish(done: Path, place: Path) -> None:
    """Move a finished folder to its place in the cache."""
    try:
        done.rename(place)
    except OSError:  # another process was faster
        shutil.rmtree(done)


def _cxxrtl(plan: Plan, sources: list[str], folder: Path) -> Path:
    script = [f"read_verilog -defer -sv -DSPIKEC_TRACE {name}" for name in sources]
    script += [f"hierarchy -check -top {plan.label}", "write_cxxrtl -g0 design.cc"]
    tools.yosys(script, folder)
    include = tools.package_folder("pyosys") / "share/include/backends/cxxrtl/runtime"
    options = ["-std=c++17", "-O1", "-DSPIKEC_CXXRTL", f"-I{include}", "-I."]
    tools.command(["g++", *options, BENCH, "-o", "bench"], folder)
    return folder / "bench"


def run(
    plan: Plan,
    made: Mapping[str, str],
    simulator: str,
    words: list[list[int]],
    steps: int,
    seed: int,
) -> Result:
    """Simulate samples, one after the other.

    Args:
        plan: Of the design.
        made: Its files.
        simulator: One of ``SIMULATORS``.
        words: By sample, the words of the input stream.
        steps: End-of-step words of each sample.
        seed: Of random pauses of both streams; 0 for none.

    Raises:
        SpikecError: SPK1855 when the design hangs or fails, SPK1856 when it takes too long; errors
            of ``bench``.
    """
    program = bench(plan, made, simulator) / "bench"
    with tempfile.TemporaryDirectory(prefix="spikec-cosim-") as temporary:
        folder = Path(temporary)
        _write({name: text for name, text in made.items() if name.startswith("mem/")}, folder)
        numbers = [len(words)]
        for sample in words:
            numbers += [steps, len(sample), *sample]
        np.array(numbers, dtype="<u8").tofile(folder / "stimulus")
        try:
            done = subprocess.run(
                [str(program), "stimulus", "result", str(seed)],
                cwd=folder,
                capture_output=True,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise SpikecError(
                "SPK1856", simulator, f"it ran for more than {LIMIT:g} s", "Use fewer samples"
            ) from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-200:]
            problem = f"it ended with code {done.returncode} {said}".rstrip()
            if done.returncode == 3:
                problem = f"no event moved for {PATIENCE} clock cycles"
            raise SpikecError("SPK1855", simulator, problem, "Report this as a bug")
        return _result(plan, np.fromfile(folder / "result", dtype="<u4"))


def _result(plan: Plan, data: Array) -> Result:
    """Return the records of a result file."""
    out: list[Array] = []
    trace: list[list[Array]] = []
    cycles: list[int] = []
    counters: list[dict[str, int]] = [{} for _ in plan.engines]
    at = 0
    while at < len(data):
        kind, length = int(data[at]), int(data[at + 1])
        held = data[at + 2 : at + 2 + length]
        at += 2 + length
        if kind == 1:
            out.append(held.reshape(-1, 2).astype("<u4").view("<u8").reshape(-1))
            trace.append([])
        elif kind == 2:
            trace[-1].append(held[1:].reshape(-1, trace_words(plan.engines[int(held[0])])))
        elif kind == 3:
            cycles.append(int(held[0]) | int(held[1]) << 32)
        elif kind == 4:
            value = int(held[2]) | int(held[3]) << 32
            counters[int(held[0])][COUNTERS[int(held[1])]] = value
        elif held[0] != 1:
            raise SpikecError(
                "SPK1857",
                plan.label,
                f"its status is {held[0]}: not idle, or an event came for no input",
                "Report this as a bug",
            )
    return Result(tuple(out), tuple(tuple(t) for t in trace), tuple(counters), tuple(cycles))
