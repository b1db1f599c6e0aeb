"""Which clock cycles a waveform shows."""

from pathlib import Path

from spikec.backends.fpga.plan import Plan
from spikec.backends.fpga.simulation.cosim import Waves

MOST_CYCLES = 10_000
NEVER = 1 << 62


def window(plan: Plan, path: Path, place: tuple[str, int] | None) -> tuple[Waves, str]:
    """Return what to show of a sample, and a line about it.

    Args:
        plan: Of the design.
        path: The VCD file.
        place: A population and a step of its own: from its last group of the step before to its
            first of the step after. None for the beginning of the sample.
    """
    if place is None:
        about = f"its first {MOST_CYCLES:,} clock cycles at most"
        return Waves(path, 0, 0, NEVER, MOST_CYCLES), about
    name, step = place
    engine = [e.population.name for e in plan.engines].index(name)
    groups = plan.engines[engine].groups
    about = f"step {step} of '{name}', {MOST_CYCLES:,} clock cycles at most"
    first, last = max(step * groups - 1, 0), (step + 1) * groups
    return Waves(path, engine, first, last, MOST_CYCLES), about
