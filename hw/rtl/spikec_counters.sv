// Counters of what an engine did. A restart keeps them; clear sets them to zero. A counter whose
// highest bit is set stays as it is: it says at least so many.
module spikec_counters #(
    parameter [31:0] COUNT = 1,
    parameter [31:0] SB = 1,       // bits by which a counter may grow in a cycle
    parameter [31:0] WIDTH = 48,
    parameter [31:0] AB = 4        // bits of select
) (
    input  logic                clk,
    input  logic                clear,
    input  logic [COUNT*SB-1:0] step,
    input  logic [AB-1:0]       select,
    output logic [WIDTH-1:0]    value
);
    logic [COUNT*SB-1:0] grown;
    logic [COUNT*WIDTH-1:0] held;

    always_ff @(posedge clk) begin
        grown <= clear ? '0 : step;
        for (int unsigned k = 0; k < COUNT; k++) begin
            if (clear) held[k*WIDTH +: WIDTH] <= '0;
            else if (!held[k*WIDTH + WIDTH - 1])
                held[k*WIDTH +: WIDTH] <= held[k*WIDTH +: WIDTH] + WIDTH'(grown[k*SB +: SB]);
        end
    end

    logic [(1<<AB)*WIDTH-1:0] all;   // with zeros beyond the last
    assign all = ((1 << AB) * WIDTH)'(held);
    assign value = all[select*WIDTH +: WIDTH];
endmodule
