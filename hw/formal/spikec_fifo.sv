    // Properties of spikec_fifo: one word, chosen at random, is followed from input to output.
    // It leaves once, unchanged, after exactly the words that were before it, and after the
    // end-of-step words of the delay, of which there are exactly PRELOAD.
    (* anyseq *) logic choose;
    logic followed;         // the word is inside
    logic [WIDTH-1:0] word;
    logic [CB:0] ahead;     // words before it
    logic [PB-1:0] shown;   // end-of-step words of the delay that have left

    always_ff @(posedge clk) begin
        if (rst) begin
            followed <= 1'b0;
            shown <= '0;
        end else begin
            if (push & choose & ~followed) begin
                followed <= 1'b1;
                word <= in_data;
                ahead <= (CB + 1)'(held) + (CB + 1)'(front_valid) - (CB + 1)'(given);
            end else if (followed & given) begin
                followed <= ahead != '0;
                ahead <= ahead - (CB + 1)'(1);
            end
            if (out_valid & out_ready & ~given) shown <= shown + PB'(1);
        end
    end

    always_comb begin
        if (started) begin
            p_ring: assert (held <= CB'(DEPTH) && 32'(head) < DEPTH && 32'(tail) < DEPTH
                && 32'(tail) == (32'(head) + 32'(held)) % DEPTH);
            p_delay: assert (32'(preloaded) + 32'(shown) == PRELOAD);
            p_capacity: assert (in_ready == (32'(held) < DEPTH));
            p_seen: assert (empty == (held == '0 && !out_valid));
            p_tokens: assert (preloaded == '0 || (out_valid && !given
                && out_data == {1'b1, {(WIDTH - 1){1'b0}}}));
            if (followed) begin
                p_inside: assert (32'(ahead) < 32'(held) + 32'(front_valid));
                if (ahead == '0 && front_valid) p_kept: assert (front == word);
                else p_stored: assert (
                    memory[(32'(head) + 32'(ahead) - 32'(front_valid)) % DEPTH] == word);
                p_leaves: assert (!(given && ahead == '0) || out_data == word);
            end
        end
    end

    // Nothing rests: what is inside is offered a cycle later at most.
    logic held_before;
    always_ff @(posedge clk) held_before <= ~rst & (held != '0);
    always_comb if (started) p_progress: assert (!held_before || out_valid);
