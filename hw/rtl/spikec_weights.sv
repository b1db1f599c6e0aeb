// A memory with initial contents that the host may replace. Data come two clock edges after the
// address. A write while a word is read may give either.
module spikec_weights #(
    parameter [31:0] WIDTH = 8,
    parameter [31:0] DEPTH = 2,
    parameter [31:0] AB = 1,       // bits of an address
    parameter INIT = ""         // hexadecimal file, one word a line
) (
    input  logic             clk,
    input  logic             write,
    input  logic [AB-1:0]    write_address,
    input  logic [WIDTH-1:0] write_data,
    input  logic [AB-1:0]    address,
    output logic [WIDTH-1:0] data
);
    logic [WIDTH-1:0] memory [0:DEPTH-1];
    logic [WIDTH-1:0] word;

    initial $readmemh(INIT, memory);

    always_ff @(posedge clk) begin
        if (write) memory[write_address] <= write_data;
        word <= memory[address];
        data <= word;
    end
endmodule
