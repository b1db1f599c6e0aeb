"""The SystemVerilog of one channel of an engine: queue, row, walker, weights."""

from spikec.backends.fpga.engines.controls import strobe
from spikec.backends.fpga.lanes.ops import literal
from spikec.backends.fpga.memory import Words, address_bits
from spikec.backends.fpga.names import comment
from spikec.backends.fpga.plan import Channel, Engine
from spikec.backends.fpga.window import quotient
from spikec.compiler.legalize import digits


def channel_lines(engine: Engine, k: int, channel: Channel) -> list[str]:
    """Return the lines of a channel, from its queue to what a word adds to each lane."""
    head = ["", f"    {comment(f'channel {k}: {channel.about}')}"]
    lines = [
        f"    logic ch{k}_given;",
        f"    logic ch{k}_take;",
        f"    logic [{channel.word_bits - 1}:0] ch{k}_event;",
        f"    logic ch{k}_empty;",
        f"    spikec_fifo #(.WIDTH({channel.word_bits}), .DEPTH({channel.depth}), "
        f".PRELOAD({channel.delay})) ch{k}_queue (",
        f"        .clk, .rst, .in_valid(ch{k}_valid), .in_ready(ch{k}_ready),",
        f"        .in_data(ch{k}_data), .out_valid(ch{k}_given), .out_ready(ch{k}_take),",
        f"        .out_data(ch{k}_event), .empty(ch{k}_empty)",
        "    );",
    ]
    if channel.source is None or channel.rows is None:
        return [*head, *lines, *_tokens(k)]
    walk = _row if channel.rows.window is None else _window
    return [*head, *lines, *walk(engine, k, channel), *_weights(engine, k, channel)]


def _tokens(k: int) -> list[str]:
    """Return the lines of a channel that only ends steps."""
    return [
        f"    logic ch{k}_done;",
        f"    assign done[{k}] = ch{k}_done;",
        f"    assign ch{k}_take = ~ch{k}_done;",
        f"    assign waiting[{k}] = ~done[{k}] & ~ch{k}_empty;",
        f"    assign taken[{k}] = 1'b0;",
        f"    assign offered[{k}] = 1'b0;",
        "    always_ff @(posedge clk) begin",
        f"        if (rst | step_end) ch{k}_done <= 1'b0;",
        f"        else if (ch{k}_given & ch{k}_event[0]) ch{k}_done <= 1'b1;",
        "    end",
    ]


def _row(engine: Engine, k: int, channel: Channel) -> list[str]:
    """Return the lines that give each event the address and number of its words."""
    assert channel.source is not None
    assert channel.rows is not None
    ids, value = channel.source.id_bits, channel.source.value_bits
    vb, top = max(value, 1), channel.source.word_bits - 1
    words = channel.rows.words
    ab = address_bits(words.depth)
    cb = row_bits(channel)
    shown = f"ch{k}_event[{value - 1}:0]" if value else "1'b0"
    lines = [
        f"    logic ch{k}_row_valid;",
        f"    logic ch{k}_row_ready;",
        f"    logic ch{k}_row_eos;",
        f"    logic [{ab - 1}:0] ch{k}_start;",
        f"    logic [{cb - 1}:0] ch{k}_words;",
        f"    logic [{vb - 1}:0] ch{k}_value;",
        f"    logic [{ab - 1}:0] ch{k}_address;",
    ]
    lines += [
        "    /* verilator lint_off UNUSEDSIGNAL */",
        f"    logic [{cb - 1}:0] ch{k}_index;",
        f"    logic [{vb - 1}:0] ch{k}_carried;",
        "    /* verilator lint_on UNUSEDSIGNAL */",
    ]
    if channel.rows.pointers is None:
        count = int(channel.rows.walked[0])
        lines += [
            f"    assign ch{k}_row_valid = ch{k}_given;",
            f"    assign ch{k}_take = ch{k}_row_ready;",
            f"    assign ch{k}_row_eos = ch{k}_event[{top}];",
            f"    assign ch{k}_start = {product(f'ch{k}_event[{value} +: {ids}]', count, ab)};",
            f"    assign ch{k}_words = {literal(count, cb).replace('sh', 'h')};",
            f"    assign ch{k}_value = {shown};",
        ]
        empty = f"ch{k}_empty"
    else:
        pointers = channel.rows.pointers
        lines += [
            f"    spikec_pointers #(.SOURCES({pointers.depth}), .IB({ids}), .AB({ab}),",
            f'        .CB({cb}), .VB({vb}), .INIT("mem/{engine.label}_pointers{k}.hex")',
            f"    ) ch{k}_pointers (",
            f"        .clk, .rst, .in_valid(ch{k}_given), .in_ready(ch{k}_take),",
            f"        .in_eos(ch{k}_event[{top}]), .in_id(ch{k}_event[{value} +: {ids}]),",
            f"        .in_value({shown}), .row_valid(ch{k}_row_valid),",
            f"        .row_ready(ch{k}_row_ready), .row_eos(ch{k}_row_eos),",
            f"        .row_start(ch{k}_start), .row_words(ch{k}_words), .row_value(ch{k}_value)",
            "    );",
        ]
        empty = f"(ch{k}_empty & ~ch{k}_row_valid)"
    return [
        *lines,
        f"    spikec_walker #(.AB({ab}), .CB({cb}), .VB({vb})) ch{k}_walker (",
        f"        .clk, .rst, .next(step_end), .row_valid(ch{k}_row_valid), "
        f".row_ready(ch{k}_row_ready),",
        f"        .row_eos(ch{k}_row_eos), .row_start(ch{k}_start),",
        f"        .row_words(discard ? '0 : ch{k}_words), .row_value(ch{k}_value),",
        f"        .word_valid(offered[{k}]), .word_ready(granted[{k}]),",
        f"        .word_address(ch{k}_address), .word_index(ch{k}_index), "
        f".word_value(ch{k}_carried),",
        f"        .event_taken(taken[{k}]), .done(done[{k}])",
        "    );",
        f"    assign waiting[{k}] = ~done[{k}] & (~{empty} | offered[{k}]);",
    ]


