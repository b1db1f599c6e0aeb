// A first-in first-out queue of event words {eos, id, value}.
//
// It starts with PRELOAD end-of-step words, one for each step of a delay. Nothing is dropped:
// in_ready is low while it is full. A word is at the output two clock edges after it was taken.
// The memory is read synchronously, so that it may be block RAM.
module spikec_fifo #(
    parameter [31:0] WIDTH = 8,    // bits of a word; the highest is eos
    parameter [31:0] DEPTH = 4,    // words
    parameter [31:0] PRELOAD = 0   // end-of-step words at the start
) (
    input  logic             clk,
    input  logic             rst,
    input  logic             in_valid,
    output logic             in_ready,
    input  logic [WIDTH-1:0] in_data,
    output logic             out_valid,
    input  logic             out_ready,
    output logic [WIDTH-1:0] out_data,
    output logic             empty
);
    localparam [31:0] AB = DEPTH > 1 ? $clog2(DEPTH) : 1;
    localparam [31:0] CB = $clog2(DEPTH + 1);
    localparam [31:0] PB = PRELOAD > 0 ? $clog2(PRELOAD + 1) : 1;

    logic [WIDTH-1:0] memory [0:DEPTH-1];
    logic [AB-1:0] head;
    logic [AB-1:0] tail;
    logic [CB-1:0] held;       // words in the memory
    logic [PB-1:0] preloaded;  // end-of-step words not given yet
    logic [WIDTH-1:0] front;
    logic front_valid;
    logic push;
    logic pull;
    logic given;

    assign in_ready = held != CB'(DEPTH);
    assign push = in_valid & in_ready;
    assign given = front_valid & out_ready & (preloaded == '0);
    assign pull = (held != '0) & (~front_valid | given);
    assign out_valid = front_valid | (preloaded != '0);
    assign out_data = preloaded != '0 ? WIDTH'(1) << (WIDTH - 1) : front;
    assign empty = ~out_valid & (held == '0);

    always_ff @(posedge clk) begin
        if (push) memory[tail] <= in_data;
        if (pull) front <= memory[head];
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            head <= '0;
            tail <= '0;
            held <= '0;
            preloaded <= PB'(PRELOAD);
            front_valid <= 1'b0;
        end else begin
            if (push) tail <= tail == AB'(DEPTH - 1) ? '0 : tail + AB'(1);
            if (pull) head <= head == AB'(DEPTH - 1) ? '0 : head + AB'(1);
            held <= held + CB'(push) - CB'(pull);
            if (preloaded != '0 && out_ready) preloaded <= preloaded - PB'(1);
            front_valid <= pull | (front_valid & ~given);
        end
    end
endmodule
