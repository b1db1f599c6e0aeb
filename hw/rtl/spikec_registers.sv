// Registers of a design, AXI4-Lite, 32 bits. Bytes cannot be written singly; others read as zero.
//
//   0x00 R  "SPKC"
//   0x04 R  first 32 bits of the hash of the program
//   0x08 W  bit 0: restart, a new sample; bit 1: all counters to zero
//   0x0c R  bit 0: idle; bit 1: an event came for no input
//   0x10 RW number of a counter: engine * 16 + counter
//   0x14 R  its low 32 bits
//   0x18 R  its high bits
module spikec_registers #(
    parameter [31:0] HASH = 0,
    parameter [31:0] SB = 5,   // bits of the number of a counter
    parameter [31:0] CB = 48   // bits of a counter
) (
    input  logic          clk,
    input  logic          rst,
    input  logic          awvalid,
    output logic          awready,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic [4:0]    awaddr,
    /* verilator lint_on UNUSEDSIGNAL */
    input  logic          wvalid,
    output logic          wready,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic [31:0]   wdata,
    /* verilator lint_on UNUSEDSIGNAL */
    output logic          bvalid,
    input  logic          bready,
    input  logic          arvalid,
    output logic          arready,
    /* verilator lint_off UNUSEDSIGNAL */
    input  logic [4:0]    araddr,
    /* verilator lint_on UNUSEDSIGNAL */
    output logic          rvalid,
    input  logic          rready,
    output logic [31:0]   rdata,
    input  logic          idle,
    input  logic          bad_id,
    output logic          restart,
    output logic          clear,
    output logic [SB-1:0] select,
    input  logic [CB-1:0] counter
);
    logic writes;
    logic reads;
    logic [63:0] counted;

    assign writes = awvalid & wvalid & ~bvalid;
    assign awready = writes;
    assign wready = writes;
    assign arready = ~rvalid;
    assign reads = arvalid & arready;
    assign counted = 64'(counter);

    always_ff @(posedge clk) begin
        restart <= writes & ~rst & (awaddr[4:2] == 3'd2) & wdata[0];
        clear <= writes & ~rst & (awaddr[4:2] == 3'd2) & wdata[1];
        if (rst) begin
            bvalid <= 1'b0;
            rvalid <= 1'b0;
            select <= '0;
        end else begin
            if (writes) bvalid <= 1'b1;
            else if (bready) bvalid <= 1'b0;
            if (writes & (awaddr[4:2] == 3'd4)) select <= SB'(wdata);
            if (reads) rvalid <= 1'b1;
            else if (rready) rvalid <= 1'b0;
        end
        if (reads) begin
            case (araddr[4:2])
                3'd0: rdata <= 32'h53504b43;
                3'd1: rdata <= 32'(HASH);
                3'd3: rdata <= {30'd0, bad_id, idle};
                3'd4: rdata <= 32'(select);
                3'd5: rdata <= counted[31:0];
                3'd6: rdata <= counted[63:32];
                default: rdata <= '0;
            endcase
        end
    end
endmodule
