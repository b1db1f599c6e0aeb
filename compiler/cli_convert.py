"""What ``spikec convert`` does: a ReLU network becomes a spiking one, is measured, and compiled."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from spikec.compiler.artifact import emit
from spikec.compiler.cli_report import Bar, Block, Findings, Report, Table
from spikec.compiler.cli_tasks import Data
from spikec.compiler.frontends.onnx_relu import read_relu
from spikec.compiler.pipeline import compile_graph
from spikec.compiler.plot import line_plot, picture_format
from spikec.compiler.relu_conversion import (
    Conversion,
    ConversionEncoding,
    ConversionReadout,
    convert,
)
from spikec.compiler.signals import encode
from spikec.compiler.simulator import find_backend
from spikec.compiler.target import load_target


@dataclass(frozen=True, slots=True)
class Options:
    """How to convert and for what.

    Attributes:
        percentile: See ``convert``.
        readout: See ``convert``.
        target: Name of the target.
        pipeline: Passes, in place of the target's own.
    """

    percentile: float
    readout: ConversionReadout
    target: str
    pipeline: str | None


def convert_model(
    model: Path,
    data: Data,
    options: Options,
    output: Path,
    plot: Path | None,
) -> Report:
    """Convert, report, and write the build, unless something does not fit.

    Args:
        model: An ONNX file.
        data: Calibration images and labels, the encoding, the steps and the seed.
        options: How to convert and for what.
        output: The build folder.
        plot: Picture of the curve, or None.
    """
    if plot is not None:
        picture_format(plot)
    findings = Findings()
    relu = read_relu(model)
    (entry,) = relu.graph.inputs
    images = replace(data, encoding="constant", steps=1).read(relu.graph, findings)[entry.name]
    labels = data.read_labels({entry.name: images})
    given = data.encoding or "constant", data.steps or 1, data.seed or 0
    with Bar() as bar:
        made = convert(
            model,
            images[:, 0],
            labels,
            steps=given[1],
            percentile=options.percentile,
            readout=options.readout,
            encoding=cast(ConversionEncoding, given[0]),
            seed=given[2],
            progress=bar,
        )
        findings.tell(*made.graph.findings)
        signal = encode(images[:, 0], *given)
        program = compile_graph(
            made.graph, options.target, signal, pipeline=options.pipeline, progress=bar
        )
    findings.tell(*program.graph.findings)
    blocks = conversion_blocks(made)
    shown: dict[str, Any] = {**conversion_json(made), "target": options.target}
    misfits = find_backend(load_target(options.target).backend).supports(program)
    if misfits:
        findings.tell(*misfits)
        blocks.append(f"{made.graph.name} does not fit {options.target}; nothing is written")
        return Report(shown, blocks, findings, code=1)
    emit(program, output)
    shown["build"] = str(output)
    blocks.append(f"build  {output}")
    if plot is not None:
        _draw(made, plot)
        shown["picture"] = str(plot)
        blocks.append(f"picture  {plot}")
    return Report(shown, blocks, findings)


def conversion_json(made: Conversion) -> dict[str, Any]:
    """Return what was measured, as plain values."""
    return {
        "layers": [asdict(layer) for layer in made.layers],
        "curve": [asdict(point) for point in made.curve],
        "samples": made.samples,
        "relu_correct": made.relu_correct,
        "readout": made.readout,
        "encoding": made.encoding,
        "seed": made.seed,
        "metadata": dict(made.graph.metadata),
    }


def conversion_blocks(made: Conversion) -> list[Block]:
    """Return the tables of the layers and of accuracy against latency."""
    layers = tuple(
        (
            layer.name,
            f"{layer.neurons:,}",
            f"{layer.scale:.4g}",
            f"{layer.largest:.4g}",
            f"{100 * layer.active:.1f} %",
        )
        for layer in made.layers
    )
    header = ("layer", "neurons", "scale", "largest activation", "positive")
    blocks: list[Block] = [Table(header, layers), ""]
    rows = tuple(
        (
            f"{p.steps}",
            _share(p.agreeing, made.samples),
            *(() if p.correct is None else (_share(p.correct, made.samples),)),
        )
        for p in made.curve
    )
    titles = ("steps", "same class as ReLU", "accuracy")
    blocks.append(Table(titles[: len(rows[0])], rows))
    if made.relu_correct is not None:
        blocks.append(f"ReLU network  {_share(made.relu_correct, made.samples)}")
    blocks.append(f"on {made.samples:,} calibration images, readout {made.readout}")
    return blocks


def _share(part: int, of: int) -> str:
    return f"{part:,} = {100 * part / of:.2f} %"


def _draw(made: Conversion, path: Path) -> None:
    """Write the picture of accuracy against latency."""
    steps = [p.steps for p in made.curve]
    lines = {"same class as ReLU": [100 * p.agreeing / made.samples for p in made.curve]}
    level = None
    if made.relu_correct is not None:
        lines["accuracy"] = [100 * (p.correct or 0) / made.samples for p in made.curve]
        level = ("ReLU network", 100 * made.relu_correct / made.samples)
    line_plot(path, made.graph.name, "steps", "% of samples", steps, lines, level)
