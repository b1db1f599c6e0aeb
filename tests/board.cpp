// A board: what comes at the standard input, as numbers of 64 bits, is done with the design.
//   0 address data     write a register
//   1 address          read a register; gives it
//   2 count words      hand words to the input stream, which takes them when it can
//   3                  take words of the output stream up to the next tlast; gives count and words
//   4                  run until all words are handed over
// Exit code 3: nothing moves. It follows bench.cpp, whose main is renamed.

#include <deque>

static void answer(const std::vector<uint64_t> &numbers) {
    if (fwrite(numbers.data(), 8, numbers.size(), stdout) != numbers.size()) exit(4);
    fflush(stdout);
}

static uint64_t pauses;  // 0 for none

static bool paused() {
    if (!pauses) return false;
    pauses ^= pauses << 13;  // xorshift64 (Marsaglia 2003)
    pauses ^= pauses >> 7;
    pauses ^= pauses << 17;
    return (pauses >> 20) & 1;
}

static std::deque<uint64_t> waiting;
static bool offering;

static void move(bool take) {
    offering = !waiting.empty() && (offering || !paused());
    if (cycle(offering, offering ? waiting.front() : 0, take && !paused())) {
        waiting.pop_front();
        offering = false;
    }
    low();
}

int main(int argc, char **argv) {
    const uint64_t seed = argc > 1 ? strtoull(argv[1], nullptr, 10) : 0;
    pauses = seed * 0x9E3779B97F4A7C15ull;
    power_up(seed);
    put(PORT(aresetn, aresetn), 0);
    for (int k = 0; k < 4; k++) cycle(false, 0, false);
    put(PORT(aresetn, aresetn), 1);
    for (int k = 0; k < 4; k++) cycle(false, 0, false);
    uint64_t command;
    while (fread(&command, 8, 1, stdin) == 1) {
        uint64_t quiet = 0;
        if (command == 0) {
            const uint64_t address = read(stdin);
            write_register(uint32_t(address), uint32_t(read(stdin)));
        } else if (command == 1) {
            answer({read_register(uint32_t(read(stdin)))});
        } else if (command == 2) {
            for (uint64_t k = read(stdin); k; k--) waiting.push_back(read(stdin));
        } else if (command == 3) {
            sent.clear();
            const uint64_t before = ended;
            while (ended == before) {
                move(true);
                if (++quiet > PATIENCE) return 3;
            }
            std::vector<uint64_t> words{sent.size() / 2};
            for (size_t k = 0; k < sent.size(); k += 2)
                words.push_back(sent[k] | uint64_t(sent[k + 1]) << 32);
            answer(words);
        } else if (command == 4) {
            while (!waiting.empty()) {
                move(false);
                if (++quiet > PATIENCE) return 3;
            }
            answer({0});
        }
        for (auto &s : shown) s.clear();
    }
    return 0;
}
