// Turns events of one channel into the addresses of their weight words.
//
// An event is taken together with the address of its first word and their number; then one word
// is offered per clock cycle, without a gap between events. An event without words takes one cycle.
// The end-of-step word sets done; nothing more is taken until next.
module spikec_walker #(
    parameter [31:0] AB = 1,   // bits of an address
    parameter [31:0] CB = 1,   // bits of the number of words
    parameter [31:0] VB = 1    // bits of the value of an event
) (
    input  logic          clk,
    input  logic          rst,
    input  logic          next,
    input  logic          row_valid,
    output logic          row_ready,
    input  logic          row_eos,
    input  logic [AB-1:0] row_start,
    input  logic [CB-1:0] row_words,
    input  logic [VB-1:0] row_value,
    output logic          word_valid,
    input  logic          word_ready,
    output logic [AB-1:0] word_address,
    output logic [CB-1:0] word_index,
    output logic [VB-1:0] word_value,
    output logic          event_taken,
    output logic          done
);
    logic [CB-1:0] left;   // words after this one
    logic given;
    logic taken;

    assign given = word_valid & word_ready;
    assign row_ready = ~done & (~word_valid | (given & (left == '0)));
    assign taken = row_valid & row_ready;
    assign event_taken = taken & ~row_eos;

    always_ff @(posedge clk) begin
        if (rst) begin
            word_valid <= 1'b0;
            done <= 1'b0;
        end else begin
            if (next) done <= 1'b0;
            else if (taken & row_eos) done <= 1'b1;
            if (event_taken & (row_words != '0)) word_valid <= 1'b1;
            else if (given & (left == '0)) word_valid <= 1'b0;
        end
        if (event_taken) begin
            word_address <= row_start;
            word_index <= '0;
            word_value <= row_value;
            left <= row_words - CB'(1);
        end else if (given & (left != '0)) begin
            word_address <= word_address + AB'(1);
            word_index <= word_index + CB'(1);
            left <= left - CB'(1);
        end
    end
endmodule
