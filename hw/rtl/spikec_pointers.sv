// Looks up where the weight words of an event begin and how many there are.
//
// Takes an event per clock cycle as long as the walker behind it does.
module spikec_pointers #(
    parameter [31:0] SOURCES = 2,
    parameter [31:0] IB = 1,   // bits of an id
    parameter [31:0] AB = 1,   // bits of an address
    parameter [31:0] CB = 1,   // bits of a number of words
    parameter [31:0] VB = 1,   // bits of a value
    parameter INIT = ""     // hexadecimal file, {words, start} a line
) (
    input  logic          clk,
    input  logic          rst,
    input  logic          in_valid,
    output logic          in_ready,
    input  logic          in_eos,
    input  logic [IB-1:0] in_id,
    input  logic [VB-1:0] in_value,
    output logic          row_valid,
    input  logic          row_ready,
    output logic          row_eos,
    output logic [AB-1:0] row_start,
    output logic [CB-1:0] row_words,
    output logic [VB-1:0] row_value
);
    logic [AB+CB-1:0] memory [0:SOURCES-1];
    logic [AB+CB-1:0] pointer;

    initial $readmemh(INIT, memory);

    assign in_ready = ~row_valid | row_ready;
    assign {row_words, row_start} = pointer;

    always_ff @(posedge clk) begin
        if (in_ready) begin
            pointer <= memory[in_id];
            row_eos <= in_eos;
            row_value <= in_value;
        end
        if (rst) row_valid <= 1'b0;
        else if (in_ready) row_valid <= in_valid;
    end
endmodule
