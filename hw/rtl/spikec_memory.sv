// A memory with one port to write and one to read. Data come one clock edge after the address.
module spikec_memory #(
    parameter [31:0] WIDTH = 8,
    parameter [31:0] DEPTH = 2,
    parameter [31:0] AB = 1   // bits of an address
) (
    input  logic             clk,
    input  logic             write,
    input  logic [AB-1:0]    write_address,
    input  logic [WIDTH-1:0] write_data,
    input  logic [AB-1:0]    read_address,
    output logic [WIDTH-1:0] read_data
);
    logic [WIDTH-1:0] memory [0:DEPTH-1];

    always_ff @(posedge clk) begin
        if (write) memory[write_address] <= write_data;
        read_data <= memory[read_address];
    end
endmodule
