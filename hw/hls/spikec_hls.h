// What the engines of a network share in Vitis HLS C++: events, delays, and sums of weights.
//
// Loops over events end with the end-of-step word; a source sends each of its ids once at most in a
// step, so they are bounded by its size. All other loops have constant bounds.
#ifndef SPIKEC_HLS_H
#define SPIKEC_HLS_H

#include "ap_int.h"
#include "hls_stream.h"

namespace spikec {

// {eos, id, value}: eos ends a step. A spike has no value.
template <int IB, int VB> struct Event {
    bool eos;
    ap_uint<IB> id;
    ap_int<VB> value;
};

template <int IB> struct Event<IB, 0> {
    bool eos;
    ap_uint<IB> id;
};

template <typename EVENT> EVENT end_of_step() {
#pragma HLS INLINE
    EVENT event = EVENT();
    event.eos = true;
    event.id = 0;
    return event;
}

#ifdef SPIKEC_TRACE
void show(int engine, long long number);  // of a test bench: what a lane did
#endif

// The same numbers as in the RTL, less those that count clock cycles.
enum { EVENTS_IN, WORDS, SYNOPS, UPDATES, EVENTS_OUT, SATURATIONS, STEPS, COUNTERS };
typedef ap_uint<48> Counter;

// Events on their way: what is written in a step is read DELAY steps later. Within a step all reads
// come before all writes, so DELAY steps of SIZE events and their ends fit.
template <typename EVENT, int SIZE, int DELAY> class Queue {
  public:
    void restart() {
        head = 0;
        tail = 0;
        for (int k = 0; k < DELAY; k++) write(end_of_step<EVENT>());
    }
    EVENT read() {
#pragma HLS INLINE
        const EVENT event = events[head];
        head = head == DEPTH - 1 ? 0 : head + 1;
        return event;
    }
    void write(const EVENT &event) {
#pragma HLS INLINE
        events[tail] = event;
        tail = tail == DEPTH - 1 ? 0 : tail + 1;
    }
    // Takes all events of a step.
    void fill(hls::stream<EVENT> &source) {
        bool ended = false;
        while (!ended) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=SIZE+1
            const EVENT event = source.read();
            ended = event.eos;
            write(event);
        }
    }

  private:
    static const int DEPTH = DELAY * (SIZE + 1);
    EVENT events[DEPTH];
    int head, tail;
};

// What a weight adds, before the shift to the fraction of the port.
template <int WB, int IB> ap_int<WB> term(ap_int<WB> weight, const Event<IB, 0> &) {
#pragma HLS INLINE
    return weight;
}

template <int WB, int IB, int VB>
ap_int<WB + VB> term(ap_int<WB> weight, const Event<IB, VB> &event) {
#pragma HLS INLINE
    return weight * event.value;
}

// Adds one word of weights, of WB bits each, to the sums of a group.
template <int WB, int SHIFT, typename EVENT, typename WEIGHT, int LANES, typename SUM>
void add_word(
    const WEIGHT (&word)[LANES], const EVENT &event, SUM (&sums)[LANES], Counter (&counts)[COUNTERS]
) {
#pragma HLS INLINE
    int used = 0;
    for (int k = 0; k < LANES; k++) {
#pragma HLS UNROLL
        const ap_int<WB> weight = word[k];
        sums[k] += SUM(SUM(term(weight, event)) << SHIFT);
        used += weight != 0;
    }
    counts[WORDS] += 1;
    counts[SYNOPS] += used;
}

// Integrates a step of a source whose every neuron has a word for each group, in order.
template <
    typename EVENT, int WB, int SHIFT, typename SOURCE, typename WEIGHT, int DEPTH, int GROUPS,
    int LANES, typename SUM>
