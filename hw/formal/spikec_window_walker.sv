    // Properties of spikec_window_walker: an event gives every word of every place of every line of
    // its window once, in order, and none is taken between the end of the step and the next step.
    logic active;          // words of an event are left
    logic ended;           // the end-of-step word was taken
    logic [AB-1:0] first_word;
    logic [GB-1:0] first_group;
    logic [CB-1:0] all_lines;
    logic [CB-1:0] all_places;
    logic [CB-1:0] line;
    logic [CB-1:0] place;
    logic [NB-1:0] at;     // word of the place
    logic [VB-1:0] value;
    logic final_word;

    assign final_word = (32'(at) == GROUPS - 1) & (place == all_places - CB'(1))
        & (line == all_lines - CB'(1));

    always_ff @(posedge clk) begin
        if (rst) begin
            active <= 1'b0;
            ended <= 1'b0;
        end else begin
            if (event_taken) active <= (row_lines != '0) & (row_places != '0) & ~discard;
            else if (word_valid & word_ready & final_word) active <= 1'b0;
            if (next) ended <= 1'b0;
            else if (row_valid & row_ready & row_eos) ended <= 1'b1;
        end
        if (event_taken) begin
            first_word <= row_start;
            first_group <= row_group;
            all_lines <= row_lines;
            all_places <= row_places;
            value <= row_value;
            {line, place, at} <= '0;
        end else if (word_valid & word_ready) begin
            if (32'(at) != GROUPS - 1) at <= at + NB'(1);
            else begin
                at <= '0;
                if (place != all_places - CB'(1)) place <= place + CB'(1);
                else begin
                    place <= '0;
                    line <= line + CB'(1);
                end
            end
        end
    end

    always_comb begin
        // Of the engine: a step ends after all its channels have ended it.
        if (started) assume (!next || done);
        if (started) begin
            p_step: assert (done == ended && !(done && row_ready));
            p_offer: assert (word_valid == active);
            p_whole: assert (!event_taken || !active || (word_ready && final_word));
            if (active) begin
                p_window: assert (32'(at) < GROUPS && place < all_places && line < all_lines
                    && 32'(groups_left) == GROUPS - 1 - 32'(at) && places == all_places - CB'(1)
                    && places_left == places - place && lines_left == all_lines - CB'(1) - line);
                p_begins: assert (line_address == first_word + AB'(line) * AB'(LINE_WORDS)
                    && line_group == first_group - GB'(line) * GB'(LINE_GROUPS)
                    && place_address == line_address + AB'(place) * AB'(PLACE_WORDS)
                    && place_group == line_group - GB'(place) * GB'(PLACE_GROUPS));
                p_word: assert (word_address == place_address + AB'(at)
                    && word_group == place_group + GB'(at) && word_value == value);
            end
        end
    end
