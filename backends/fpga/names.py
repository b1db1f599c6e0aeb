"""Identifiers of generated text: [a-z][a-z0-9_]*, no keyword, no two alike."""

import re

# SystemVerilog (IEEE 1800-2017, annex B) and C++: those that match [a-z][a-z0-9_]*.
_WORDS = """
    accept_on alias alignas alignof always always_comb always_ff always_latch and and_eq asm assert
    assign assume auto automatic before begin bind bins binsof bit bitand bitor bool break buf
    bufif0 bufif1 byte case casex casez catch cell char chandle checker class clocking cmos compl
    concept config const const_cast consteval constexpr constinit constraint context continue cover
    covergroup coverpoint cross deassign decltype default defparam delete design disable dist do
    double dynamic_cast edge else end endcase endchecker endclass endclocking endconfig endfunction
    endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram endproperty
    endsequence endspecify endtable endtask enum event eventually expect explicit export extends
    extern false final first_match float for force foreach forever fork forkjoin friend function
    generate genvar global goto highz0 highz1 if iff ifnone ignore_bins illegal_bins implements
    implies import incdir include initial inline inout input inside instance int integer
    interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic long macromodule matches medium modport module mutable namespace nand negedge
    nettype new nexttime nmos noexcept nor noshowcancelled not not_eq notif0 notif1 null nullptr
    operator or or_eq output package packed parameter pmos posedge primitive priority private
    program property protected public pull0 pull1 pulldown pullup pulsestyle_ondetect
    pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg register
    reinterpret_cast reject_on release repeat requires restrict return rnmos rpmos rtran rtranif0
    rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint
    shortreal short showcancelled signed sizeof small soft solve specify specparam static
    static_assert static_cast string strong strong0 strong1 struct super supply0 supply1 switch
    sync_accept_on sync_reject_on table tagged task template this thread_local throw throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg true try type
    typedef typeid typename union unique unique0 unsigned until until_with untyped use uwire var
    vectored virtual void volatile wait wait_order wand wchar_t weak weak0 weak1 while wildcard wire
    with within wor xnor xor xor_eq
"""
KEYWORDS = frozenset(_WORDS.split())


class Names:
    """Gives every thing of one scope a name of its own."""

    def __init__(self, reserved: tuple[str, ...] = ()) -> None:
        """Keep the names that are taken."""
        self._taken = set(reserved)

    def take(self, prefix: str, source: str) -> str:
        """Return ``prefix`` and the mangled ``source``, numbered where that is taken."""
        first = name = mangle(prefix + source)
        number = 1
        while name in self._taken:
            name, number = f"{first}_{number}", number + 1
        self._taken.add(name)
        return name


def mangle(source: str) -> str:
    """Return ``source`` as an identifier; different sources may give the same one."""
    name = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", source.lower())).strip("_")
    if not name or not name[0].isalpha():
        name = f"n{name}"
    return f"{name}_n" if name in KEYWORDS else name


def comment(line: str) -> str:
    """Return a comment that nothing in ``line`` can end or continue."""
    shown = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in line)
    return f"// {shown}".rstrip()
