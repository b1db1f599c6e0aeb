// Test bench of an HLS network; tb.cpp names the network and includes it.
//
// tb [FOLDER]: sends FOLDER/stimulus.hex and compares with FOLDER/expected.hex, in each step in any
// order; FOLDER is tb where none is given. Prints PASS, or FAIL and why; exit code 0 or 1.
// tb STIMULUS RESULT SEED: runs samples and writes all that comes out; see records.h.

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>

#include "records.h"

static std::vector<int64_t> shown[ENGINES];

namespace spikec {
void show(int engine, long long number) { shown[engine].push_back(number); }
}  // namespace spikec

static std::vector<OutWord> sent;
static bool bad;

// One time step. Returns the words that left in it.
static void run(hls::stream<InWord> &in, bool first, bool clear) {
    hls::stream<OutWord> out("m_axis");
    bool bad_id = false;
    step(in, out, ap_uint<2>(2 * clear + first), bad_id);
    bad = bad || bad_id;
    while (!out.empty()) sent.push_back(out.read());
}

static void run_sample(const Sample &sample, bool clear) {
    hls::stream<InWord> in("s_axis");
    for (const uint64_t word : sample.words) in.write(InWord(word));
    sent.clear();
    for (auto &s : shown) s.clear();
    for (uint64_t k = 0; k < sample.steps; k++) run(in, k == 0, clear && k == 0);
    std::vector<uint32_t> words;
    for (const auto &word : sent) put(words, word.to_uint64());
    record(OUT, words);
    for (int e = 0; e < ENGINES; e++) {
        words.assign(1, e);
        for (const auto number : shown[e]) put(words, uint64_t(number));
        record(TRACE, words);
    }
    // As the status register of the RTL: idle, if nothing is left to do.
    record(FLAGS, {uint32_t(in.empty()) | uint32_t(bad) << 1});
    record(STOP, {uint32_t(sample.steps), 0});
}

static int run_samples(const char *from, const char *to) {
    const std::vector<Sample> samples = read_samples(from);
    result = fopen(to, "wb");
    if (!result) return 4;
    for (size_t k = 0; k < samples.size(); k++) run_sample(samples[k], k == 0);
    for (int e = 0; e < ENGINES; e++) {
        for (int c = 0; c < spikec::COUNTERS; c++) {
            std::vector<uint32_t> words = {uint32_t(e), uint32_t(c)};
            put(words, counts[e][c].to_uint64());
            record(COUNTER, words);
        }
    }
    return fclose(result) ? 4 : 0;
}

template <typename WORD> static std::vector<WORD> hex(const std::string &path) {
    std::ifstream file(path);
    std::vector<WORD> words;
    for (std::string line; file >> line;) words.push_back(WORD(std::stoull(line, nullptr, 16)));
    return words;
}

static int golden(const std::string &folder) {
    const std::vector<InWord> stimulus = hex<InWord>(folder + "/stimulus.hex");
    std::vector<OutWord> wanted = hex<OutWord>(folder + "/expected.hex");
    if (stimulus.empty() || wanted.empty()) {
        std::cout << "FAIL no vectors in " << folder << std::endl;
        return 1;
    }
    size_t at = 0, steps = 0;
    while (at < stimulus.size()) {
        hls::stream<InWord> in("s_axis");
        bool ended = false;
        for (; at < stimulus.size() && !ended; at++) {
            in.write(stimulus[at]);
            ended = stimulus[at][IN_BITS - 1];
        }
        const size_t before = sent.size();
        run(in, steps == 0, steps == 0);
        steps++;
        std::sort(sent.begin() + before, sent.end());
        if (sent.size() <= wanted.size())
            std::sort(wanted.begin() + before, wanted.begin() + sent.size());
        if (sent.size() > wanted.size() ||
            !std::equal(sent.begin() + before, sent.end(), wanted.begin() + before)) {
            std::cout << "FAIL other words in step " << steps - 1 << std::endl;
            return 1;
        }
    }
    if (bad || sent.size() != wanted.size()) {
        std::cout << "FAIL " << sent.size() << " of " << wanted.size() << " words" << std::endl;
        return 1;
    }
    std::cout << "PASS " << sent.size() << " words in " << steps << " steps" << std::endl;
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4) return run_samples(argv[1], argv[2]);
    return golden(argc > 1 ? argv[1] : "tb");
}
