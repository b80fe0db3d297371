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

// Memory that will be wanted soon: asked for while decisions are drawn, which leaves the memory idle.
struct Ahead {
  const Run *run, *end;
  int64_t bytes;  // of an element
  bool output;    // whether y is wanted as well
  int64_t at = 0;

  THINOUT_INLINE void fetch(int64_t lines) {
    while (lines > 0 && run != end) {
      const int64_t size = run->n * bytes;
      for (; lines > 0 && at < size; at += 64, --lines) {
        __builtin_prefetch(static_cast<const char*>(run->x) + at, 0, 2);
        if (output) __builtin_prefetch(static_cast<const char*>(run->y) + at, 1, 2);
      }
      if (at < size) return;
      at = 0;
      ++run;
    }
  }
};

// One instruction set's loops. All of them are single-threaded; `first` is the mask index of element 0.
struct Kernels {
  const char* name;
  // y = keep ? x * scale : 0; `bypass_cache`: store around the caches where y's alignment allows it.
  void (*flat[kNumTypes])(const Stream&, const void* x, void* y, int64_t n, uint64_t first, bool bypass_cache);
  // The same with the decisions given, for many runs; one word after the last decision is read too.
  void (*runs[kNumTypes])(const uint64_t* bits, const Run* runs, int64_t count, double scale, bool bypass_cache);
  // bits[w] = the decisions of the 64 elements from mask index 64 * words[w] on; meanwhile memory is fetched.
  void (*bits)(const Stream&, const uint64_t* words, int64_t num_words, uint64_t* bits, Ahead& ahead);
  // Column k < width <= 64 has its 64 decisions from bit start[k] + shift on; out[r * stride] = those of row r < 64.
  void (*transpose)(const uint64_t* bits, const int64_t* start, int64_t shift, int64_t width, uint64_t* out,
                    int64_t stride);
  // The same for width <= 8 columns, but with the decisions of rows 8 i ... 8 i + 7 in the low 8 * width bits of out[i].
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
