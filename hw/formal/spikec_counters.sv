    // Properties of spikec_counters, for a counter chosen at random: it is what was added to it, up to
    // where its highest bit is set; there it stays until it is cleared.
    (* anyconst *) logic [31:0] which;
    logic cleared;              // once
    logic [SB-1:0] more;        // added a cycle before
    logic [WIDTH-1:0] sum;

    always_ff @(posedge clk) begin
        if (clear) cleared <= 1'b1;
        more <= clear ? '0 : step[which*SB +: SB];
        if (clear) sum <= '0;
        else if (!sum[WIDTH-1]) sum <= sum + WIDTH'(more);
    end

    initial cleared = 1'b0;
    always_comb begin
        assume (which < COUNT);
        if (cleared) begin
            p_sum: assert (held[which*WIDTH +: WIDTH] == sum && grown[which*SB +: SB] == more);
            p_shown: assert (select != AB'(which) || 32'(select) != which || value == sum);
        end
    end
