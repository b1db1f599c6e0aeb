"""Programs that simulate an emitted design: built once, kept by the hash of their parts."""

import shutil
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

from spikec.backends.fpga import tools
from spikec.backends.fpga.engines.engine import COUNTERS
from spikec.backends.fpga.engines.top import digest, trace_words
from spikec.backends.fpga.plan import Plan, Stream
from spikec.backends.fpga.simulation import cache
from spikec.compiler.errors import SpikecError

RTL = ("verilator", "cxxrtl")
ALL = (*RTL, "hls")
NEEDS = {
    "verilator": ("verilator", "perl", "g++"),
    "cxxrtl": ("pyosys", "g++"),
    "hls": ("hls4ml", "g++"),
}
# Clock cycles without any event after which a design hangs.
PATIENCE = 1_000_000
BENCH, HEADERS = "bench.cpp", ("records.h", "waves.h")
# The headers read a number before it has a value, in their constructors; nothing comes of it.
HLS_WARNINGS = ("-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-uninitialized")


def available() -> str:
    """Return the first simulator of RTL that is installed.

    Raises:
        SpikecError: SPK1854 when none is.
    """
    for name in RTL:
        if tools.have(*NEEDS[name]):
            return name
    raise SpikecError(
        "SPK1854",
        "fpga",
        "neither Verilator nor Yosys is installed, or there is no C++ compiler",
        "Install spikec[fpga], g++ and perl",
    )


def bench_texts() -> dict[str, str]:
    """Return the test bench in C++, which is the same for every design and both simulators."""
    folder = files("spikec.hw").joinpath("cosim")
    return {name: folder.joinpath(name).read_text(encoding="utf-8") for name in (BENCH, *HEADERS)}


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


def bench(
    plan: Plan,
    made: Mapping[str, str],
    simulator: str,
    waves: bool = False,
    text: str | None = None,
) -> Path:
    """Return the folder that holds ``bench``, built if it is not in the cache.

    Args:
        plan: Of the design.
        made: Its files.
        simulator: One of ``ALL``.
        waves: Whether it is to write waveforms; in RTL only.
        text: Of another bench for RTL, in place of our own.

    Raises:
        SpikecError: SPK1801 to SPK1803 with what a tool said.
    """
    # In CXXRTL memories are part of the program.
    folders = {"verilator": ("rtl/",), "cxxrtl": ("rtl/", "mem/"), "hls": ("hls/",)}[simulator]
    parts = {name: text for name, text in made.items() if name.startswith(folders)}
    if simulator in RTL:
        parts |= {"design.h": design_header(plan, simulator), **bench_texts()}
        parts[BENCH] = parts[BENCH] if text is None else text
    build: Callable[[Plan, list[str], Path, bool], None]
    build = {"verilator": _verilator, "cxxrtl": _cxxrtl, "hls": _hls}[simulator]

    def make(work: Path, done: Path) -> None:
        write(parts, work)
        build(plan, sorted(n for n in parts if n.startswith("rtl/")), work, waves)
        shutil.copy2(work / "bench", done / "bench")

    # How it is built is part of the name too.
    named = {**parts, "builder": Path(__file__).read_text(encoding="utf-8")}
    return cache.kept(cache.digest(f"{simulator}{'-waves' * waves}", named), make)


def write(parts: Mapping[str, str], folder: Path) -> None:
    """Write texts below a folder."""
    for name, text in parts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _verilator(plan: Plan, sources: list[str], folder: Path, waves: bool) -> None:
    options = ["--cc", "-O3", "-DSPIKEC_TRACE", "--prefix", "Vdesign", "--Mdir", "obj"]
    options += ["--trace-vcd"] if waves else []
    tools.command(["verilator", *options, "--top-module", plan.label, *sources], folder)
    parts = sorted(p.relative_to(folder).as_posix() for p in (folder / "obj").glob("*.cpp"))
    # In one piece: the headers are most of what is compiled.
    (folder / "all.cpp").write_text("".join(f'#include "{name}"\n' for name in (*parts, BENCH)))
    library = [str(path) for path in _verilated(waves)]
    options = [*_defines(waves), "-std=c++17", "-O1", "-pthread", "-Iobj", "-I.", *_includes()]
    tools.command(["g++", *options, "all.cpp", *library, "-o", "bench"], folder)


def _includes() -> list[str]:
    include = tools.package_folder("verilator") / "include"
    return [f"-I{include}", f"-I{include / 'vltstd'}"]


def _defines(waves: bool) -> list[str]:
    return ["-DSPIKEC_WAVES"] if waves else []


def _verilated(waves: bool) -> list[Path]:
    """Return the objects of Verilator's own library, compiled once."""
    include = tools.package_folder("verilator") / "include"
    names = ("verilated", "verilated_threads", *(("verilated_vcd_c",) if waves else ()))
    sources = {str(include / f"{n}.cpp"): (include / f"{n}.cpp").read_text() for n in names}

    def make(_: Path, done: Path) -> None:
        for source in sources:
            options = ["-std=c++17", "-O1", "-pthread", "-c", *_includes()]
            tools.command(["g++", *options, source, "-o", f"{Path(source).stem}.o"], done)

    place = cache.kept(cache.digest("library", sources), make)
    return [place / f"{name}.o" for name in names]


def _cxxrtl(plan: Plan, sources: list[str], folder: Path, waves: bool) -> None:
    read = "read_verilog -defer -sv -nosynthesis -DSPIKEC_TRACE"
    script = [f"{read} {name}" for name in sources]
    # A function for each module: one for all takes a compiler seven times as long.
    shown = "" if waves else "-g0"
    script += [f"hierarchy -check -top {plan.label}", f"write_cxxrtl -noflatten {shown} design.cc"]
    tools.yosys(script, folder)
    include = tools.package_folder("pyosys") / "share/include/backends/cxxrtl/runtime"
    options = [*_defines(waves), "-std=c++17", "-O1", "-DSPIKEC_CXXRTL", f"-I{include}", "-I."]
    tools.command(["g++", *options, BENCH, "-o", "bench"], folder)


def _hls(plan: Plan, _: list[str], folder: Path, _waves: bool) -> None:
    headers = tools.package_folder("hls4ml") / "templates" / "vivado" / "ap_types"
    options = ["-std=c++14", "-O1", "-DSPIKEC_TRACE", *HLS_WARNINGS, "-isystem", str(headers)]
    tools.command(["g++", *options, f"hls/{plan.label}.cpp", "hls/tb.cpp", "-o", "bench"], folder)
