// Splits the id of an event at a pixel into channel, row and column, and looks up what each means.
//
// A table entry is {count, group, word}: how many places of the kernel meet the pixel along an axis,
// the group of neurons and the weight word of the first of them. A quotient by a constant is a
// product and a shift, which the compiler has tried for every id.
module spikec_window_rows #(
    parameter [31:0] IB = 1,          // bits of an id
    parameter [31:0] VB = 1,          // bits of a value
    parameter [31:0] AB = 1,          // bits of a weight word address
    parameter [31:0] GB = 1,          // bits of a group
    parameter [31:0] CB = 1,          // bits of a count
    parameter [31:0] CHANNELS = 1,
    parameter [31:0] ROWS = 1,
    parameter [31:0] COLUMNS = 1,
    parameter [31:0] IMAGE_FACTOR = 1,
    parameter [31:0] IMAGE_SHIFT = 0,
    parameter [31:0] ROW_FACTOR = 1,
    parameter [31:0] ROW_SHIFT = 0,
    parameter INIT_CHANNELS = "",
    parameter INIT_ROWS = "",
    parameter INIT_COLUMNS = ""
) (
    input  logic          clk,
    input  logic          rst,
    input  logic          in_valid,
    output logic          in_ready,
    input  logic          in_eos,
    input  logic [IB-1:0] in_id,
    input  logic [VB-1:0] in_value,
    output logic          busy,
    output logic          row_valid,
    input  logic          row_ready,
    output logic          row_eos,
    output logic [AB-1:0] row_start,
    output logic [GB-1:0] row_group,
    output logic [CB-1:0] row_lines,
    output logic [CB-1:0] row_places,
    output logic [VB-1:0] row_value
);
    localparam [31:0] TB = CB + GB + AB;
    localparam [31:0] PIXELS = ROWS * COLUMNS;
    localparam [31:0] KB = CHANNELS > 1 ? $clog2(CHANNELS) : 1;
    localparam [31:0] YB = ROWS > 1 ? $clog2(ROWS) : 1;
    localparam [31:0] XB = COLUMNS > 1 ? $clog2(COLUMNS) : 1;

    logic [TB-1:0] channels [0:CHANNELS-1];
    logic [TB-1:0] rows [0:ROWS-1];
    logic [TB-1:0] columns [0:COLUMNS-1];
    initial $readmemh(INIT_CHANNELS, channels);
    initial $readmemh(INIT_ROWS, rows);
    initial $readmemh(INIT_COLUMNS, columns);

    // One stage each: channel, row and column, tables. They move together.
    logic move;
    logic [2:0] valid;
    logic [2:0] eos;
    logic [VB-1:0] value_a;
    logic [VB-1:0] value_b;
    logic [VB-1:0] value_c;
    logic [63:0] image;
    logic [63:0] line;
    logic [KB-1:0] channel_a;
    logic [KB-1:0] channel_b;
    logic [IB-1:0] pixel;
    logic [YB-1:0] row_b;
    logic [XB-1:0] column_b;
    logic [TB-1:0] of_channel;
    logic [TB-1:0] of_row;
    logic [TB-1:0] of_column;

    assign move = ~valid[2] | row_ready;
    assign in_ready = move;
    assign busy = valid != '0;
    assign image = (64'(in_id) * 64'(IMAGE_FACTOR)) >> IMAGE_SHIFT;
    assign line = (64'(pixel) * 64'(ROW_FACTOR)) >> ROW_SHIFT;

    always_ff @(posedge clk) begin
        if (rst) valid <= '0;
        else if (move) valid <= {valid[1:0], in_valid};
        if (move) begin
            eos <= {eos[1:0], in_eos};
            value_a <= in_value;
            value_b <= value_a;
            value_c <= value_b;
            channel_a <= in_eos ? '0 : KB'(image);
            pixel <= in_eos ? '0 : IB'(64'(in_id) - image * 64'(PIXELS));
            channel_b <= channel_a;
            row_b <= YB'(line);
            column_b <= XB'(64'(pixel) - line * 64'(COLUMNS));
            of_channel <= channels[channel_b];
            of_row <= rows[row_b];
            of_column <= columns[column_b];
        end
    end

    assign row_valid = valid[2];
    assign row_eos = eos[2];
    assign row_value = value_c;
    assign row_start = of_channel[0 +: AB] + of_row[0 +: AB] + of_column[0 +: AB];
    assign row_group = of_channel[AB +: GB] + of_row[AB +: GB] + of_column[AB +: GB];
    assign row_lines = of_channel[AB + GB +: CB] == '0 ? '0 : of_row[AB + GB +: CB];
    assign row_places = of_column[AB + GB +: CB];
endmodule