void dense(
    SOURCE &source, const WEIGHT (&words)[DEPTH][LANES], SUM (&sums)[GROUPS][LANES], bool discard,
    Counter (&counts)[COUNTERS]
) {
    EVENT event = EVENT();
    int address = 0, group = 0;
    bool walking = false, ended = false;
    while (!ended) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=DEPTH+1
        if (!walking) {
            event = source.read();
            ended = event.eos;
            walking = !ended && !discard;
            counts[EVENTS_IN] += !ended;
            address = event.id.to_int() * GROUPS;
            group = 0;
        }
        if (walking) {
            add_word<WB, SHIFT>(words[address], event, sums[group], counts);
            address++;
            group++;
            walking = group != GROUPS;
        }
    }
}

// The same of a source whose neurons have words from first on, so many, each with its group.
template <
    typename EVENT, int WB, int SHIFT, typename SOURCE, typename WEIGHT, typename POINTER,
    typename COUNT, typename GROUP, int DEPTH, int SIZE, int GROUPS, int LANES, typename SUM>
void sparse(
    SOURCE &source, const WEIGHT (&words)[DEPTH][LANES], const GROUP (&groups)[DEPTH],
    const POINTER (&first)[SIZE], const COUNT (&many)[SIZE], SUM (&sums)[GROUPS][LANES],
    bool discard, Counter (&counts)[COUNTERS]
) {
    EVENT event = EVENT();
    int address = 0, left = 0;
    bool ended = false;
    while (!ended) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=DEPTH+SIZE+1
        if (left == 0) {
            event = source.read();
            ended = event.eos;
            counts[EVENTS_IN] += !ended;
            const int id = event.id.to_int();
            address = first[id];
            left = ended || discard ? 0 : int(many[id]);
        }
        if (left != 0) {
            add_word<WB, SHIFT>(words[address], event, sums[groups[address]], counts);
            address++;
            left--;
        }
    }
}

// Where the places of a kernel that meet a pixel begin along an axis, and how many there are.
struct Axis {
    int word, group, count;
};

// How words and groups go on from line to line, and from place to place.
struct Steps {
    int line_words, line_groups, place_words, place_groups;
};

// The same of an image: channels by rows by columns of pixels, and WIDTH words for each place.
template <
    typename EVENT, int WB, int SHIFT, int WIDTH, typename SOURCE, typename WEIGHT, int DEPTH,
    int CHANNELS, int ROWS, int COLUMNS, int GROUPS, int LANES, typename SUM>
void window(
    SOURCE &source, const WEIGHT (&words)[DEPTH][LANES], const Axis (&channels)[CHANNELS],
    const Axis (&rows)[ROWS], const Axis (&columns)[COLUMNS], const Steps &steps,
    SUM (&sums)[GROUPS][LANES], bool discard, Counter (&counts)[COUNTERS]
) {
    EVENT event = EVENT();
    int line_word = 0, line_group = 0, lines = 0;     // of the line, and lines after it
    int place_word = 0, place_group = 0, places = 0;  // of the place, and places after it
    int line_places = 0, k = 0;
    bool walking = false, ended = false;
    while (!ended) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=DEPTH*ROWS*COLUMNS
        if (!walking) {
            event = source.read();
            ended = event.eos;
            counts[EVENTS_IN] += !ended;
            const int id = event.id.to_int(), pixel = id % (ROWS * COLUMNS);
            const Axis c = channels[id / (ROWS * COLUMNS)];
            const Axis y = rows[pixel / COLUMNS], x = columns[pixel % COLUMNS];
            walking = !ended && !discard && c.count != 0 && y.count != 0 && x.count != 0;
            line_word = place_word = c.word + y.word + x.word;
            line_group = place_group = c.group + y.group + x.group;
            lines = y.count - 1;
            line_places = places = x.count - 1;
            k = 0;
        }
        if (walking) {
            add_word<WB, SHIFT>(words[place_word + k], event, sums[place_group + k], counts);
            k++;
            if (k == WIDTH) {
                k = 0;
                walking = places != 0 || lines != 0;
                if (places != 0) {
                    place_word += steps.place_words;
                    place_group -= steps.place_groups;
                    places--;
                } else {
                    line_word += steps.line_words;
                    line_group -= steps.line_groups;
                    place_word = line_word;
                    place_group = line_group;
                    places = line_places;
                    lines--;
                }
            }
        }
    }
}

}  // namespace spikec

#endif
