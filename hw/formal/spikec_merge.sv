    // Properties of spikec_merge, for a source chosen at random: nothing of it is taken after it has
    // ended a step and before the outputs have; what is taken is the next word that leaves; an
    // end-of-step word leaves when every source has ended the step, once.
    (* anyconst *) logic [31:0] source;
    logic [SOURCES-1:0] events;  // taken in this cycle
    logic ahead;                 // the source has ended a step that the output has not
    logic full;                  // a word is on its way
    logic [WIDTH-1:0] held;
    logic [WIDTH-1:0] given;
    logic ended;

    always_comb begin
        given = '0;
        for (int unsigned k = 0; k < SOURCES; k++) begin
            events[k] = in_valid[k] & in_ready[k] & ~in_data[k*WIDTH + WIDTH - 1];
            if (events[k]) given = in_data[k*WIDTH +: WIDTH];
        end
    end
    assign ended = (&done) & open;

    always_ff @(posedge clk) begin
        if (rst) begin
            ahead <= 1'b0;
            full <= 1'b0;
        end else begin
            if (ended) ahead <= 1'b0;
            else if (in_valid[source] & in_ready[source] & in_data[source*WIDTH + WIDTH - 1])
                ahead <= 1'b1;
            if (open) full <= ended | (|events);
        end
        if (ended) held <= {1'b1, {(WIDTH - 1){1'b0}}};
        else if (|events) held <= given;
    end

    always_comb begin
        assume (source < SOURCES);
        if (started) begin
            p_one: assert ((events & (events - SOURCES'(1))) == '0);
            p_room: assert (events == '0 || open);
            p_step: assert (ahead == done[source]);
            p_order: assert (!(ahead && in_ready[source]));
            p_token: assert (!ended || ahead);
            p_leaves: assert (out_valid == full && (!full || out_data == held));
            p_free: assert (!free || (!full && !ahead));
        end
    end
