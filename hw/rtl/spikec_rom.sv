// A memory with fixed contents. Data come one clock edge after the address, two with OUTPUT.
module spikec_rom #(
    parameter [31:0] WIDTH = 8,
    parameter [31:0] DEPTH = 2,
    parameter [31:0] AB = 1,       // bits of the address
    parameter [31:0] OUTPUT = 0,   // 1: with an output register
    /* verilator lint_off UNUSEDPARAM */
    parameter STYLE = "auto",            // block: block RAM, also where logic would do
    /* verilator lint_on UNUSEDPARAM */
    parameter INIT = ""         // hexadecimal file, one word a line
) (
    input  logic             clk,
    input  logic [AB-1:0]    address,
    output logic [WIDTH-1:0] data
);
    (* rom_style = STYLE *)
    logic [WIDTH-1:0] memory [0:DEPTH-1];
    logic [WIDTH-1:0] word;

    initial $readmemh(INIT, memory);

    always_ff @(posedge clk) word <= memory[address];

    if (OUTPUT != 0) begin : g_output
        logic [WIDTH-1:0] held;
        always_ff @(posedge clk) held <= word;
        assign data = held;
    end else begin : g_direct
        assign data = word;
    end
endmodule
