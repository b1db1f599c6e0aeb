// A memory that the host may write. Data come two clock edges after the address. A write while a
// word is read may give either. Ultra RAM has no initial contents: there the host must write all
// words before it starts the design. A simulation begins as if it had.
module spikec_weights #(
    parameter [31:0] WIDTH = 8,
    parameter [31:0] DEPTH = 2,
    parameter [31:0] AB = 1,       // bits of an address
    /* verilator lint_off UNUSEDPARAM */
    parameter STYLE = "auto",      // ultra: ultra RAM
    parameter [31:0] FILLED = 1,   // 0: no initial contents
    /* verilator lint_on UNUSEDPARAM */
    parameter INIT = ""         // hexadecimal file, one word a line
) (
    input  logic             clk,
    input  logic             write,
    input  logic [AB-1:0]    write_address,
    input  logic [WIDTH-1:0] write_data,
    input  logic [AB-1:0]    address,
    output logic [WIDTH-1:0] data
);
    (* ram_style = STYLE *)
    logic [WIDTH-1:0] memory [0:DEPTH-1];
    logic [WIDTH-1:0] word;

`ifdef SYNTHESIS
    if (FILLED != 0) begin : g_filled
        initial $readmemh(INIT, memory);
    end
`else
    initial $readmemh(INIT, memory);
`endif

    always_ff @(posedge clk) begin
        if (write) memory[write_address] <= write_data;
        word <= memory[address];
        data <= word;
    end
endmodule
