    // Properties of spikec_walker: an event gives exactly its words, in order, and none is taken
    // between the end of the step and the next step.
    logic active;          // words of an event are left
    logic ended;           // the end-of-step word was taken
    logic [AB-1:0] first;
    logic [CB-1:0] words;
    logic [CB-1:0] count;  // words given
    logic [VB-1:0] value;

    always_ff @(posedge clk) begin
        if (rst) begin
            active <= 1'b0;
            ended <= 1'b0;
        end else begin
            if (event_taken) active <= row_words != '0;
            else if (word_valid & word_ready & (count == words - CB'(1))) active <= 1'b0;
            if (next) ended <= 1'b0;
            else if (row_valid & row_ready & row_eos) ended <= 1'b1;
        end
        if (event_taken) begin
            first <= row_start;
            words <= row_words;
            value <= row_value;
            count <= '0;
        end else if (word_valid & word_ready) count <= count + CB'(1);
    end

    always_comb begin
        // Of the engine: a step ends after all its channels have ended it.
        if (started) assume (!next || done);
        if (started) begin
            p_step: assert (done == ended && !(done && row_ready));
            p_offer: assert (word_valid == active);
            p_whole: assert (!event_taken || !active || (word_ready && count == words - CB'(1)));
            if (active) p_row: assert (count < words && left == words - CB'(1) - count
                && word_address == first + AB'(count) && word_index == count
                && word_value == value);
        end
    end

    // An offer stays as it is until it is taken.
    logic waits;
    logic [AB+CB+VB-1:0] offered;
    always_ff @(posedge clk) begin
        waits <= ~rst & word_valid & ~word_ready;
        offered <= {word_address, word_index, word_value};
    end
    always_comb if (started && waits)
        p_stable: assert (word_valid && offered == {word_address, word_index, word_value});
