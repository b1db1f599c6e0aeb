"""All of it: who wrote a file, what is wrong with it, and what it does under each convention."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spikec.compiler.doctor.checks import NEURONS, Check, checks
from spikec.compiler.doctor.exporters import Guess, guesses
from spikec.compiler.doctor.readings import Choice, Feed, Reading, read_under
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends.lava_dl_file import NET_SUFFIX
from spikec.compiler.frontends.nir import stated_semantics, stated_step
from spikec.compiler.frontends.nir_file import SEMANTICS, read_nir
from spikec.compiler.frontends.nir_network import flatten
from spikec.compiler.semantics import PRESETS, Semantics

# For conventions without a step, where neither user nor exporter gives one.
DEFAULT_DT = 1e-3
# What an exporter loses: each variant may be what was trained.
LOST = {
    "snntorch": (
        {"reset": "subtract"},
        {"reset": "subtract", "reset_phase": "next"},
        {"reset_phase": "next"},
    ),
    "sinabs": ({"reset": "zero"}, {"max_spikes": 1}),
    "spikingjelly": ({"reset": "subtract"},),
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known about a file.

    Attributes:
        name: Its name.
        version: Version of NIR that wrote it.
        guesses: Who may have written it, likeliest first.
        checks: What the user should know, worst first.
        readings: What it does under each convention; the first is the one taken as meant.
        open: Names of the other readings that the file does not exclude.
    """

    name: str
    version: str
    guesses: Sequence[Guess]
    checks: Sequence[Check]
    readings: Sequence[Reading]
    open: Sequence[str] = ()

    @property
    def broken(self) -> bool:
        """Whether something must be done before the file can be trusted."""
        return any(c.level == "error" for c in self.checks)


def diagnose(
    source: object, feed: Feed, semantics: Semantics | None = None, dt: float | None = None
) -> Diagnosis:
    """Return what is known about a .nir file.

    Args:
        source: Path or nir.NIRGraph.
        feed: Gives the inputs that it is run on.
        semantics: What the user says it means: then nothing is ambiguous.
        dt: Step in seconds for conventions that have none; of the user's convention in any case.

    Raises:
        SpikecError: SPK1719 on a lava-dl file.
    """
    if str(source).endswith(NET_SUFFIX):
        raise SpikecError(
            "SPK1719",
            str(source),
            "a lava-dl file leaves no convention open, so there is nothing to diagnose",
            "Use spikec check",
        )
    try:
        file = read_nir(source)
    except SpikecError as error:
        return Diagnosis(str(source), "unknown", (), (Check.of_error(error),), ())
    found: list[Finding] = []
    try:
        stated = stated_semantics(file, found) if SEMANTICS in file.stated else None
        dt = dt if dt is not None or semantics else stated_step(file)
        semantics = semantics or stated
        network = flatten(file.root, semantics or Semantics(), found)
    except SpikecError as error:
        told = (Check.of_error(error), *map(Check.of_finding, found))
        return Diagnosis(file.name, file.metadata["version"], (), told, ())
    neurons = [n for n in network.nodes.values() if n.type in NEURONS]
    likely = guesses(neurons)
    if stated is not None:
        text = f"its metadata name the convention {stated}"
        likely = [Guess("spikec", True, text, stated_step(file))]
    listed = checks(file.root, network.nodes, network.flow, likely[0])
    listed += map(Check.of_finding, dict.fromkeys(found))
    choices, still_open = _choices(likely, semantics, dt)
    readings = read_under(file, choices, feed)
    listed += _verdict(readings, still_open)
    listed.sort(key=lambda c: ("error", "warning", "info").index(c.level))
    return Diagnosis(
        file.name, file.metadata["version"], likely, listed, readings, tuple(still_open)
    )


def _choices(
    likely: Sequence[Guess], semantics: Semantics | None, dt: float | None
) -> tuple[list[Choice], list[str]]:
    """Return all conventions to try, the meant one first, and those that the file leaves open."""
    named = [g for g in likely if g.name in PRESETS] or [Guess("nir", False, "")]
    base = semantics or PRESETS[named[0].name]
    step = dt if dt is not None else next((g.dt for g in likely if g.dt), DEFAULT_DT)
    variants: list[Semantics] = []
    for guess in [] if semantics else (named[:1] if named[0].certain else [*named]):
        variants.append(PRESETS[guess.name])
        variants += [replace(PRESETS[guess.name], **change) for change in LOST.get(guess.name, ())]
    if not semantics and not named[0].certain:
        variants.append(PRESETS["nir"])
    every = dict.fromkeys([base, *variants, *PRESETS.values()])
    needs_step = {s: s.dt is None and s.step_rule == "given" for s in every}
    choices = [Choice(s, step if needs_step[s] else None) for s in every]
    if dt is not None:
        choices[0] = Choice(base, dt)
    return choices, [str(s) for s in dict.fromkeys(variants) if s != base]


def _verdict(readings: Sequence[Reading], still_open: Sequence[str]) -> list[Check]:
    first, others = readings[0], [r for r in readings[1:] if r.semantics in still_open]
    if first.problem:
        text = f"it cannot be run as {first.semantics}: {first.problem}"
        return [Check("error", "SPK1511", first.semantics, text, "")]
    differing = [r for r in others if r.difference]
    if differing:
        counts = ", ".join(f"{r.spikes:,} as {r.semantics}" for r in differing)
        text = (
            f"the file does not say which is meant, and it matters: {first.spikes:,} spikes as "
            f"{first.semantics}, {counts}"
        )
        return [Check("error", "SPK1512", first.semantics, text, "Give --semantics")]
    if not any(r.spikes for r in (first, *others)):
        text = "there is no spike on this input, so nothing is known of what matters"
        return [Check("warning", "SPK1513", "input", text, "Give --input")]
    return []