def _window(engine: Engine, k: int, channel: Channel) -> list[str]:
    """Return the lines that give each event at a pixel its words and groups."""
    assert channel.source is not None
    assert channel.rows is not None
    assert channel.rows.window is not None
    w = channel.rows.window
    ids, value = channel.source.id_bits, channel.source.value_bits
    vb, top = max(value, 1), channel.source.word_bits - 1
    shown = f"ch{k}_event[{value - 1}:0]" if value else "1'b0"
    channels, n0, n1 = w.shape
    by_image = quotient(n0 * n1, channel.source.size - 1)
    by_row = quotient(n1, n0 * n1 - 1)
    mem = f"mem/{engine.label}"
    sizes = {"start": w.address_bits, "first": w.group_bits}
    sizes |= {"lines": w.count_bits, "places": w.count_bits, "value": vb}
    sizes |= {"address": w.address_bits}
    return [
        f"    logic ch{k}_row_valid;",
        f"    logic ch{k}_row_ready;",
        f"    logic ch{k}_row_eos;",
        f"    logic ch{k}_busy;",
        *(f"    logic [{bits - 1}:0] ch{k}_{name};" for name, bits in sizes.items()),
        "    /* verilator lint_off UNUSEDSIGNAL */",
        f"    logic [{w.group_bits - 1}:0] ch{k}_index;",
        f"    logic [{vb - 1}:0] ch{k}_carried;",
        "    /* verilator lint_on UNUSEDSIGNAL */",
        f"    spikec_window_rows #(.IB({ids}), .VB({vb}), .AB({w.address_bits}),",
        f"        .GB({w.group_bits}), .CB({w.count_bits}), .CHANNELS({channels}), .ROWS({n0}),",
        f"        .COLUMNS({n1}), .IMAGE_FACTOR({by_image[0]}), .IMAGE_SHIFT({by_image[1]}),",
        f"        .ROW_FACTOR({by_row[0]}), .ROW_SHIFT({by_row[1]}),",
        f'        .INIT_CHANNELS("{mem}_channels{k}.hex"), .INIT_ROWS("{mem}_rows{k}.hex"),',
        f'        .INIT_COLUMNS("{mem}_columns{k}.hex")) ch{k}_rows (',
        f"        .clk, .rst, .in_valid(ch{k}_given), .in_ready(ch{k}_take),",
        f"        .in_eos(ch{k}_event[{top}]), .in_id(ch{k}_event[{value} +: {ids}]),",
        f"        .in_value({shown}), .busy(ch{k}_busy), .row_valid(ch{k}_row_valid),",
        f"        .row_ready(ch{k}_row_ready), .row_eos(ch{k}_row_eos), .row_start(ch{k}_start),",
        f"        .row_group(ch{k}_first), .row_lines(ch{k}_lines), .row_places(ch{k}_places),",
        f"        .row_value(ch{k}_value)",
        "    );",
        f"    spikec_window_walker #(.AB({w.address_bits}), .GB({w.group_bits}),",
        f"        .CB({w.count_bits}), .VB({vb}), .GROUPS({w.groups}),",
        f"        .LINE_WORDS({w.steps[0]}), .LINE_GROUPS({w.steps[1]}),",
        f"        .PLACE_WORDS({w.steps[2]}), .PLACE_GROUPS({w.steps[3]})) ch{k}_walker (",
        f"        .clk, .rst, .next(step_end), .discard, .row_valid(ch{k}_row_valid),",
        f"        .row_ready(ch{k}_row_ready), .row_eos(ch{k}_row_eos), .row_start(ch{k}_start),",
        f"        .row_group(ch{k}_first), .row_lines(ch{k}_lines), .row_places(ch{k}_places),",
        f"        .row_value(ch{k}_value), .word_valid(offered[{k}]), .word_ready(granted[{k}]),",
        f"        .word_address(ch{k}_address), .word_group(ch{k}_index),",
        f"        .word_value(ch{k}_carried), .event_taken(taken[{k}]), .done(done[{k}])",
        "    );",
        f"    assign waiting[{k}] = ~done[{k}] & (~ch{k}_empty | ch{k}_busy | offered[{k}]);",
    ]


