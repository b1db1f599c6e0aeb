// A waveform (VCD) of some clock cycles of the last sample, with -DSPIKEC_WAVES.
#ifndef SPIKEC_WAVES_H
#define SPIKEC_WAVES_H

#include <fstream>

#ifdef SPIKEC_CXXRTL
#include "cxxrtl/cxxrtl_vcd.h"
class Vcd {
  public:
    void open(Model &model, const char *path) {
        file.open(path);
        model.debug_info(&items, nullptr, "top ");
        vcd.timescale(1, "ns");
        vcd.add_without_memories(items);
    }
    void dump(uint64_t time) {
        vcd.sample(time);
        file << vcd.buffer;
        vcd.buffer.clear();
    }
    bool close() {
        file.close();
        return file.good();
    }

  private:
    std::ofstream file;
    cxxrtl::debug_items items;
    cxxrtl::vcd_writer vcd;
};
#else
#include "verilated_vcd_c.h"
class Vcd {
  public:
    void open(Model &model, const char *path) {
        model.trace(&vcd, 99);
        vcd.open(path);
    }
    void dump(uint64_t time) { vcd.dump(time); }
    bool close() {
        vcd.close();
        return true;
    }

  private:
    VerilatedVcdC vcd;
};
#endif

// From when an engine has updated FIRST groups until it has updated LAST, so many cycles at most.
class Waves {
  public:
    uint64_t engine = 0, first = 0, last = 0, most = 0;
    bool on = false;  // in the last sample

    void open(Model &model, const char *path) { vcd.open(model, path); }
    void dump(uint64_t groups, bool rising) {
        if (on && groups >= first && groups <= last && time < 10 * most) {
            vcd.dump(time);
            time += 5;
        } else if (on && rising) {
            on = time == 0;  // over, once it has begun
        }
    }
    bool close() { return vcd.close(); }

  private:
    Vcd vcd;
    uint64_t time = 0;
};

#endif
