// Data so many clock edges later. A reset clears all of it.
module spikec_delay #(
    parameter [31:0] WIDTH = 1,
    parameter [31:0] CYCLES = 1
) (
    input  logic             clk,
    input  logic             rst,
    input  logic [WIDTH-1:0] in,
    output logic [WIDTH-1:0] out
);
    if (CYCLES == 0) begin : g_none
        logic unused;
        assign unused = &{1'b0, clk, rst};
        assign out = in;
    end else begin : g_some
        logic [CYCLES*WIDTH-1:0] held;
        always_ff @(posedge clk) begin
            if (rst) held <= '0;
            else held <= (CYCLES * WIDTH)'({held, in});
        end
        assign out = held[(CYCLES-1)*WIDTH +: WIDTH];
    end
endmodule