def row_bits(channel: Channel) -> int:
    """Return the bits of the number of words of an event."""
    assert channel.rows is not None
    if channel.rows.pointers is not None:
        return channel.rows.pointers.fields[1][1]
    return int(channel.rows.walked[0]).bit_length()


def product(name: str, factor: int, bits: int) -> str:
    """Return ``name * factor`` as shift-adds, since a product would take a multiplier."""
    text = ""
    for sign, position in digits(factor):
        term = f"({bits}'({name}) << {position})" if position else f"{bits}'({name})"
        text = term if not text else f"{text} {'+' if sign > 0 else '-'} {term}"
    return text


def _memory(engine: Engine, k: int, words: Words) -> list[str]:
    """Return the memory of the weights, which the host may write where that was asked for."""
    bits = address_bits(words.depth)
    sizes = f".WIDTH({words.width}), .DEPTH({words.depth}), .AB({bits})"
    init = f'.INIT("mem/{engine.label}_weights{k}.hex")'
    if not engine.controls.upload:
        return [
            f'    spikec_rom #({sizes}, .OUTPUT(1), .STYLE("{words.style}"),',
            f"        {init}) ch{k}_rom (",
            f"        .clk, .address(ch{k}_address), .data(ch{k}_word)",
            "    );",
        ]
    style = 'ultra"), .FILLED(0' if engine.controls.in_ultra(words) else 'auto"), .FILLED(1'
    return [
        f'    spikec_weights #({sizes}, .STYLE("{style}),',
        f"        {init}) ch{k}_memory (",
        f"        .clk, .write({strobe(engine, 'weights', str(k))}),",
        f"        .write_address(load_address[{bits - 1}:0]),",
        f"        .write_data(load_data[{words.width - 1}:0]),",
        f"        .address(ch{k}_address), .data(ch{k}_word)",
        "    );",
    ]


def _weights(engine: Engine, k: int, channel: Channel) -> list[str]:
    """Return the lines from the address of a word to what it adds to each lane."""
    assert channel.source is not None
    assert channel.rows is not None
    words, wb, vb = channel.rows.words, channel.rows.weight_bits, channel.source.value_bits
    width, gb = engine.ports[channel.port].width, engine.group_bits
    lines = [
        f"    logic [{words.width - 1}:0] ch{k}_word;",
        f"    logic [GB-1:0] ch{k}_group;",
        f"    logic [LANES*{width}-1:0] ch{k}_part;",
        f"    logic [LANES-1:0] ch{k}_used;",
        *_memory(engine, k, words),
    ]
    carried: list[tuple[str, str, int]] = []
    if channel.rows.pointers is not None:
        low = engine.lanes * wb
        lines.append(f"    assign ch{k}_group = ch{k}_word[{low} +: {gb}];")
    else:
        carried.append((f"ch{k}_group", f"{gb}'(ch{k}_index)", gb))
    if vb:
        lines.append(f"    logic [{vb - 1}:0] ch{k}_factor;")
        carried.append((f"ch{k}_factor", f"ch{k}_carried", vb))
    if carried:
        total = sum(bits for _, _, bits in carried)
        lines += [
            f"    spikec_delay #(.WIDTH({total}), .CYCLES(2)) ch{k}_along (",
            f"        .clk, .rst, .in({{{', '.join(t for _, t, _ in carried)}}}),",
            f"        .out({{{', '.join(n for n, _, _ in carried)}}})",
            "    );",
        ]
    # A sum may be narrower than a term that never takes its full width.
    term, wide = "weight", wb + vb
    body = ["        /* verilator lint_off UNUSEDSIGNAL */"]
    body.append(f"        logic signed [{wb - 1}:0] weight;")
    if vb:
        term = "term"
        body.append(f"        logic signed [{wide - 1}:0] term;")
    body.append("        /* verilator lint_on UNUSEDSIGNAL */")
    body.append(f"        assign weight = ch{k}_word[lane*{wb} +: {wb}];")
    if vb:
        product_text = f"{wide}'(weight) * {wide}'($signed(ch{k}_factor))"
        body.append(f"        assign term = {product_text};")
    shift = f" <<< {channel.shift}" if channel.shift else ""
    body.append(f"        assign ch{k}_part[lane*{width} +: {width}] = {width}'({term}){shift};")
    body.append(f"        assign ch{k}_used[lane] = weight != '0;")
    return [
        *lines,
        f"    for (genvar lane = 0; lane < LANES; lane++) begin : g_ch{k}",
        *body,
        "    end",
    ]
