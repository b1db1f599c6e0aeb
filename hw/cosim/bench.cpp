// Runs an emitted design on given events, in Verilator or in CXXRTL (with -DSPIKEC_CXXRTL).
//
// bench STIMULUS RESULT SEED: for every sample the events are sent, and all that comes out is
// written; see records.h. A seed other than 0 holds back both streams at random, as a slow host
// would, for a cycle or for many; in Verilator all registers then begin at random too. A sample that
// is to be cut short is left after so many cycles, by a restart or a reset, and nothing is written.
// bench STIMULUS RESULT SEED VCD ENGINE FIRST LAST MOST: with -DSPIKEC_WAVES, see waves.h.
// Exit codes: 3, a design without progress; 4, see records.h; 5, registers that do not say what the
// design is.

#include "records.h"

#include "design.h"  // generated: the model, and the sizes of its ports

#ifdef SPIKEC_CXXRTL
static Model *model;
#define top (*model)
static void make(uint64_t) { model = new Model; }
template <size_t N> static uint32_t part(const cxxrtl::value<N> &v, size_t k) { return v.data[k]; }
template <size_t N> static uint32_t part(const cxxrtl::wire<N> &v, size_t k) { return v.curr.data[k]; }
template <size_t N> static void put(cxxrtl::value<N> &v, uint64_t x) {
    for (size_t k = 0; k < v.chunks; k++) v.data[k] = uint32_t(k < 2 ? x >> (32 * k) : 0);
}
static void settle() { top.step(); }
#define PORT(name, mangled) top.p_##mangled
#else
#include "verilated.h"
double sc_time_stamp() { return 0; }
static Model *model;
#define top (*model)
// With a seed all registers and memories begin at random, as the hardware may without a reset.
static void make(uint64_t seed) {
    Verilated::randReset(seed ? 2 : 0);
    Verilated::randSeed(int(seed));
#ifdef SPIKEC_WAVES
    Verilated::traceEverOn(true);
#endif
    model = new Model;
}
static uint32_t part(const CData &v, size_t) { return v; }
static uint32_t part(const SData &v, size_t) { return v; }
static uint32_t part(const IData &v, size_t) { return v; }
static uint32_t part(const QData &v, size_t k) { return uint32_t(v >> (32 * k)); }
template <std::size_t N> static uint32_t part(const VlWide<N> &v, size_t k) { return v[k]; }
template <typename T> static void put(T &v, uint64_t x) { v = T(x); }
static void settle() { top.eval(); }
#define PORT(name, mangled) top.name
#endif

static uint64_t random_state;

// Whether one of the streams, or of the channels of the registers, is held back: mostly for single cycles, now and then for up to 64.
static bool held_back(int stream) {
    static uint64_t left[4];
    static bool held[4];
    if (!random_state) return false;
    if (left[stream]-- == 0) {
        random_state ^= random_state << 13;  // xorshift64 (Marsaglia 2003)
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        const uint64_t drawn = random_state >> 20;
        held[stream] = drawn & 1;
        left[stream] = drawn & 14 ? 0 : (drawn >> 4) & 63;
    }
    return held[stream];
}

#ifdef SPIKEC_WAVES
#include "waves.h"
static Waves *waves;  // once there is a model
#define DUMP(rising) if (waves) waves->dump(groups(waves->engine), rising)
#define WAVES(action) action
#else
#define DUMP(rising)
#define WAVES(action)
#endif

static std::vector<uint32_t> sent, shown[ENGINES];
static uint64_t ended;  // steps that the outputs have ended

// Groups that an engine has updated.
static inline uint64_t groups(uint64_t engine) { return shown[engine].size() / TRACE_WORDS[engine]; }

