"""The ports of a lane and the names of its wires, for SystemVerilog and C++ alike."""

from dataclasses import dataclass
from typing import Literal

from spikec.backends.fpga.names import Names
from spikec.compiler.equation import Lane
from spikec.compiler.expr import Expr, topological
from spikec.compiler.ir import Population
from spikec.compiler.legalize import multiples
from spikec.compiler.types import Bool, Exact, Float

Role = Literal["input", "state", "param", "out", "next", "hit"]
LEAVES: tuple[tuple[Role, str], ...] = (("input", "i_"), ("state", "s_"), ("param", "p_"))


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a lane: a flat vector.

    Attributes:
        name: Its identifier.
        role: What it is.
        source: The port, state or parameter of the neuron; of a hit the state it belongs to.
        dtype: Bool, or the interval of the signed integer.
    """

    name: str
    role: Role
    source: str
    dtype: Bool | Exact

    @property
    def width(self) -> int:
        """Bits of the vector."""
        return width(self.dtype)


@dataclass(frozen=True, slots=True)
class Operand:
    """A wire, or a constant.

    Attributes:
        name: Its identifier; of a constant nothing is read.
        dtype: Its interval.
        value: The stored integer of a constant, else None.
    """

    name: str
    dtype: Bool | Exact
    value: int | None = None

    @property
    def width(self) -> int:
        """Bits of the wire."""
        return width(self.dtype)


def width(dtype: Float | Bool | Exact) -> int:
    """Return the bits of a wire."""
    assert not isinstance(dtype, Float)
    return 1 if isinstance(dtype, Bool) else dtype.width


class Wires:
    """The named graph of a legalized lane.

    Attributes:
        nodes: Operands before users.
        inputs: A port for every input of the neuron, used or not, for every state and parameter.
        unused: Names of the inputs that the equation does not read.
        outputs: Every output port with the wire that drives it and the node that makes the wire.
    """

    def __init__(self, lane: Lane) -> None:
        """Name everything."""
        self.nodes = topological(lane.roots())
        self._names = Names(("clk", "out"))
        self._of: dict[int, Operand] = {}
        self.unused: set[str] = set()
        self.inputs = tuple(self._inputs(lane))
        self._name_nodes(multiples(lane.roots()))
        self.outputs = tuple(self._outputs(lane))

    def __getitem__(self, node: Expr) -> Operand:
        """Return the wire of a node."""
        return self._of[id(node)]

    def _inputs(self, lane: Lane) -> list[Port]:
        leaves = {(n.op, str(n.value)): n for n in self.nodes if n.op in dict(LEAVES)}
        wanted: dict[tuple[str, str], Float | Bool | Exact] = {
            **{("input", port): t for port, t in lane.ports.items()},
            **{("state", state): root.dtype for state, root in lane.states.items()},
        }
        wanted |= {key: node.dtype for key, node in leaves.items()}
        ports: list[Port] = []
        for role, prefix in LEAVES:
            for source in [source for kind, source in wanted if kind == role]:
                dtype = wanted[role, source]
                assert not isinstance(dtype, Float)
                port = Port(self._names.take(prefix, source), role, source, dtype)
                ports.append(port)
                if (role, source) in leaves:
                    self._of[id(leaves[role, source])] = Operand(port.name, dtype)
                else:
                    self.unused.add(port.name)
        return ports

    def _name_nodes(self, known: dict[int, tuple[int, Expr]]) -> None:
        """Name the rest: w<n>, or x<p>_<wire> for p times a wire. A shift changes no bit."""
        number = 0
        for node in self.nodes:
            assert not isinstance(node.dtype, Float)
            if node.op == "const":
                assert isinstance(node.value, int)
                self._of[id(node)] = Operand("", node.dtype, node.value)
            elif node.op == "shift":
                self._of[id(node)] = self[node.args[0]]
            elif node.args and id(node) in known:
                p, x = known[id(node)]
                prefix = f"x{p}_" if p > 0 else f"xm{-p}_"
                self._of[id(node)] = Operand(self._names.take(prefix, self[x].name), node.dtype)
            elif node.args:
                self._of[id(node)] = Operand(self._names.take("w", str(number)), node.dtype)
                number += 1

    def _outputs(self, lane: Lane) -> list[tuple[Port, Operand, Expr]]:
        stored = {p.source: p.dtype for p in self.inputs if p.role == "state"}
        assert not isinstance(lane.output.dtype, Float)
        out = Port("out", "out", "out", lane.output.dtype)
        made = [(out, self[lane.output], lane.output)]
        for state, root in lane.states.items():
            port = Port(self._names.take("n_", state), "next", state, stored[state])
            made.append((port, self[root], root))
        for state, node in saturating(lane):
            port = Port(self._names.take("hit_", state), "hit", state, Bool())
            made.append((port, acted(self[node]), node))
        return made


def saturating(lane: Lane) -> list[tuple[str, Expr]]:
    """Return every ``saturate`` node with the first state that depends on it, or ``out``."""
    owner: dict[int, tuple[str, Expr]] = {}
    for source, root in [*lane.states.items(), ("out", lane.output)]:
        for node in topological([root]):
            if node.op == "saturate":
                owner.setdefault(id(node), (source, node))
    return list(owner.values())


def acted(wire: Operand) -> Operand:
    """Return the flag beside a saturated wire."""
    return Operand(f"act_{wire.name}", Bool())


def describe_population(population: Population) -> list[str]:
    """Return lines that say what a lane was made from."""
    model = population.model()
    options = ", ".join(f"{k}={v}" for k, v in model.options().items())
    scalars = {n: t for n, t in model.parameters().items() if t.data.size == 1}
    numbers = ", ".join(f"{n}={t.data.flat[0]}/2^{t.frac}" for n, t in scalars.items())
    about = [f"population {population.name}: {model.kind}({options})", f"constants {numbers}"]
    return about + [f"format {site} {form}" for site, form in population.formats.items()]
