    // Properties of spikec_control: a step updates every group once, in order; before step START
    // none. While what it waits for is there, the way to the end of the step gets shorter in every
    // cycle: so it cannot hang.
    logic [31:0] way;         // cycles to the end of the step
    logic [31:0] way_before;
    logic went;               // nothing to wait for
    logic running;
    logic ends_before;
    logic [31:0] seen;        // groups of this step
    logic [31:0] past;        // steps, up to START

    always_comb begin
        case (phase)
            FILL: way = 32'd6 * (MOST + GROUPS + 4) - 32'(group);
            SETTLE: way = 32'd4 * (MOST + GROUPS + 4) - 32'(waited);
            INTEGRATE: way = 32'd2 * (MOST + GROUPS + 4) + MOST + 2;
            WAIT: way = 32'd2 * (MOST + GROUPS + 4) + MOST + 1 - 32'(waited);
            UPDATE: way = 32'd1 * (MOST + GROUPS + 4) + GROUPS - 32'(group);
            default: way = MOST - 32'(waited);
        endcase
    end

    always_ff @(posedge clk) begin
        way_before <= way;
        ends_before <= step_end;
        running <= ~rst;
        went <= ~(((phase == INTEGRATE) & ~all_done) | sending);
        if (rst) begin
            seen <= '0;
            past <= '0;
        end else begin
            if (phase == INTEGRATE) seen <= '0;
            else if (group_valid) seen <= seen + 32'd1;
            if (step_end & (past != START)) past <= past + 32'd1;
        end
    end

    always_comb if (started) begin
        p_legal: assert (phase <= STORE && 32'(group) < GROUPS && 32'(waited) <= MOST
            && (phase != WAIT || 32'(waited) <= DRAIN)
            && ((phase != SETTLE && phase != STORE) || 32'(waited) <= FLUSH)
            && (phase == WAIT || phase == SETTLE || phase == STORE || waited == '0));
        p_groups: assert (group_valid ? (32'(group) == seen && seen < GROUPS) : group == '0);
        p_every: assert ((phase != STORE && phase != SETTLE) || seen == GROUPS);
        p_before: assert ((phase != INTEGRATE && phase != WAIT) || seen == '0 || phase == INTEGRATE);
        p_start: assert (past <= START && past + 32'(early) == START
            && !(discard && (phase == UPDATE || phase == STORE)));
        p_ended: assert (step_end == (skip | (phase == STORE && flushed)) && !(skip && !discard));
        p_shorter: assert (!running || !went || ends_before || way < way_before);
    end