// One clock cycle; what is valid before the rising edge happens at it.
static bool cycle(bool offer, uint64_t word, bool take) {
    put(PORT(s_axis_tvalid, s__axis__tvalid), offer);
    put(PORT(s_axis_tdata, s__axis__tdata), word);
    put(PORT(m_axis_tready, m__axis__tready), take);
    put(PORT(aclk, aclk), 0);
    settle();
    const bool taken = offer && part(PORT(s_axis_tready, s__axis__tready), 0);
    if (take && part(PORT(m_axis_tvalid, m__axis__tvalid), 0)) {
        for (size_t k = 0; k < 2; k++)
            sent.push_back(k * 32 < OUT_BITS ? part(PORT(m_axis_tdata, m__axis__tdata), k) : 0);
        ended += part(PORT(m_axis_tlast, m__axis__tlast), 0);
    }
    DUMP(false);
    size_t low = 0;
    for (size_t e = 0; e < ENGINES; e++) {
        const uint32_t valid = part(PORT(trace_valid, trace__valid), e / 32);
        for (size_t k = 0; k < TRACE_WORDS[e]; k++, low++)
            if ((valid >> (e % 32)) & 1)
                shown[e].push_back(part(PORT(trace_data, trace__data), low));
    }
    put(PORT(aclk, aclk), 1);
    settle();
    DUMP(true);
    return taken;
}

static void low() {
    put(PORT(aclk, aclk), 0);
    settle();
}

// One clock cycle of waiting for an answer of the registers; whether it came.
template <typename Valid, typename Ready>
static bool answered(Valid &valid, Ready &ready, uint32_t *data = nullptr) {
    const bool take = !held_back(2);
    put(ready, take);
    low();
    const bool came = take && part(valid, 0);
    if (data) *data = part(PORT(s_axi_rdata, s__axi__rdata), 0);
    cycle(false, 0, false);
    put(ready, 0);
    return came;
}

// AXI4-Lite. An offer stays until it is taken; with a seed address, data and answers come apart.
static void write_register(uint32_t address, uint32_t data) {
    put(PORT(s_axi_awaddr, s__axi__awaddr), address);
    put(PORT(s_axi_wdata, s__axi__wdata), data);
    bool addressed = false, given = false, sent_address = false, sent_data = false;
    while (!sent_address || !sent_data) {
        addressed = !sent_address && (addressed || !held_back(2));
        given = !sent_data && (given || !held_back(3));
        put(PORT(s_axi_awvalid, s__axi__awvalid), addressed);
        put(PORT(s_axi_wvalid, s__axi__wvalid), given);
        low();
        sent_address |= addressed && part(PORT(s_axi_awready, s__axi__awready), 0);
        sent_data |= given && part(PORT(s_axi_wready, s__axi__wready), 0);
        cycle(false, 0, false);
    }
    put(PORT(s_axi_awvalid, s__axi__awvalid), 0);
    put(PORT(s_axi_wvalid, s__axi__wvalid), 0);
    while (!answered(PORT(s_axi_bvalid, s__axi__bvalid), PORT(s_axi_bready, s__axi__bready))) {}
}

static uint32_t read_register(uint32_t address) {
    put(PORT(s_axi_arvalid, s__axi__arvalid), 1);
    put(PORT(s_axi_araddr, s__axi__araddr), address);
    for (low(); !part(PORT(s_axi_arready, s__axi__arready), 0); low()) cycle(false, 0, false);
    cycle(false, 0, false);
    put(PORT(s_axi_arvalid, s__axi__arvalid), 0);
    uint32_t data = 0;
    while (!answered(PORT(s_axi_rvalid, s__axi__rvalid), PORT(s_axi_rready, s__axi__rready), &data)) {}
    return data;
}

// Makes the design, with inputs that ask for nothing: at random they would write registers.
static void power_up(uint64_t seed) {
    make(seed);
    put(PORT(s_axi_awvalid, s__axi__awvalid), 0);
    put(PORT(s_axi_wvalid, s__axi__wvalid), 0);
    put(PORT(s_axi_bready, s__axi__bready), 0);
    put(PORT(s_axi_arvalid, s__axi__arvalid), 0);
    put(PORT(s_axi_rready, s__axi__rready), 0);
}

