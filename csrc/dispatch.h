// The door between what is compiled once per instruction set (kernel.h) and what is compiled once (the rest).
#pragma once

#include "stream.h"

#define THINOUT_INLINE inline __attribute__((always_inline))

namespace thinout {

// Consecutive elements whose decisions lie from `bit` on in a row of bits.
struct Run {
  const void* x;
  void* y;
  int64_t bit, n;
};

// Pieces of n elements each, at even steps (in elements) of memory; for a mask x is null and its step 0.
struct Series {
  const void* x;
  void* y;
  int64_t x_step, y_step, n, count;
};

// Mask indices from 64 * word on, 64 * count of them.
struct Range {
  uint64_t word;
  int64_t count;
};

// Decisions that are being drawn: range after range into consecutive words of bits.
struct Drawing {
  const Stream* stream = nullptr;
  const Range* range = nullptr;
  uint64_t* bits = nullptr;
  int64_t left = 0;  // words
  int64_t at = 0;    // words of the range that are done
  uint64_t high = ~uint64_t{0};
  Schedule schedule{};  // of blocks whose number has `high` in its upper half
};

// Runs to be written. Memory is idle while decisions are drawn, and arithmetic while memory is waited for, so the two
// are done in turns: while these runs are written, the decisions of the next ones are drawn.
struct Writing {
  const uint64_t* bits;  // one word after the last decision is read too
  const Run* runs;
  int64_t count;
  int64_t ahead;  // with a run, the run so many places on is fetched into the cache; 0: none
  double scale;
  bool bypass_cache;
  Drawing& next;
};

// One instruction set's loops. All of them are single-threaded; `first` is the mask index of element 0.
struct Kernels {
  const char* name;
  // y = keep ? x * scale : 0; `bypass_cache`: store around the caches where y's alignment allows it.
  void (*flat[kNumTypes])(const Stream&, const void* x, void* y, int64_t n, uint64_t first, bool bypass_cache);
  // The same with the decisions given.
  void (*runs[kNumTypes])(const Writing&);
  // Piece i of a series by the decision at `bit + i`; element i of every piece by it. One word more is read.
  void (*rows[kNumTypes])(const uint64_t* bits, int64_t bit, const Series&, double scale, bool bypass_cache);
  void (*repeat[kNumTypes])(const uint64_t* bits, int64_t bit, const Series&, double scale, bool bypass_cache);
  // Draws all that is left.
  void (*bits)(Drawing&);
  // Column k < width <= 64 has its 64 decisions from bit start[k] + shift on; out[r * stride] = those of row r.
  void (*transpose)(const uint64_t* bits, const int64_t* start, int64_t shift, int64_t width, uint64_t* out,
                    int64_t stride);
  // The same for any number of columns, each of which has its decisions from bit shift[k] of before[k] on and in
  // word[k]. Whole 64 columns are read and written.
  void (*transpose_words)(const uint64_t* before, const uint64_t* word, const uint8_t* shift, int64_t columns,
                          uint64_t* out, int64_t stride);
  // The same as `transpose` for width <= 8 columns, but row follows row without gaps: `width` words.
  void (*interleave)(const uint64_t* bits, const int64_t* start, int64_t shift, int64_t width, uint64_t* out);
  // For a thread to call after its last `runs` with bypass_cache, before others read what it stored.
  void (*fence)();
  // The fused form of the four dtypes, see fused.h; `in` is x and residual.
  void (*dropout_add[kMask])(const Stream&, const void* const* in, void* y, int64_t n, uint64_t first);
};

// Null where the compiler could not build the form; a caller asks `isa.cpp`, which also asks the processor.
const Kernels* portable_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();
const Kernels* neon_kernels();

const Kernels& kernels();  // the form in force

}  // namespace thinout
