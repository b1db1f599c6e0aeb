// The steps of one engine: it fills its memories, then integrates and updates in turn.
//
// Every step: INTEGRATE until every channel has ended it; DRAIN until the last weight word is added
// and the events of the step before are sent; UPDATE one group per cycle; FLUSH until the last group
// is stored. Before step START the update is left out, and what arrives is discarded.
module spikec_control #(
    parameter [31:0] GROUPS = 1,
    parameter [31:0] GB = 1,      // bits of a group number
    parameter [31:0] DRAIN = 4,   // cycles from the last word given to its sum
    parameter [31:0] FLUSH = 2,   // cycles from the last group to its store
    parameter [31:0] START = 0    // first step with an update
) (
    input  logic          clk,
    input  logic          rst,
    input  logic          all_done,     // every channel has ended the step
    input  logic          sender_free,  // all events of the step before are sent
    output logic          integrating,
    output logic          updating,     // from the last word of a step to the first of the next
    output logic          sending,      // ready to update, but events of the step before are left
    output logic          discard,      // before START
    output logic          skip,         // a step without an update ends
    output logic          group_valid,
    output logic          group_first,  // the memories are being filled
    output logic [GB-1:0] group,
    output logic          step_end
);
    typedef enum logic [2:0] {FILL, SETTLE, INTEGRATE, WAIT, UPDATE, STORE} phase_t;

    localparam [31:0] MOST = DRAIN > FLUSH ? DRAIN : FLUSH;
    localparam [31:0] WB = $clog2(MOST + 1);
    localparam [31:0] SB = START > 0 ? $clog2(START + 1) : 1;

    phase_t phase;
    logic [WB-1:0] waited;
    logic [SB-1:0] early;   // steps still to come before START
    logic last_group;
    logic drained;
    logic flushed;

    assign last_group = group == GB'(GROUPS - 1);
    assign drained = (waited == WB'(DRAIN)) & sender_free;
    assign flushed = waited == WB'(FLUSH);
    assign integrating = phase == INTEGRATE;
    assign sending = (phase == WAIT) & (waited == WB'(DRAIN)) & ~sender_free;
    assign updating = ((phase == WAIT) & ~sending) | (phase == UPDATE) | (phase == STORE);
    assign discard = early != '0;
    assign skip = (phase == WAIT) & drained & discard;
    assign group_valid = (phase == FILL) | (phase == UPDATE);
    assign group_first = phase == FILL;
    assign step_end = skip | ((phase == STORE) & flushed);

    always_ff @(posedge clk) begin
        if (rst) begin
            phase <= FILL;
            group <= '0;
            waited <= '0;
            early <= SB'(START);
        end else begin
            case (phase)
                FILL: if (last_group) phase <= SETTLE;
                SETTLE: if (flushed) phase <= INTEGRATE;
                INTEGRATE: if (all_done) phase <= WAIT;
                WAIT: if (drained) phase <= discard ? INTEGRATE : UPDATE;
                UPDATE: if (last_group) phase <= STORE;
                STORE: if (flushed) phase <= INTEGRATE;
                default: phase <= FILL;
            endcase
            if (group_valid) group <= last_group ? '0 : group + GB'(1);
            if (phase == WAIT) waited <= drained ? '0 : waited + WB'(waited != WB'(DRAIN));
            else if (phase == SETTLE || phase == STORE) waited <= flushed ? '0 : waited + WB'(1);
            if (skip) early <= early - SB'(1);
        end
    end
endmodule