// Begins a sample; with clear the counters begin anew too.
static void start(bool reset, bool clear) {
    put(PORT(aresetn, aresetn), reset ? 0 : 1);
    for (int k = 0; k < 4; k++) cycle(false, 0, false);
    put(PORT(aresetn, aresetn), 1);
    if (reset && read_register(0x00) != 0x53504b43) exit(5);
    if (reset && read_register(0x04) != HASH) exit(5);
    // One after the other: what the sample before still does in the cycles of a restart counts.
    write_register(0x08, 1);
    // Until the memories are filled, so that the cycles of all samples begin alike.
    for (uint64_t k = 0; k < 4 || !part(PORT(idle, idle), 0); k++) {
        cycle(false, 0, false);
        low();
        if (k > PATIENCE) exit(3);
    }
    if (clear) write_register(0x08, 2);
    sent.clear();
    for (auto &s : shown) s.clear();
    ended = 0;
}

// Sends a sample, and returns the cycles it took.
static uint64_t send(const Sample &sample) {
    const uint64_t count = sample.words.size();
    uint64_t cycles = 0, at = 0, quiet = 0, before = 0;
    bool offered = false;
    while (sample.cut == 0 || cycles < sample.cut) {
        // An offer stays until it is taken, as AXI4-Stream wants it.
        offered = at < count && (offered || !held_back(0));
        if (cycle(offered, at < count ? sample.words[at] : 0, !held_back(1))) {
            at++;
            offered = false;
        }
        cycles++;
        low();
        if (at == count && ended == sample.steps && part(PORT(idle, idle), 0)) break;
        uint64_t now = at + sent.size();
        for (const auto &s : shown) now += s.size();
        quiet = now == before ? quiet + 1 : 0;
        before = now;
        if (quiet > PATIENCE) {
            WAVES(waves->close();)
            exit(3);
        }
    }
    return cycles;
}

static void record_sample(uint64_t cycles) {
    for (int k = 0; k < 4; k++) cycle(false, 0, false);
    record(OUT, sent);
    for (uint32_t e = 0; e < ENGINES; e++) {
        shown[e].insert(shown[e].begin(), e);
        record(TRACE, shown[e]);
    }
    record(FLAGS, {read_register(0x0c)});
    record(STOP, {uint32_t(cycles), uint32_t(cycles >> 32)});
}

static void record_counters() {
    for (uint32_t e = 0; e < ENGINES; e++) {
        for (uint32_t c = 0; c < COUNTERS; c++) {
            write_register(0x10, e * 16 + c);
            const uint32_t low_half = read_register(0x14);
            record(COUNTER, {e, c, low_half, read_register(0x18)});
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    const std::vector<Sample> samples = read_samples(argv[1]);
    result = fopen(argv[2], "wb");
    if (!result) return 4;
    const uint64_t seed = strtoull(argv[3], nullptr, 10);
    random_state = seed * 0x9E3779B97F4A7C15ull;
    power_up(seed);
#ifdef SPIKEC_WAVES
    if (argc != 9) return 2;
    waves = new Waves;
    waves->open(*model, argv[4]);
    waves->engine = strtoull(argv[5], nullptr, 10);
    waves->first = strtoull(argv[6], nullptr, 10);
    waves->last = strtoull(argv[7], nullptr, 10);
    waves->most = strtoull(argv[8], nullptr, 10);
#endif
    uint64_t cut = 1;  // of the sample before
    for (size_t k = 0; k < samples.size(); k++) {
        // The counters go on over a restart, but not over a sample that is cut short.
        start(cut & 1, cut);
        WAVES(waves->on = k + 1 == samples.size();)
        const uint64_t cycles = send(samples[k]);
        cut = samples[k].cut;
        if (cut) continue;
        record_sample(cycles);
        if (k + 1 == samples.size() || samples[k + 1].cut) record_counters();
    }
    WAVES(if (!waves->close()) return 4;)
    return fclose(result) ? 4 : 0;
}
