// Which neurons are silenced: a mask of the lanes for every group, none at first.
module spikec_lesions #(
    parameter [31:0] LANES = 1,
    parameter [31:0] GROUPS = 1,
    parameter [31:0] GB = 1   // bits of a group number
) (
    input  logic             clk,
    input  logic             write,
    input  logic [GB-1:0]    write_group,
    input  logic [LANES-1:0] write_mask,
    input  logic [GB-1:0]    group,
    output logic [LANES-1:0] mask
);
    (* ram_style = "distributed" *)
    logic [LANES-1:0] memory [0:GROUPS-1];

    initial begin
        for (int unsigned k = 0; k < GROUPS; k++) memory[k] = '0;
    end

    assign mask = memory[group];

    always_ff @(posedge clk) begin
        if (write) memory[write_group] <= write_mask;
    end
endmodule
