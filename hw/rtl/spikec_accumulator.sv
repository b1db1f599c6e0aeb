// Sums of synaptic input of one port: GROUPS words of LANES sums.
//
// add adds to a word within the cycle, so that words may follow each other in any order.
// Otherwise the word at read_group is at sum after the clock edge, and set replaces a word.
// add_data is zero without add, so that one row of adders does both: a LUT per bit.
// A sum cannot overflow: WIDTH follows from the weights (fan-in bound). Distributed RAM.
module spikec_accumulator #(
    parameter [31:0] LANES = 1,
    parameter [31:0] WIDTH = 8,
    parameter [31:0] GROUPS = 1,
    parameter [31:0] GB = 1   // bits of a group number
) (
    input  logic                   clk,
    input  logic                   add,
    input  logic [GB-1:0]          add_group,
    input  logic [LANES*WIDTH-1:0] add_data,
    input  logic                   set,
    input  logic [GB-1:0]          set_group,
    input  logic [LANES*WIDTH-1:0] set_data,
    input  logic [GB-1:0]          read_group,
    output logic [LANES*WIDTH-1:0] sum
);
    (* ram_style = "distributed" *)
    logic [LANES*WIDTH-1:0] memory [0:GROUPS-1];
    logic [LANES*WIDTH-1:0] now;
    logic [LANES*WIDTH-1:0] kept;
    logic [LANES*WIDTH-1:0] data;
    logic [LANES*WIDTH-1:0] after;

    assign now = memory[add ? add_group : read_group];
    assign kept = now & {(LANES * WIDTH){~set}};
    assign data = add_data | (set_data & {(LANES * WIDTH){set}});

    always_comb begin
        for (int unsigned k = 0; k < LANES; k++) begin
            after[k*WIDTH +: WIDTH] = data[k*WIDTH +: WIDTH] + kept[k*WIDTH +: WIDTH];
        end
    end

    always_ff @(posedge clk) begin
        if (add | set) memory[add ? add_group : set_group] <= after;
        sum <= now;
    end
endmodule
