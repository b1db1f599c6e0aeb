    // Properties of spikec_sender: every flag of a word gives one event, lowest lane first, with the
    // id and value of its neuron; after the last word of a step one end-of-step event follows.
    logic [LANES-1:0] given;        // flags of the word
    logic [LANES-1:0] gone;         // flags that were sent
    logic [LANES*VB-1:0] carried;
    logic final_word;
    logic [IB-1:0] row;             // place of the word
    logic [KB-1:0] part;            // column of the word
    logic owed;                     // an end-of-step event
    logic full;
    logic [IB+(GRADED*VB):0] held;
    logic [IB-1:0] id;
    logic [VB-1:0] number;
    logic [LANES-1:0] lowest;
    logic sends;
    logic [IB-1:0] begins;          // id of the first lane of the word

    assign begins = row + IB'(32'(part) * LANES * STRIDE);
    assign sends = open & busy & ((flags != '0) | last);
    assign lowest = (given & ~gone) & (~(given & ~gone) + LANES'(1));

    always_comb begin
        id = begins;
        number = '0;
        for (int unsigned k = 0; k < LANES; k++) begin
            if (lowest[k]) begin
                id = begins + IB'(k * STRIDE);
                number = carried[k*VB +: VB];
            end
        end
    end

    always_ff @(posedge clk) begin
        if (rst) begin
            row <= '0;
            part <= '0;
            owed <= 1'b0;
            full <= 1'b0;
        end else begin
            if (taken) owed <= in_last;
            else if (ends & open) owed <= 1'b0;
            if (finished) begin
                if (final_word) {row, part} <= '0;
                else if (part == KB'(COLUMNS - 1)) begin
                    row <= row + IB'(1);
                    part <= '0;
                end else part <= part + KB'(1);
            end
            if (open) full <= sends;
        end
        if (taken) begin
            given <= in_flags;
            carried <= in_values;
            final_word <= in_last;
            gone <= '0;
        end else if (sends) gone <= gone | lowest;
        if (sends & (lowest != '0)) held <= GRADED != 0 ? (IB + (GRADED * VB) + 1)'({id, number})
            : (IB + (GRADED * VB) + 1)'(id);
        else if (sends) held <= {1'b1, {(IB + (GRADED * VB)){1'b0}}};
    end

    always_comb if (started) begin
        p_places: assert (place == row && column == part
            && base == begins && 32'(part) < COLUMNS);
        if (busy) begin
            p_left: assert (flags == (given & ~gone) && last == final_word && values == carried);
            p_token: assert (owed == final_word);
        end else p_nothing: assert (!owed);
        p_whole: assert (!finished || ((given & ~gone & ~(sends ? lowest : '0)) == '0
            && (!final_word || (sends && lowest == '0))));
        p_room: assert (!taken || !busy || finished);
        p_leaves: assert (out_valid == full && (!full || out_data == held));
        p_rest: assert (free == (!busy && !out_valid && !in_valid));
    end
