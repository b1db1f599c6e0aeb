"""Constraints and scripts for the tools of AMD, which were never run here: see docs.

``vivado.tcl`` builds the design alone, out of context, for its resources, timing and power;
``vivado_board.tcl`` builds a bitstream around it, with the processing system and a DMA.
"""

from collections.abc import Sequence

from spikec.backends.fpga.engines.registers import ADDRESS_BITS
from spikec.backends.fpga.names import comment
from spikec.backends.fpga.plan import Plan, Stream
from spikec.compiler.target import load_target

DEFAULT_CLOCK_HZ = 200e6
NETWORK = "network"  # names in the block design, which the driver looks for
DMA = "dma"
# Bits of the length of a DMA transfer (AXI DMA, PG021): as many as there are.
LENGTH_BITS = 26


def scripts(plan: Plan, names: Sequence[str], about: Sequence[str]) -> dict[str, str]:
    """Return constraints and scripts by their place in the build; none without a part.

    Args:
        plan: Of the design.
        names: All other files of the build.
        about: Lines for headers.
    """
    part = load_target(plan.program.target).device.get("part")
    if not part:
        return {}
    head = "\n".join("#" + comment(line)[2:] for line in about)
    clock = clock_hz(plan)
    made = {
        f"constraints/{plan.label}.xdc": _constraints(head, clock),
        "vivado.tcl": _vivado(plan, names, head, str(part)),
        "vivado_board.tcl": _board(plan, names, head, str(part), clock),
        "vivado_board.v": _wrapper(plan, about),
    }
    sources = [n for n in names if n.startswith("hls/") and n.endswith(".cpp")]
    if sources:
        made["vitis_hls.tcl"] = _hls(plan, sources, head, str(part), clock)
    return made


def clock_hz(plan: Plan) -> float:
    """Return the clock that the user asked for, or that of the target."""
    said = plan.program.reports.get("engines", {}).get("clock_hz")
    device = load_target(plan.program.target).device
    return float(said or device.get("clock_hz", DEFAULT_CLOCK_HZ))


def _period(clock: float) -> str:
    return f"{1e9 / clock:.3f}"


def _constraints(head: str, clock: float) -> str:
    return f"""{head}
# One clock. The reset is synchronous to it, and nothing crosses: there are no exceptions.
create_clock -name aclk -period {_period(clock)} [get_ports aclk]
"""


def _list(names: Sequence[str]) -> str:
    return "[list \\\n" + " \\\n".join(f"    {n}" for n in names) + "]"


def _begin(plan: Plan, names: Sequence[str], head: str, part: str, what: str, call: str) -> str:
    """Return the lines that name the sources; memories are looked for where Vivado runs."""
    rtl = sorted(n for n in names if n.startswith("rtl/") and n.endswith(".sv"))
    memories = sorted(n for n in names if n.startswith("mem/"))
    return f"""{head}
# {what} {call}
set build [file normalize [file dirname [info script]]]
set part {part}
set top {plan.label}
set sources {_list(rtl)}
set memories {_list(memories)}
foreach name [concat $sources $memories] {{
    if {{![file exists [file join $build $name]]}} {{ error "$name is missing from $build" }}
}}
# The RTL names its memories as mem/...: they must lie where Vivado runs.
if {{[file normalize [pwd]] ne $build}} {{
    file mkdir mem
    foreach name $memories {{ file copy -force [file join $build $name] mem }}
}}
set paths {{}}
foreach name $sources {{ lappend paths [file join $build $name] }}
"""


def _vivado(plan: Plan, names: Sequence[str], head: str, part: str) -> str:
    what = "Builds the design out of context:"
    begin = _begin(plan, names, head, part, what, "vivado -mode batch -source vivado.tcl")
    return f"""{begin}
read_verilog -sv $paths
read_xdc [file join $build constraints/{plan.label}.xdc]
synth_design -top $top -part $part -mode out_of_context
opt_design
place_design
phys_opt_design
route_design
report_utilization -file utilization.rpt
report_utilization -hierarchical -file utilization_hierarchical.rpt
report_timing_summary -file timing.rpt
# Without the activity of a simulation: vectorless.
report_power -file power.rpt
write_checkpoint -force $top.dcp
"""


