// The files of a bench.
//
// STIMULUS, numbers of 64 bits: samples; then per sample: steps, cycles after which it is cut short
// or 0, words, the words.
// RESULT, numbers of 32 bits, records {kind, length, data}: see the enum.
// Exit code 4: a file cannot be read or written.
#ifndef SPIKEC_RECORDS_H
#define SPIKEC_RECORDS_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

enum Kind : uint32_t {
    OUT = 1,      // words of the output stream, low half first
    TRACE = 2,    // what an engine did: its number, then its words
    STOP = 3,     // the end of a sample: clock cycles, low half first; in HLS steps
    COUNTER = 4,  // engine, counter, low half, high half
    FLAGS = 5     // the status register
};

static FILE *result;

static void write(const void *data, size_t words) {
    if (fwrite(data, 4, words, result) != words) exit(4);
}

static void record(Kind kind, const std::vector<uint32_t> &data) {
    const uint32_t head[2] = {kind, uint32_t(data.size())};
    write(head, 2);
    write(data.data(), data.size());
}

static uint64_t read(FILE *file) {
    uint64_t x;
    if (fread(&x, 8, 1, file) != 1) exit(4);
    return x;
}

struct Sample {
    uint64_t steps, cut;
    std::vector<uint64_t> words;
};

static std::vector<Sample> read_samples(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) exit(4);
    std::vector<Sample> samples(read(file));
    for (auto &s : samples) {
        s.steps = read(file);
        s.cut = read(file);
        s.words.resize(read(file));
        for (auto &w : s.words) w = read(file);
    }
    fclose(file);
    return samples;
}

static inline void put(std::vector<uint32_t> &words, uint64_t number) {
    words.push_back(uint32_t(number));
    words.push_back(uint32_t(number >> 32));
}

#endif
