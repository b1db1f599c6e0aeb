    // Properties of spikec_pointers: every event leaves once, in order, with what the table says.
    logic held;
    logic eos;
    logic [IB-1:0] id;
    logic [VB-1:0] value;

    always_ff @(posedge clk) begin
        if (rst) held <= 1'b0;
        else if (in_valid & in_ready) held <= 1'b1;
        else if (row_ready) held <= 1'b0;
        if (in_valid & in_ready) begin
            eos <= in_eos;
            id <= in_id;
            value <= in_value;
        end
    end

    always_comb if (started) begin
        p_offer: assert (row_valid == held);
        p_full: assert (!(in_ready && held && !row_ready));
        if (held) p_entry: assert (row_eos == eos && row_value == value
            && {row_words, row_start} == memory[id]);
    end
