    // Properties of spikec_window_rows: every event leaves once, in order, with the entries of its
    // channel, row and column: quotients as they are, not as products.
    logic [2:0] inside;
    logic [IB-1:0] id_a;
    logic [IB-1:0] id_b;
    logic [IB-1:0] id_c;
    logic [2:0] end_of_step;
    logic [3*VB-1:0] carried;

    always_ff @(posedge clk) begin
        if (rst) inside <= '0;
        else if (in_ready) inside <= {inside[1:0], in_valid};
        if (in_ready) begin
            id_a <= in_id;
            id_b <= id_a;
            id_c <= id_b;
            end_of_step <= {end_of_step[1:0], in_eos};
            carried <= (3 * VB)'({carried, in_value});
        end
    end

    always_comb begin
        if (started) assume (!in_valid || in_eos || 32'(in_id) < CHANNELS * PIXELS);
        if (started) begin
            p_stages: assert (valid == inside && busy == (inside != '0) && row_valid == inside[2]
                && in_ready == (!inside[2] || row_ready));
            if (inside[0]) p_first: assert (eos[0] == end_of_step[0] && value_a == carried[0 +: VB]);
            if (inside[1]) p_second: assert (eos[1] == end_of_step[1] && value_b == carried[VB +: VB]);
            if (inside[2]) p_third: assert (eos[2] == end_of_step[2] && value_c == carried[2*VB +: VB]);
            if (inside[0] && !eos[0]) p_pixel_a: assert (32'(id_a) < CHANNELS * PIXELS
                && 32'(channel_a) == 32'(id_a) / PIXELS && 32'(pixel) == 32'(id_a) % PIXELS);
            if (inside[1] && !eos[1]) p_pixel_b: assert (32'(id_b) < CHANNELS * PIXELS
                && 32'(channel_b) == 32'(id_b) / PIXELS
                && 32'(row_b) == 32'(id_b) % PIXELS / COLUMNS
                && 32'(column_b) == 32'(id_b) % COLUMNS);
            if (inside[2] && !eos[2]) p_entries: assert (32'(id_c) < CHANNELS * PIXELS
                && of_channel == channels[32'(id_c) / PIXELS]
                && of_row == rows[32'(id_c) % PIXELS / COLUMNS]
                && of_column == columns[32'(id_c) % COLUMNS]);
        end
    end
