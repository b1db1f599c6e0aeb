// Events of several sources as one stream: those of a step in any order, then one end-of-step word.
module spikec_merge #(
    parameter [31:0] SOURCES = 1,
    parameter [31:0] WIDTH = 8    // bits of a word; the highest is eos
) (
    input  logic                     clk,
    input  logic                     rst,
    input  logic [SOURCES-1:0]       in_valid,
    output logic [SOURCES-1:0]       in_ready,
    input  logic [SOURCES*WIDTH-1:0] in_data,
    output logic                     out_valid,
    input  logic                     out_ready,
    output logic [WIDTH-1:0]         out_data,
    output logic                     free       // no word is on its way, no step half ended
);
    logic [SOURCES-1:0] done;       // sources that have ended the step
    logic [SOURCES-1:0] ends;
    logic [SOURCES-1:0] offered;
    logic [SOURCES-1:0] chosen;     // the lowest that offers an event
    logic [WIDTH-1:0] word;
    logic open;

    assign open = ~out_valid | out_ready;
    assign free = ~out_valid & (done == '0);

    always_comb begin
        word = '0;
        for (int unsigned k = 0; k < SOURCES; k++) begin
            ends[k] = in_valid[k] & in_data[k*WIDTH + WIDTH - 1] & ~done[k];
            offered[k] = in_valid[k] & ~in_data[k*WIDTH + WIDTH - 1] & ~done[k];
        end
        chosen = offered & (~offered + SOURCES'(1));
        for (int unsigned k = 0; k < SOURCES; k++) begin
            if (chosen[k]) word = word | in_data[k*WIDTH +: WIDTH];
        end
    end

    assign in_ready = ends | (chosen & {SOURCES{open & ~(&done)}});

    always_ff @(posedge clk) begin
        if (rst) begin
            done <= '0;
            out_valid <= 1'b0;
        end else begin
            if (&done) done <= open ? '0 : done;
            else done <= done | ends;
            if (open) out_valid <= (&done) | (|offered);
        end
        if (open) out_data <= &done ? WIDTH'(1) << (WIDTH - 1) : word;
    end
endmodule
