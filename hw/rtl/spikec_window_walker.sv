// Walks the places of a kernel that meet a pixel: lines of places, each of so many groups.
//
// As spikec_walker, but with a group of neurons for every word: along a line and from line to line
// the weight word goes up as the group goes down, both in constant steps.
module spikec_window_walker #(
    parameter [31:0] AB = 1,           // bits of an address
    parameter [31:0] GB = 1,           // bits of a group
    parameter [31:0] CB = 1,           // bits of a count
    parameter [31:0] VB = 1,           // bits of a value
    parameter [31:0] GROUPS = 1,       // words of a place
    parameter [31:0] LINE_WORDS = 0,   // steps from line to line
    parameter [31:0] LINE_GROUPS = 0,
    parameter [31:0] PLACE_WORDS = 0,  // steps along a line
    parameter [31:0] PLACE_GROUPS = 0
) (
    input  logic          clk,
    input  logic          rst,
    input  logic          next,
    input  logic          discard,
    input  logic          row_valid,
    output logic          row_ready,
    input  logic          row_eos,
    input  logic [AB-1:0] row_start,
    input  logic [GB-1:0] row_group,
    input  logic [CB-1:0] row_lines,
    input  logic [CB-1:0] row_places,
    input  logic [VB-1:0] row_value,
    output logic          word_valid,
    input  logic          word_ready,
    output logic [AB-1:0] word_address,
    output logic [GB-1:0] word_group,
    output logic [VB-1:0] word_value,
    output logic          event_taken,
    output logic          done
);
    localparam [31:0] NB = GROUPS > 1 ? $clog2(GROUPS) : 1;

    logic [CB-1:0] lines_left;
    logic [CB-1:0] places_left;
    logic [CB-1:0] places;
    logic [NB-1:0] groups_left;
    logic [AB-1:0] line_address;
    logic [GB-1:0] line_group;
    logic [AB-1:0] place_address;
    logic [GB-1:0] place_group;
    logic last;
    logic given;
    logic taken;

    assign last = (groups_left == '0) & (places_left == '0) & (lines_left == '0);
    assign given = word_valid & word_ready;
    assign row_ready = ~done & (~word_valid | (given & last));
    assign taken = row_valid & row_ready;
    assign event_taken = taken & ~row_eos;

    always_ff @(posedge clk) begin
        if (rst) begin
            word_valid <= 1'b0;
            done <= 1'b0;
        end else begin
            if (next) done <= 1'b0;
            else if (taken & row_eos) done <= 1'b1;
            if (event_taken & (row_lines != '0) & (row_places != '0) & ~discard) word_valid <= 1'b1;
            else if (given & last) word_valid <= 1'b0;
        end
        if (event_taken) begin
            word_address <= row_start;
            word_group <= row_group;
            place_address <= row_start;
            place_group <= row_group;
            line_address <= row_start;
            line_group <= row_group;
            word_value <= row_value;
            groups_left <= NB'(GROUPS - 1);
            places <= row_places - CB'(1);
            places_left <= row_places - CB'(1);
            lines_left <= row_lines - CB'(1);
        end else if (given & ~last) begin
            if (groups_left != '0) begin
                word_address <= word_address + AB'(1);
                word_group <= word_group + GB'(1);
                groups_left <= groups_left - NB'(1);
            end else if (places_left != '0) begin
                word_address <= place_address + AB'(PLACE_WORDS);
                word_group <= place_group - GB'(PLACE_GROUPS);
                place_address <= place_address + AB'(PLACE_WORDS);
                place_group <= place_group - GB'(PLACE_GROUPS);
                groups_left <= NB'(GROUPS - 1);
                places_left <= places_left - CB'(1);
            end else begin
                word_address <= line_address + AB'(LINE_WORDS);
                word_group <= line_group - GB'(LINE_GROUPS);
                place_address <= line_address + AB'(LINE_WORDS);
                place_group <= line_group - GB'(LINE_GROUPS);
                line_address <= line_address + AB'(LINE_WORDS);
                line_group <= line_group - GB'(LINE_GROUPS);
                groups_left <= NB'(GROUPS - 1);
                places_left <= places;
                lines_left <= lines_left - CB'(1);
            end
        end
    end
endmodule
