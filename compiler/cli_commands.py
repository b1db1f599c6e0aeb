"""The commands and their options; the work is in ``cli_tasks`` and its like."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from spikec.compiler import (
    cli_against,
    cli_convert,
    cli_deploy,
    cli_doctor,
    cli_monte_carlo,
    cli_profile,
    cli_synth,
    cli_verify,
)
from spikec.compiler import cli_tasks as tasks
from spikec.compiler.cli_report import Report
from spikec.compiler.energy import Static
from spikec.compiler.relu_conversion import ConversionEncoding, ConversionReadout
from spikec.compiler.signals import Encoding, Readout

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="spikec",
    help="Compile spiking networks to neuromorphic hardware, exactly.",
    epilog="Every command takes --json, for one JSON object on stdout, and --debug.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A .nir file, module:attribute, or the name of a bundled model."
    ),
]
Build = Annotated[Path, typer.Argument(metavar="BUILD", help="A folder written by spikec compile.")]
Dt = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Step, for models in continuous time."),
]
Meaning = Annotated[
    str | None,
    typer.Option(
        "--semantics",
        metavar="NAME",
        help="Whose convention the file follows: nir, snntorch, norse, sinabs, ..., with fields "
        "changed as in sinabs{max_spikes=1,reset=zero}.",
    ),
]
Target = Annotated[str, typer.Option("--target", "-t", metavar="NAME", help="See spikec targets.")]
PipelineText = Annotated[
    str | None,
    typer.Option("--pipeline", metavar="PASSES", help="In place of the target's own."),
]
Calibration = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Input data on which ranges are measured."),
]
InputFile = Annotated[
    Path,
    typer.Option(
        "--input", "-i", metavar="FILE", help="Data: .npy, .npz, an event list, or NIRData."
    ),
]
Encode = Annotated[Encoding | None, typer.Option(help="Turn real values into a signal.")]
Steps = Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of steps.")]
Seed = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Of what is random; 0 if not given.")
]
Labels = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Classes, one per sample: .npy, or 'labels' in a .npz."),
]
BackendName = Annotated[str, typer.Option(metavar="NAME", help="Where to run: cpu or reference.")]

Explain = Annotated[
    bool, typer.Option("--explain", help="Why it takes the cores it takes, and what would help.")
]
MeshPlot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Draw cores and traffic: .png, .pdf or .svg."),
]
Devices = Annotated[
    str | None,
    typer.Option(
        metavar="STAGES",
        help="On resistive arrays that are not ideal: program{kind=neurram_1s},wire{ohm=1}, ...",
    ),
]
DeviceSeed = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Of the devices; 0 if not given.")
]
Limit = Annotated[
    float | None,
    typer.Option(min=1, metavar="SECONDS", help="Longest run in Lava; 600 if not given."),
]
LIMIT = 600.0

# ``main`` reads these two from the arguments themselves, since a wrong usage, which leaves nothing
# parsed, is reported in the same form.
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Tracebacks of errors.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"spikec {version('spikec')}")
        raise typer.Exit


@app.callback()
def top(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
    debug: Annotated[bool, typer.Option("--debug", hidden=True)] = False,
) -> None:
    """Take the options that stand before the command."""


@app.command()
def check(
    model: Model,
    target: Target = "cpu",
    dt: Dt = None,
    semantics: Meaning = None,
    pipeline: PipelineText = None,
    calibration: Calibration = None,
    encode: Encode = None,
    steps: Steps = None,
    seed: Seed = None,
    explain: Explain = False,
    plot: MeshPlot = None,
    as_json: Json = False,
    debug: Debug = False,
) -> Report:
    """Tell whether a model fits a target, and if not, what does not."""
    _need(calibration, "--calibration", {"--encode": encode, "--steps": steps, "--seed": seed})
    data = tasks.Data(calibration, encode, steps, seed)
    return tasks.check(
        tasks.Source(model, dt, semantics), target, pipeline, data, tasks.Wanted(explain, plot)
    )


@app.command()
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL|BUILD", help="A model or a build.")],
    dt: Dt = None,
    semantics: Meaning = None,
    equations: Annotated[
        bool, typer.Option("--equations", help="Each population's equation too.")
    ] = False,
    nir: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it as a NIR file too, and tell what that lacks."),
    ] = None,
    reader: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME",
            help="Whose convention the NIR file is to follow, as in --semantics; else the model's.",
        ),
    ] = None,
    spice: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a tile of a build for arrays as a netlist."),
    ] = None,
    tile: Annotated[
        int | None, typer.Option(metavar="N", help="Which, in the order of --explain; 0.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> Report:
    """Print a model or a build as text."""
    _need(nir, "--nir", {"--as": reader})
    _need(spice, "--spice", {"--tile": tile})
    if spice is not None:
        _refuse("--spice", {"--nir": nir, "--equations": equations or None})
        return tasks.show_tile(Path(model), spice, tile or 0)
    return tasks.show(tasks.Source(model, dt, semantics), equations, nir, reader)


@app.command("compile")
def compile_command(
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUILD", help="The folder to write.")
    ],
    target: Target = "cpu",
    dt: Dt = None,
    semantics: Meaning = None,
    pipeline: PipelineText = None,
    calibration: Calibration = None,
    labels: Labels = None,
    encode: Encode = None,
    steps: Steps = None,
    seed: Seed = None,
    dump_ir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the text after every pass.")
    ] = None,
    explain: Explain = False,
    plot: MeshPlot = None,
    clock: Annotated[
        float | None, typer.Option(metavar="HZ", help="FPGA: the clock to aim at; 200e6.")
    ] = None,
    lanes: Annotated[
        str | None,
        typer.Option(metavar="auto|N", help="FPGA: neurons updated at once, at most; 16."),
    ] = None,
    fit: Annotated[bool, typer.Option("--fit", help="FPGA: the smallest engines.")] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="FPGA: the fastest engines that fit the part.")
    ] = False,
    steps_per_second: Annotated[
        float | None, typer.Option(metavar="N", help="FPGA: throughput to reach, as small as can.")
    ] = None,
    latency: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="FPGA: of a step through all engines, the same."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> Report:
    """Compile a model for a target into a build folder."""
    size = cli_synth.Size(clock, lanes, fit, fast, steps_per_second, latency)
    pipeline = cli_synth.pipeline(target, pipeline, size)
    options = {"--encode": encode, "--steps": steps, "--seed": seed, "--labels": labels}
    _need(calibration, "--calibration", options)
    data = tasks.Data(calibration, encode, steps, seed, labels)
    source = tasks.Source(model, dt, semantics)
    return tasks.compile_model(
        source, target, output, pipeline, data, dump_ir, tasks.Wanted(explain, plot)
    )


@app.command()
def convert(
    model: Annotated[
        Path, typer.Argument(metavar="NET.onnx", help="A ReLU network in an ONNX file.")
    ],
    calibration: Annotated[
        Path, typer.Option(metavar="FILE", help="Images as the network takes them, .npy or .npz.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUILD", help="The folder to write.")
    ],
    labels: Labels = None,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Longest latency.")] = 64,
    percentile: Annotated[
        float,
        typer.Option(metavar="P", help="Of a layer's activations: what a spike a step stands for."),
    ] = 99.9,
    readout: Annotated[ConversionReadout, typer.Option(help="How the output is a class.")] = "last",
    encode: Annotated[
        ConversionEncoding, typer.Option(help="How images become a signal.")
    ] = "constant",
    seed: Seed = None,
    target: Target = "cpu",
    pipeline: PipelineText = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw accuracy against latency: .png, .pdf or .svg."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> Report:
    """Convert a ReLU network to a spiking one, measure it, and compile it."""
    data = tasks.Data(calibration, encode, steps, seed, labels)
    options = cli_convert.Options(percentile, readout, target, pipeline)
    return cli_convert.convert_model(model, data, options, output, plot)


@app.command()
def simulate(
    build: Build,
    data: InputFile,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the outputs to this .npz."),
    ] = None,
    record: Annotated[
        str, typer.Option(metavar="spikes,state", help="Write these of every population too.")
    ] = "",
    encode: Encode = None,
    steps: Steps = None,
    seed: Seed = None,
    labels: Labels = None,
    readout: Annotated[
        Readout | None, typer.Option(help="How an output is a class; count if there are labels.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the first sample: .png, .pdf or .svg."),
    ] = None,
    backend: BackendName = "cpu",
    devices: Devices = None,
    device_seed: DeviceSeed = None,
    monte_carlo: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, metavar="N", help="Draw the devices so many times."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes; as many as cores.")
    ] = None,
    attribute: Annotated[
        bool, typer.Option("--attribute", help="What each stage and each projection costs.")
    ] = False,
    bound: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="A", help="Accuracy that a drawn array must reach."),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep each run here; go on from here if it exists."),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> Report:
    """Run a build on data."""
    _need(devices, "--devices", {"--device-seed": device_seed, "--monte-carlo": monte_carlo})
    several = {"--workers": workers, "--attribute": attribute or None, "--bound": bound}
    _need(monte_carlo, "--monte-carlo", {**several, "--journal": journal})
    given = tasks.Data(data, encode, steps, seed, labels)
    wanted = tuple(part.strip() for part in record.split(",") if part.strip())
    arrays = None
    if devices is not None:
        _refuse("--devices", {"--backend": None if backend in ("cpu", "crossbar") else backend})
        if monte_carlo is not None:
            unused = {"--output": output, "--record": record or None, "--plot": plot}
            _refuse("--monte-carlo", unused)
            chosen = devices, monte_carlo, device_seed or 0, workers, attribute, bound, journal
            return cli_monte_carlo.monte_carlo(
                build, given, cli_monte_carlo.Draws(*chosen), readout
            )
        backend, arrays = "crossbar", tasks.Arrays(devices, device_seed or 0)
    return tasks.simulate(build, given, output, wanted, backend, readout, plot, arrays)


@app.command()
def verify(
    build: Annotated[
        str,
        typer.Argument(metavar="BUILD|MODEL", help="A build; or a model, with a framework."),
    ],
    data: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="Data; random if not given."),
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What is taken as right: a backend, or the model's own framework: snntorch, "
            "norse, onnxruntime.",
        ),
    ] = "reference",
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The other one. Not given: cpu; for an FPGA fpga and hls."
        ),
    ] = None,
    waves: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a waveform (VCD) of the first difference."),
    ] = None,
    prove: Annotated[
        bool, typer.Option("--prove", help="Prove the RTL of an FPGA build instead of running it.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="What the build was made of, for a framework."),
    ] = None,
    dt: Dt = None,
    semantics: Meaning = None,
    float64: Annotated[
        bool, typer.Option("--float64", help="Let the framework compute in float64.")
    ] = False,
    lava: Annotated[
        str | None,
        typer.Option(metavar="PYTHON", help="Compare with Lava, in this interpreter that has it."),
    ] = None,
    limit: Limit = None,
    encode: Encode = None,
    steps: Steps = None,
    seed: Seed = None,
    as_json: Json = False,
    debug: Debug = False,
) -> Report:
    """Compare two backends on a build, or a model with its own framework."""
    _need(data, "--input", {"--encode": encode})
    _need(lava, "--lava", {"--limit": limit})
    if prove:
        unused: dict[str, Any] = {"--input": data, "--backend": backend, "--lava": lava}
        unused |= {"--waves": waves, "--model": model, "--dt": dt, "--semantics": semantics}
        unused |= {"--steps": steps, "--seed": seed, "--float64": float64 or None}
        _refuse("--prove", unused)
        return cli_verify.prove(Path(build))
    if lava is not None:
        _refuse("--lava", {"--backend": backend})
    given = tasks.Data(data, encode, steps, seed)
    if against in cli_against.FRAMEWORKS:
        _refuse("a framework", {"--lava": lava, "--waves": waves})
        place = cli_against.Place(build, model, dt, semantics)
        return cli_against.verify(place, given, against, backend or "cpu", float64)
    options = {"--model": model, "--dt": dt, "--semantics": semantics}
    _need(None, "--against FRAMEWORK", options | {"--float64": float64 or None})
    chosen = None if lava is None else tasks.Lava(lava, limit or LIMIT)
    others = cli_verify.Others(backend, chosen, waves)
    return cli_verify.verify(Path(build), given, against, others)


@app.command()
def deploy(
    build: Build,
    lava: Annotated[
        str | None,
        typer.Option(
            metavar="PYTHON",
            help="An interpreter that has Lava and lava-loihi; python3.10 if not given.",
        ),
    ] = None,
    vivado: Annotated[
        str | None, typer.Option(metavar="PROGRAM", help="Vivado, if it is not on the path.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Where Vivado writes; BUILD.vivado if not given."
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="SECONDS", help="Longest run: 600 in Lava, 14400 of Vivado if not given."
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> Report:
    """Run a build for Loihi on the chip, build one for an FPGA, or tell what is missing."""
    return cli_deploy.deploy(build, lava, vivado, output, limit)


@app.command()
def profile(
    build: Build,
    data: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="Data; needed but for --synth."),
    ] = None,
    synth: Annotated[
        bool,
        typer.Option("--synth", help="Map a build for an FPGA with Yosys: resources and logic."),
    ] = False,
    limit: Annotated[
        float | None,
        typer.Option(min=1, metavar="SECONDS", help="Longest run of Yosys; 3600 if not given."),
    ] = None,
    prices: Annotated[
        list[str] | None,
        typer.Option(metavar="BOOK", help="A price book or .toml file, in place of the target's."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Run time of all samples.")
    ] = None,
    clock_hz: Annotated[
        float | None, typer.Option(metavar="HZ", help="Clock, for a price per cycle.")
    ] = None,
    chips: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Chips that draw power; 1 by default.")
    ] = None,
    static: Annotated[
        Static | None, typer.Option(help="Static power of whole chips, or of the cores in use.")
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, metavar="N", help="Monte Carlo draws; 10000."),
    ] = None,
    encode: Encode = None,
    steps: Steps = None,
    seed: Seed = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw bars: .png, .pdf or .svg.")
    ] = None,
    backend: BackendName = "cpu",
    as_json: Json = False,
    debug: Debug = False,
) -> Report:
    """Tell what a build costs on data: counts, and joules by price books; or what it takes."""
    if synth:
        options: dict[str, Any] = {"--input": data, "--seconds": seconds, "--clock-hz": clock_hz}
        options |= {"--chips": chips, "--static": static, "--draws": draws, "--encode": encode}
        options |= {"--steps": steps, "--seed": seed, "--plot": plot, "--prices": prices}
        _refuse("--synth", options)
        return cli_synth.synthesis(build, limit or cli_synth.LIMIT)
    _need(None, "--synth", {"--limit": limit})
    if data is None:
        raise typer.BadParameter("give data, or --synth", param_hint="--input")
    if static == "core":
        _refuse("--static core", {"--chips": chips})
    chosen: dict[str, Any] = {
        "seconds": seconds,
        "clock_hz": clock_hz,
        "chips": chips,
        "static": static,
    }
    chosen |= {"draws": draws, "seed": seed}
    given = {name: value for name, value in chosen.items() if value is not None}
    inputs = tasks.Data(data, encode, steps, seed)
    return cli_profile.profile(build, inputs, prices or [], given, plot, backend)


@app.command()
def doctor(
    model: Annotated[str, typer.Argument(metavar="FILE", help="A .nir file.")],
    data: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="Data; random spikes if not given."),
    ] = None,
    dt: Dt = None,
    semantics: Meaning = None,
    encode: Encode = None,
    steps: Steps = None,
    seed: Seed = None,
    as_json: Json = False,
    debug: Debug = False,
) -> Report:
    """Tell what a NIR file likely means, what is wrong with it, and whether it matters."""
    _need(data, "--input", {"--encode": encode})
    return cli_doctor.doctor(model, tasks.Data(data, encode, steps, seed), semantics, dt)


@app.command()
def targets(as_json: Json = False, debug: Debug = False) -> Report:
    """List the targets."""
    return tasks.targets()


@app.command()
def models(as_json: Json = False, debug: Debug = False) -> Report:
    """List the models that come with spikec."""
    return tasks.models()


def _refuse(chosen: str, options: Mapping[str, object]) -> None:
    """Refuse options that have no effect beside another.

    Raises:
        BadParameter: When one is set.
    """
    for option, value in options.items():
        if value is not None:
            raise typer.BadParameter(f"it has no effect with {chosen}", param_hint=option)


def _need(given: object, name: str, options: Mapping[str, object]) -> None:
    """Refuse options that would have no effect.

    Raises:
        BadParameter: When one is set and ``given`` is not.
    """
    for option, value in options.items():
        if given is None and value is not None:
            raise typer.BadParameter(f"it has no effect without {name}", param_hint=option)