def _board(plan: Plan, names: Sequence[str], head: str, part: str, clock: float) -> str:
    what = "Builds a bitstream:"
    begin = _begin(plan, names, head, part, what, "vivado -mode batch -source vivado_board.tcl")
    ins, outs = Stream(plan.inputs).bits, Stream(plan.outputs).bits
    return f"""{begin}
# All in one process and one synthesis, so that memories are found. No board preset: the processing
# system was configured when the board booted; of it only a clock, a port and a slave are used.
create_project -in_memory -part $part
read_verilog -sv $paths
read_verilog [file join $build vivado_board.v]
update_compile_order -fileset sources_1
create_bd_design system
set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
set_property -dict [list CONFIG.PSU__FPGA_PL0_ENABLE 1 \\
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ {clock / 1e6:g} \\
    CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 \\
    CONFIG.PSU__USE__S_AXI_GP2 1] $ps
set reset [create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset]
set dma [create_bd_cell -type ip -vlnv xilinx.com:ip:axi_dma {DMA}]
set_property -dict [list CONFIG.c_include_sg 0 CONFIG.c_sg_length_width {LENGTH_BITS} \\
    CONFIG.c_m_axis_mm2s_tdata_width {ins} CONFIG.c_m_axi_mm2s_data_width {ins} \\
    CONFIG.c_s_axis_s2mm_tdata_width {outs} CONFIG.c_m_axi_s2mm_data_width {outs}] $dma
set network [create_bd_cell -type module -reference {plan.label}_board {NETWORK}]
set control [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control]
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 2] $control
set data [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect data]
set_property -dict [list CONFIG.NUM_SI 2 CONFIG.NUM_MI 1] $data
foreach {{from to}} {{
    ps/M_AXI_HPM0_FPD control/S00_AXI
    control/M00_AXI {NETWORK}/s_axi
    control/M01_AXI {DMA}/S_AXI_LITE
    {DMA}/M_AXI_MM2S data/S00_AXI
    {DMA}/M_AXI_S2MM data/S01_AXI
    data/M00_AXI ps/S_AXI_HP0_FPD
    {DMA}/M_AXIS_MM2S {NETWORK}/s_axis
    {NETWORK}/m_axis {DMA}/S_AXIS_S2MM
}} {{ connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to] }}
foreach pin {{
    ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk reset/slowest_sync_clk control/aclk data/aclk
    {DMA}/s_axi_lite_aclk {DMA}/m_axi_mm2s_aclk {DMA}/m_axi_s2mm_aclk {NETWORK}/aclk
}} {{ connect_bd_net [get_bd_pins ps/pl_clk0] [get_bd_pins $pin] }}
connect_bd_net [get_bd_pins ps/pl_resetn0] [get_bd_pins reset/ext_reset_in]
foreach pin {{control/aresetn data/aresetn {DMA}/axi_resetn {NETWORK}/aresetn}} {{
    connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $pin]
}}
assign_bd_address
validate_bd_design
save_bd_design
set_property synth_checkpoint_mode None [get_files system.bd]
generate_target all [get_files system.bd]
read_verilog [make_wrapper -top -files [get_files system.bd]]
synth_design -top system_wrapper -part $part
opt_design
place_design
phys_opt_design
route_design
report_utilization -file utilization.rpt
report_timing_summary -file timing.rpt
report_power -file power.rpt
write_bitstream -force $top.bit
write_hw_platform -fixed -include_bit -force $top.xsa
"""


def _wrapper(plan: Plan, about: Sequence[str]) -> str:
    """Return the top module in Verilog, which a block design wants of what it refers to."""
    head = "\n".join(comment(line) for line in about)
    ins, outs, high = Stream(plan.inputs).bits, Stream(plan.outputs).bits, ADDRESS_BITS - 1
    ports = [
        ("input", 1, "aclk"),
        ("input", 1, "aresetn"),
        ("input", 1, "s_axis_tvalid"),
        ("output", 1, "s_axis_tready"),
        ("input", ins, "s_axis_tdata"),
        ("output", 1, "m_axis_tvalid"),
        ("input", 1, "m_axis_tready"),
        ("output", outs, "m_axis_tdata"),
        ("output", 1, "m_axis_tlast"),
        ("input", 1, "s_axi_awvalid"),
        ("output", 1, "s_axi_awready"),
        ("input", high + 1, "s_axi_awaddr"),
        ("input", 1, "s_axi_wvalid"),
        ("output", 1, "s_axi_wready"),
        ("input", 32, "s_axi_wdata"),
        ("output", 1, "s_axi_bvalid"),
        ("input", 1, "s_axi_bready"),
        ("output", 2, "s_axi_bresp"),
        ("input", 1, "s_axi_arvalid"),
        ("output", 1, "s_axi_arready"),
        ("input", high + 1, "s_axi_araddr"),
        ("output", 1, "s_axi_rvalid"),
        ("input", 1, "s_axi_rready"),
        ("output", 32, "s_axi_rdata"),
        ("output", 2, "s_axi_rresp"),
    ]
    attribute = (
        '    (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axi:s_axis:m_axis, '
        'ASSOCIATED_RESET aresetn" *)'
    )
    listed = ",\n".join(f"    {way} wire [{bits - 1}:0] {name}" for way, bits, name in ports)
    listed = listed.replace(" [0:0]", "")
    pins = ",\n".join(f"        .{name}({name})" for _, _, name in ports)
    return f"""{head}
// The design for a block design, which refers to modules in Verilog only.
module {plan.label}_board (
{attribute}
{listed}
);
    {plan.label} design_i (
{pins},
        .idle()
    );
endmodule
"""


def _hls(plan: Plan, sources: Sequence[str], head: str, part: str, clock: float) -> str:
    benches = [n for n in sources if n == "hls/tb.cpp"]
    adds = [f"add_files -cflags $flags [file join $build {n}]" for n in sources if n not in benches]
    adds += [f"add_files -tb -cflags $flags [file join $build {n}]" for n in benches]
    lines = "\n".join(adds)
    return f"""{head}
# C simulation, synthesis, co-simulation and export: vitis_hls -f vitis_hls.tcl
set build [file normalize [file dirname [info script]]]
set flags "-I[file join $build hls]"
open_project -reset hls_project
set_top {plan.label}
{lines}
open_solution -reset -flow_target vivado solution
set_part {part}
create_clock -period {_period(clock)} -name default
csim_design
csynth_design
cosim_design
export_design -format ip_catalog
"""
