// A network under every host: events, pauses and readiness are chosen by the solver.
//
// Of the host it is assumed that an offer stays until it is taken, and that ids exist.
module bounded (
    input logic clk,
    input logic offer,
    input logic [31:0] word,
    input logic take
);
    localparam [31:0] QUIET = 24;  // cycles in which something must move
    logic [7:0] cycle = 8'd0;
    logic held = 1'b0;             // an offer that was not taken
    logic [31:0] kept = '0;
    logic [7:0] steps_in = 8'd0;
    logic [7:0] steps_out = 8'd0;
    logic [7:0] still = 8'd0;
    logic on;
    logic ready;
    logic valid;
    logic last;
    logic idle;

    NETWORK top (
        .aclk(clk), .aresetn(cycle > 8'd1), .s_axis_tvalid(offer), .s_axis_tready(ready),
        .s_axis_tdata(word), .m_axis_tvalid(valid), .m_axis_tready(take), .m_axis_tlast(last),
        .idle, .s_axi_awvalid(1'b0), .s_axi_awaddr('0), .s_axi_wvalid(1'b0), .s_axi_wdata('0),
        .s_axi_bready(1'b1), .s_axi_arvalid(1'b0), .s_axi_araddr('0), .s_axi_rready(1'b1)
    );
    assign on = cycle > 8'd4;

    always_ff @(posedge clk) begin
        if (cycle != 8'hff) cycle <= cycle + 8'd1;
        held <= offer & ~ready;
        kept <= word;
        if (offer & ready & word[31]) steps_in <= steps_in + 8'd1;
        if (on & take & valid & last) steps_out <= steps_out + 8'd1;
        if (~on | (offer & ready) | (take & valid) | ~take | ~offer) still <= 8'd0;
        else still <= still + 8'd1;
    end

    always_comb begin
        assume (on || !offer);
        assume (!held || (offer && word == kept));
        assume (word[31] ? word[30:0] == '0 : word < 32'dINPUTS);
        if (on) begin
            p_order: assert (steps_out <= steps_in);
            p_idle: assert (!idle || offer || steps_out == steps_in);
            p_moves: assert (32'(still) < QUIET);
        end
    end
endmodule
