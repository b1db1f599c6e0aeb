"""A test bench in SystemVerilog that checks itself, for any simulator: tb/selftest.sv."""

from spikec.backends.fpga.names import comment
from spikec.backends.fpga.plan import Plan, Stream

# Clock cycles for each word of the stimulus, beyond which the design hangs.
CYCLES = 100_000


def selftest(plan: Plan, about: list[str], sent: int, wanted: int) -> str:
    """Return the text.

    Args:
        plan: Of the design.
        about: Lines for the header.
        sent: Words of tb/stimulus.hex.
        wanted: Words of tb/expected.hex.
    """
    ins, outs = Stream(plan.inputs).bits, Stream(plan.outputs).bits
    head = "\n".join(comment(line) for line in about)
    return f"""{head}
// Sends tb/stimulus.hex and compares with tb/expected.hex, in each step in any order. Prints PASS,
// or FAIL and why. Run it from the folder of the build.
`timescale 1ns / 1ps
module selftest;
    localparam int SENT = {sent};
    localparam int WANTED = {wanted};

    logic aclk = 1'b0;
    logic aresetn = 1'b0;
    logic s_axis_tvalid;
    logic s_axis_tready;
    logic m_axis_tvalid;
    logic m_axis_tlast;
    logic [{outs - 1}:0] m_axis_tdata;
    logic idle;

    logic [{ins - 1}:0] stimulus [0:SENT-1];
    logic [{outs - 1}:0] expected [0:WANTED-1];
    logic [WANTED-1:0] met = '0;
    int at = 0;        // words sent
    int step = 0;      // first word of the step that is awaited
    int received = 0;
    int cycles = 0;
    int found;
    int k;

    initial $readmemh("tb/stimulus.hex", stimulus);
    initial $readmemh("tb/expected.hex", expected);
    always #5 aclk = ~aclk;
    initial #102 aresetn = 1'b1;

    assign s_axis_tvalid = aresetn && at < SENT;

    {plan.label} dut (
        .aclk, .aresetn, .s_axis_tvalid, .s_axis_tready,
        .s_axis_tdata(stimulus[at < SENT ? at : 0]),
        .m_axis_tvalid, .m_axis_tready(1'b1), .m_axis_tdata, .m_axis_tlast, .idle,
        .s_axi_awvalid(1'b0), .s_axi_awready(), .s_axi_awaddr(6'd0), .s_axi_wvalid(1'b0),
        .s_axi_wready(), .s_axi_wdata(32'd0), .s_axi_bvalid(), .s_axi_bready(1'b1),
        .s_axi_bresp(), .s_axi_arvalid(1'b0), .s_axi_arready(), .s_axi_araddr(6'd0),
        .s_axi_rvalid(), .s_axi_rready(1'b1), .s_axi_rdata(), .s_axi_rresp()
    );

    always @(posedge aclk) begin
        cycles = cycles + 1;
        if (m_axis_tvalid && aresetn) begin
            // The word must be one of the step that was not met yet; eos comes after all others.
            found = -1;
            for (k = step; k < WANTED && found < 0; k = k + 1) begin
                if (!met[k] && expected[k] == m_axis_tdata) found = k;
                if (expected[k][{outs - 1}]) k = WANTED;
            end
            if (found >= 0 && m_axis_tlast) begin
                for (k = step; k < found; k = k + 1) if (!met[k]) found = -1;
            end
            if (found < 0) begin
                $display("FAIL word %h, number %0d, was not expected", m_axis_tdata, received);
                $finish;
            end else begin
                met[found] = 1'b1;
                if (m_axis_tlast) step = found + 1;
            end
            received = received + 1;
        end
        if (s_axis_tvalid && s_axis_tready) at <= at + 1;
        if (step == WANTED && at == SENT && idle) begin
            $display("PASS %0d words in %0d cycles", received, cycles);
            $finish;
        end else if (cycles > {CYCLES} * (SENT + 1)) begin
            $display("FAIL %0d of %0d words came, then nothing", received, WANTED);
            $finish;
        end
    end
endmodule
"""
