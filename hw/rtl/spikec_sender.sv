// Turns what the lanes send into events {eos, id, value}: one per cycle, lowest lane first.
//
// A word holds a flag and a value for each lane; last ends the step. A word without flags takes one
// cycle. After the last event of a step one end-of-step event follows.
// Neuron ids are place + (column * LANES + lane) * STRIDE: with one place and a stride of 1 they
// simply count; an image of many channels has a place per pixel, and the channels in the lanes.
module spikec_sender #(
    parameter [31:0] LANES = 1,
    parameter [31:0] IB = 1,       // bits of an id
    parameter [31:0] VB = 1,       // bits of a value; 1 and unused where GRADED is 0
    parameter [31:0] GRADED = 0,   // 1: events carry a value
    parameter [31:0] STRIDE = 1,   // from the id of a lane to that of the next
    parameter [31:0] COLUMNS = 1   // words of a place; then the ids go on one higher
) (
    input  logic                         clk,
    input  logic                         rst,
    input  logic                         in_valid,
    output logic                         in_ready,
    input  logic                         in_last,
    input  logic [LANES-1:0]             in_flags,
    input  logic [LANES*VB-1:0]          in_values,
    output logic                         out_valid,
    input  logic                         out_ready,
    output logic [IB+(GRADED*VB):0]      out_data,
    output logic                         free
);
    logic busy;
    logic last;
    logic [LANES-1:0] flags;
    logic [LANES*VB-1:0] values;
    localparam [31:0] KB = COLUMNS > 1 ? $clog2(COLUMNS) : 1;

    logic [IB-1:0] base;        // id of lane 0
    logic [IB-1:0] place;
    logic [KB-1:0] column;
    logic [LANES-1:0] rest;     // flags without the lowest
    logic [IB-1:0] lane;        // lowest lane with a flag
    logic [VB-1:0] value;
    logic open;                 // the output register may be written
    logic ends;                 // the end-of-step event is due
    logic finished;             // this cycle is the last for the word
    logic taken;

    assign open = ~out_valid | out_ready;
    assign rest = flags & (flags - LANES'(1));
    assign ends = busy & (flags == '0) & last;
    assign finished = busy & ((flags == '0) ? (~last | open) : (open & (rest == '0) & ~last));
    assign in_ready = ~busy | finished;
    assign taken = in_valid & in_ready;
    assign free = ~busy & ~out_valid & ~in_valid;

    always_comb begin
        lane = '0;
        value = VB'(values);
        for (int k = LANES - 1; k >= 0; k--) begin
            if (flags[k]) begin
                lane = IB'(k * STRIDE);
                value = values[k*VB +: VB];
            end
        end
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            busy <= 1'b0;
            out_valid <= 1'b0;
            flags <= '0;
            last <= 1'b0;
            base <= '0;
            place <= '0;
            column <= '0;
        end else begin
            if (taken) begin
                busy <= 1'b1;
                flags <= in_flags;
                last <= in_last;
            end else begin
                if (finished) busy <= 1'b0;
                if (open) flags <= rest;
            end
            if (finished & last) begin
                base <= '0;
                place <= '0;
                column <= '0;
            end else if (finished & (column == KB'(COLUMNS - 1))) begin
                base <= place + IB'(1);
                place <= place + IB'(1);
                column <= '0;
            end else if (finished) begin
                base <= base + IB'(LANES * STRIDE);
                column <= column + KB'(1);
            end
            if (open) out_valid <= busy & ((flags != '0) | last);
        end
        if (taken) values <= in_values;
    end

    if (GRADED != 0) begin : g_graded
        always_ff @(posedge clk) begin
            if (open) out_data <= ends ? {1'b1, {(IB + VB){1'b0}}} : {1'b0, base + lane, value};
        end
    end else begin : g_spikes
        logic unused;
        assign unused = &{1'b0, value, values};
        always_ff @(posedge clk) begin
            if (open) out_data <= ends ? {1'b1, {IB{1'b0}}} : {1'b0, base + lane};
        end
    end
endmodule
