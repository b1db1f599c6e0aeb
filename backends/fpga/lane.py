"""A pipelined SystemVerilog module from the equation of one population.

No neuron model is written here: the module is the lane's graph, one named wire per node. The port
conventions are in docs/backend_fpga.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from spikec.backends.fpga.names import Names, comment, mangle
from spikec.backends.fpga.ops import (
    Operand,
    declaration,
    declarations,
    statements,
    width,
)
from spikec.compiler.equation import Lane
from spikec.compiler.expr import Expr, topological
from spikec.compiler.ir import Population
from spikec.compiler.legalize import legalize, multiples
from spikec.compiler.types import Bool, Exact, Float

Role = Literal["input", "state", "param", "out", "next", "hit"]
LEAVES: dict[str, str] = {"input": "i_", "state": "s_", "param": "p_"}
# A DSP48E2 multiplies 27 by 18 bits.
PRODUCT = (18, 27)


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


@dataclass(frozen=True, slots=True, eq=False)
class LaneModule:
    """The text of a lane, and what is needed to connect it.

    Attributes:
        name: Of the module.
        text: SystemVerilog.
        latency: Clock cycles from inputs to outputs; 0 means that there is no ``clk``.
        inputs: Inputs, states and per-neuron parameters.
        outputs: ``out``, the next states, and a flag for every saturation.
        lane: The legalized lane.
    """

    name: str
    text: str
    latency: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    lane: Lane


def population_lane(population: Population, lane: Lane, per_stage: int | None) -> LaneModule:
    """Return the lane of a population; the header says what it was made from."""
    model = population.model()
    options = ", ".join(f"{k}={v}" for k, v in model.options().items())
    scalars = {n: t for n, t in model.parameters().items() if t.data.size == 1}
    numbers = ", ".join(f"{n}={t.data.flat[0]}/2^{t.frac}" for n, t in scalars.items())
    about = [f"population {population.name}: {model.kind}({options})", f"constants {numbers}"]
    about += [f"format {site} {form}" for site, form in population.formats.items()]
    return lane_module(population.name, lane, per_stage, about)


def lane_module(
    name: str, lane: Lane, per_stage: int | None = None, about: Sequence[str] = ()
) -> LaneModule:
    """Return the module of a lane.

    Args:
        name: Of the population; the module is ``lane_<name>``, mangled.
        lane: In integers.
        per_stage: Adders, comparators or products between two registers; None for none at all.
        about: Lines for the header.

    Raises:
        SpikecError: errors of ``legalize``.
    """
    return _Module(mangle(f"lane_{name}"), legalize(lane), per_stage, about).made()


def stages(nodes: Sequence[Expr], per_stage: int | None) -> dict[int, int]:
    """Return by id the stage of every node, by accumulated cost (expr.md section 6)."""
    depth: dict[int, int] = {}
    for node in nodes:
        depth[id(node)] = max((depth[id(a)] for a in node.args), default=0) + cost(node)
    if per_stage is None:
        return dict.fromkeys(depth, 0)
    return {key: max(d - 1, 0) // per_stage for key, d in depth.items()}


def cost(node: Expr) -> int:
    """Return 1 for an op with a carry chain or a table, more for a wide product, else 0."""
    if node.op == "mul":
        narrow, wide = sorted(width(a.dtype) for a in node.args)
        return 1 if narrow <= PRODUCT[0] and wide <= PRODUCT[1] else 3
    if node.op == "round":
        return int(node.value is not None and node.value[1:] != ("floor",))  # type: ignore[index]
    chains = ("add", "sub", "abs", "min", "max", "gt", "ge", "eq", "saturate", "lookup")
    return int(node.op in chains)


def saturating(lane: Lane) -> list[tuple[str, Expr]]:
    """Return every ``saturate`` node with the first state that depends on it."""
    owner: dict[int, tuple[str, Expr]] = {}
    for source, root in [*lane.states.items(), ("out", lane.output)]:
        for node in topological([root]):
            if node.op == "saturate":
                owner.setdefault(id(node), (source, node))
    return list(owner.values())


@dataclass
class _Module:
    name: str
    lane: Lane
    per_stage: int | None
    about: Sequence[str]
    names: Names = field(default_factory=lambda: Names(("clk", "out")))
    wires: dict[int, Operand] = field(default_factory=dict[int, Operand])
    registers: dict[tuple[int, str], Operand] = field(default_factory=dict[tuple[int, str], Operand])
    dropped: set[str] = field(default_factory=set[str])

    def made(self) -> LaneModule:
        """Return the module."""
        self.nodes = topological(self.lane.roots())
        self.stage = stages(self.nodes, self.per_stage)
        self.latency = max(self.stage[id(r)] for r in self.lane.roots())
        self.multiples = multiples(self.lane.roots())
        inputs = self._inputs()
        body = [line for node in self.nodes for line in self._node(node)]
        outputs, ends = self._outputs()
        lines = [*self._header(inputs, outputs), *self._declarations(), "", *body, "", *ends]
        text = "\n".join(["", *lines, *self._clocked(), "endmodule", ""]).lstrip("\n")
        return LaneModule(self.name, text, self.latency, inputs, outputs, self.lane)

    def _inputs(self) -> tuple[Port, ...]:
        """Return a port for every input of the neuron, used or not, and every other leaf."""
        leaves = {(n.op, str(n.value)): n for n in self.nodes if n.op in LEAVES}
        wanted: dict[tuple[str, str], Float | Bool | Exact] = {}
        wanted |= {("input", port): t for port, t in self.lane.ports.items()}
        wanted |= {("state", state): root.dtype for state, root in self.lane.states.items()}
        wanted |= {key: node.dtype for key, node in leaves.items()}
        ports: list[Port] = []
        for role in ("input", "state", "param"):
            for (kind, source), dtype in wanted.items():
                if kind != role:
                    continue
                assert not isinstance(dtype, Float)
                port = Port(self.names.take(LEAVES[kind], source), role, source, dtype)
                ports.append(port)
                if (kind, source) in leaves:
                    self.wires[id(leaves[kind, source])] = Operand(port.name, dtype)
                else:
                    self.dropped.add(port.name)
        return tuple(ports)

    def _node(self, node: Expr) -> list[str]:
        """Name a node and return its lines."""
        if node.op == "const":
            assert isinstance(node.value, int)
            assert not isinstance(node.dtype, Float)
            self.wires[id(node)] = Operand("", node.dtype, node.value)
            return []
        if not node.args:
            return []
        if node.op == "shift":
            self.wires[id(node)] = self.wires[id(node.args[0])]
            return []
        name = self._named(node)
        operands = [self._at(a, self.stage[id(node)]) for a in node.args]
        for wire, dtype in declarations(node, name):
            self.declared.append((wire, dtype))
        if node.op not in ("saturate", "gt", "ge", "eq", "lookup", "round"):
            self.dropped |= {a.name for a in operands if a.width > width(node.dtype)}
        return [f"    {line}" for line in statements(node, name, operands)]

    declared: list[tuple[str, Bool | Exact]] = field(
        default_factory=list[tuple[str, Bool | Exact]]
    )

    def _named(self, node: Expr) -> str:
        """Return w<n>, or x<p>_<wire> for a multiple of a wire."""
        assert not isinstance(node.dtype, Float)
        if id(node) in self.multiples:
            p, x = self.multiples[id(node)]
            factor = f"x{p}" if p > 0 else f"xm{-p}"
            name = self.names.take(f"{factor}_", self.wires[id(x)].name)
        else:
            name = self.names.take("w", str(self.numbered))
            self.numbered += 1
        self.wires[id(node)] = Operand(name, node.dtype)
        return name

    numbered: int = 0

    def _at(self, node: Expr, stage: int) -> Operand:
        """Return the wire of a node as it is known in a stage: behind registers if need be."""
        return self._delayed(self.wires[id(node)], self.stage[id(node)], stage)

    def _delayed(self, wire: Operand, made: int, stage: int) -> Operand:
        if wire.value is not None or made >= stage:
            return wire
        for k in range(made + 1, stage + 1):
            self.registers.setdefault((k, f"r{k}_{wire.name}"), wire)
        return Operand(f"r{stage}_{wire.name}", wire.dtype)

    def _outputs(self) -> tuple[tuple[Port, ...], list[str]]:
        """Return the output ports and the lines that drive them."""
        used = {str(n.value): n.dtype for n in self.nodes if n.op == "state"}
        ports: list[Port] = []
        lines: list[str] = []
        roots = [("out", "out", self.lane.output)]
        roots += [("next", state, root) for state, root in self.lane.states.items()]
        for role, source, root in roots:
            dtype = used.get(source, root.dtype) if role == "next" else root.dtype
            assert not isinstance(dtype, Float)
            name = "out" if role == "out" else self.names.take("n_", source)
            ports.append(Port(name, "out" if role == "out" else "next", source, dtype))
            wire = self._at(root, self.latency)
            lines.append(f"    assign {name} = {self._driver(wire, dtype)};")
        for source, node in saturating(self.lane):
            name = self.names.take("hit_", source)
            ports.append(Port(name, "hit", source, Bool()))
            act = Operand(f"act_{self.wires[id(node)].name}", Bool())
            wire = self._delayed(act, self.stage[id(node)], self.latency)
            lines.append(f"    assign {name} = {wire.name};")
        return tuple(ports), lines

    def _driver(self, wire: Operand, dtype: Bool | Exact) -> str:
        if isinstance(dtype, Bool):
            return wire.name if wire.value is None else f"1'b{wire.value}"
        return wire.at(width(dtype))

    def _header(self, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> list[str]:
        shown = [comment(line) for line in ("Generated by spikec.", *self.about)]
        shown.append(comment(f"latency {self.latency}"))
        ports = ["    input  logic clk"] if self.latency else []
        for direction, listed in (("input ", inputs), ("output", outputs)):
            for p in listed:
                ports.append(f"    {direction} {declaration(p.name, p.dtype)}")
        quiet = [p.name in self.dropped for p in inputs]
        rows: list[str] = []
        offset = 1 if self.latency else 0
        for k, text in enumerate(ports):
            text = text if k == len(ports) - 1 else f"{text},"
            silent = offset <= k < offset + len(inputs) and quiet[k - offset]
            rows += _silenced(text) if silent else [text]
        return [*shown, f"module {self.name} (", *rows, ");"]

    def _declarations(self) -> list[str]:
        listed = [*self.declared]
        listed += [(name, wire.dtype) for (_, name), wire in sorted(self.registers.items())]
        lines: list[str] = []
        for name, dtype in listed:
            text = f"    {declaration(name, dtype)};"
            lines += _silenced(text) if name in self.dropped else [text]
        return lines

    def _clocked(self) -> list[str]:
        """Return one always_ff per stage."""
        lines: list[str] = []
        for stage in range(1, self.latency + 1):
            mine = sorted((n, w) for (k, n), w in self.registers.items() if k == stage)
            if mine:
                lines += ["", "    always_ff @(posedge clk) begin"]
                for name, wire in mine:
                    before = f"r{stage - 1}_{wire.name}"
                    source = before if (stage - 1, before) in self.registers else wire.name
                    lines.append(f"        {name} <= {source};")
                lines.append("    end")
        return lines


def _silenced(text: str) -> list[str]:
    """Return a declaration of which high bits, or all, are not read."""
    return [
        "    /* verilator lint_off UNUSEDSIGNAL */",
        text,
        "    /* verilator lint_on UNUSEDSIGNAL */",
    ]
