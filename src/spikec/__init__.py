"""spikec: compile spiking networks to neuromorphic hardware, exactly."""

from spikec.compiler.artifact import emit
from spikec.compiler.artifact import open_folder as open  # spikec.open, as numpy.open
from spikec.compiler.energy import EnergyReport, profile
from spikec.compiler.errors import Finding, SpikecError
from spikec.compiler.frontends import load
from spikec.compiler.frontends.nir_out import to_nir
from spikec.compiler.ir import (
    Core,
    Graph,
    Input,
    Mapping,
    Output,
    Population,
    Program,
    Projection,
    Slice,
    Trace,
)
from spikec.compiler.neurons.adaptive_lif import AdaptiveLIF
from spikec.compiler.neurons.adex_lif import AdExLIF
from spikec.compiler.neurons.alpha_lif import AlphaLIF
from spikec.compiler.neurons.conductance_lif import ConductanceLIF
from spikec.compiler.neurons.cuba_leaky_integrator import (
    ContinuousCubaLeakyIntegrator,
    CubaLeakyIntegrator,
)
from spikec.compiler.neurons.cuba_lif import ContinuousCubaLIF, CubaLIF
from spikec.compiler.neurons.euler_cuba_lif import EulerCubaLIF
from spikec.compiler.neurons.euler_lif import EulerLIF
from spikec.compiler.neurons.integrate_and_fire import (
    ContinuousIntegrateAndFire,
    IntegrateAndFire,
)
from spikec.compiler.neurons.integrator import ContinuousIntegrator, Integrator
from spikec.compiler.neurons.last_spike import LastSpike
from spikec.compiler.neurons.leaky_integrator import ContinuousLeakyIntegrator, LeakyIntegrator
from spikec.compiler.neurons.lif import LIF, ContinuousLIF
from spikec.compiler.neurons.lsnn import LSNN
from spikec.compiler.neurons.nalsm_lif import NalsmLIF
from spikec.compiler.neurons.refractory_lif import RefractoryLIF
from spikec.compiler.neurons.relay import Relay
from spikec.compiler.neurons.threshold import Threshold
from spikec.compiler.neurons.two_point import ReceptiveField, TwoPoint, UniversalContext
from spikec.compiler.pipeline import compile_graph as compile
from spikec.compiler.relu_conversion import Conversion, convert
from spikec.compiler.semantics import Semantics
from spikec.compiler.simulator import Simulator, simulate
from spikec.compiler.synapses import (
    AllButSelf,
    Conv1d,
    Conv2d,
    Dense,
    DistanceDependent,
    FixedProbability,
    OneToOne,
    Pool2d,
    Sparse,
)
from spikec.compiler.types import FixedPoint, Format, Tensor

__all__ = [
    "LIF",
    "LSNN",
    "AdExLIF",
    "AdaptiveLIF",
    "AllButSelf",
    "AlphaLIF",
    "ConductanceLIF",
    "ContinuousCubaLIF",
    "ContinuousCubaLeakyIntegrator",
    "ContinuousIntegrateAndFire",
    "ContinuousIntegrator",
    "ContinuousLIF",
    "ContinuousLeakyIntegrator",
    "Conv1d",
    "Conv2d",
    "Conversion",
    "Core",
    "CubaLIF",
    "CubaLeakyIntegrator",
    "Dense",
    "DistanceDependent",
    "EnergyReport",
    "EulerCubaLIF",
    "EulerLIF",
    "Finding",
    "FixedPoint",
    "FixedProbability",
    "Format",
    "Graph",
    "Input",
    "IntegrateAndFire",
    "Integrator",
    "LastSpike",
    "LeakyIntegrator",
    "Mapping",
    "NalsmLIF",
    "OneToOne",
    "Output",
    "Pool2d",
    "Population",
    "Program",
    "Projection",
    "ReceptiveField",
    "RefractoryLIF",
    "Relay",
    "Semantics",
    "Simulator",
    "Slice",
    "Sparse",
    "SpikecError",
    "Tensor",
    "Threshold",
    "Trace",
    "TwoPoint",
    "UniversalContext",
    "compile",
    "convert",
    "emit",
    "load",
    "open",
    "profile",
    "simulate",
    "to_nir",
]
