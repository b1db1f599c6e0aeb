"""Give every core of a mapping its tile, so that spikes take short ways.

The cost is the traffic between cores times the weighted hops of its way; see ``Mesh``. Only cores
that ``partition`` made are moved: a mapping of the user's own is kept.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from spikec.compiler.errors import SpikecError
from spikec.compiler.ir import Mapping, Program
from spikec.compiler.mapping.load import load
from spikec.compiler.mapping.placement import place
from spikec.compiler.passes.partition import demand_of, measured_rates
from spikec.compiler.pipeline import Context
from spikec.compiler.target import load_target


@dataclass(frozen=True, slots=True)
class Place:
    """Place cores on tiles.

    Attributes:
        seed: Of the search; equal seeds give equal places.
    """

    name: ClassVar[str] = "place"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            SpikecError: SPK1772.
        """
        if self.seed < 0:
            raise SpikecError("SPK1772", "place seed", "it is negative", "Use 0 or more")

    def run(self, program: Program, context: Context) -> Program:
        """Return the program with its cores placed; without a mapping it is left as it is."""
        mesh, mapping = load_target(program.target).mesh, program.mapping
        if mesh is None or mapping is None or "partition" not in program.reports:
            return program
        mesh = mesh.holding(mapping.size)
        rate = measured_rates(program, context)
        traffic = load(program, demand_of(program), rate).traffic
        places = place(traffic, mesh, self.seed)
        return replace(program, mapping=Mapping(places, mapping.seats))
